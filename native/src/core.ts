/** Chooses the implementation: the C++ addon where it is built, its TypeScript twin elsewhere. */

import { isMainThread } from 'node:worker_threads';
import { loadAddon } from './addon.js';
import { createTwin } from './twin/core.js';
import type { NativeCore } from './types.js';

/** Which implementation to load; `auto` prefers the addon. */
export type NativePreference = 'auto' | 'native' | 'twin';

const remedy = 'run `node native/build.mjs` (it needs a C++17 compiler)';

/** Forces a level of vector instructions, to compare levels or to work around one. */
const levelVariable = 'SPECOFFLOAD_KERNELS';

let addon: NativeCore | null = null;
let warned = false;

/**
 * The core of this thread. With `auto`, a missing addon costs one warning per process and the twin takes over;
 * with `native` it is an error that says how to build it; with `twin` the addon is never loaded.
 *
 * @example loadNativeCore().probe().cpuModel
 */
export function loadNativeCore(preference: NativePreference = 'auto'): NativeCore {
  if (preference === 'twin') return createTwin();
  if (preference !== 'auto' && preference !== 'native') {
    throw new RangeError(`invalid preference: ${preference}; expected auto, native or twin`);
  }
  try {
    addon ??= loadAddon();
  } catch (error) {
    const reason = describe(error);
    if (preference === 'native') {
      throw new Error(`cannot load the native addon (${reason}); ${remedy}`, { cause: error });
    }
    warnOnce(
      `warning: the native addon does not load (${reason}); the slower TypeScript twin takes over; ${remedy}`,
    );
    return createTwin();
  }
  // Read in every thread: each has the addon to itself, the level is the process's.
  const level = process.env[levelVariable];
  if (level !== undefined) addon.useKernels(level);
  return addon;
}

function describe(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return 'it is not built';
  return String((error as Error).message).split('\n', 1)[0];
}

/** Worker threads stay silent: the main thread speaks for the process. */
function warnOnce(line: string): void {
  if (warned || !isMainThread) return;
  warned = true;
  console.error(line);
}
