/**
 * Packages that can only be awaited: modules with `await` at their top level, which `require` refuses. A cell's imports
 * are looked at before it runs, and such packages loaded, so that its `require` finds them done.
 */

import { existsSync, readFileSync } from 'node:fs';
import Module from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hasCode } from '@specoffload/input';
import { orBundled } from './lab-bundle.js';

/** Node's own part that loads what `require` asks for. */
const loader = Module as unknown as {
  _load(request: string, parent: ModuleLike | undefined, ...rest: unknown[]): unknown;
  _resolveFilename(request: string, parent: ModuleLike | undefined, isMain: boolean): string;
};
interface ModuleLike {
  readonly filename?: string | null;
}

/** By file; null until there is one. */
let awaited: Map<string, object> | null = null;

/**
 * @param names what the cell imports
 * @param directory where the cell runs
 */
export async function importAhead(names: readonly string[], directory: string): Promise<void> {
  const require = Module.createRequire(join(directory, 'cell.js'));
  for (const asked of names) {
    if (/^\.{0,2}\//.test(asked) || Module.isBuiltin(asked)) continue;
    const name = orBundled(asked, require.resolve);
    try {
      if (isEsModule(require.resolve(name))) require(name);
    } catch (error) {
      if (hasCode(error, 'ERR_REQUIRE_ASYNC_MODULE')) await keepAwaited(require.resolve(name));
      // Anything else the cell itself is going to say.
    }
  }
}

async function keepAwaited(path: string): Promise<void> {
  const namespace = (await import(pathToFileURL(path).href)) as object;
  awaited ??= followAwaited();
  // As Node marks a module that `require` got, so that TypeScript finds its default export.
  awaited.set(path, { ...namespace, __esModule: true });
}

function followAwaited(): Map<string, object> {
  const modules = new Map<string, object>();
  const { _load: load } = loader;
  loader._load = function (request, parent, ...rest) {
    return modules.get(maybeResolve(request, parent) ?? '') ?? load.call(this, request, parent, ...rest);
  };
  return modules;
}

function maybeResolve(request: string, parent: ModuleLike | undefined): string | null {
  try {
    return loader._resolveFilename(request, parent, false);
  } catch {
    return null;
  }
}

function isEsModule(path: string): boolean {
  if (!path.endsWith('.js')) return path.endsWith('.mjs');
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) return /"type"\s*:\s*"module"/.test(readFileSync(manifest, 'utf8'));
  }
  return false;
}
