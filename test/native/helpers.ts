/** What the tests of the native core share: the cores to test, seeded randomness, scratch folders. */

import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NativeCore } from '@specoffload/native';
import { loadNativeCore } from '@specoffload/native';
import { afterAll } from 'vitest';

export const addonPath = fileURLToPath(new URL('../../native/build/specoffload.node', import.meta.url));

/** Where no compiler was at hand, only the twin is tested. */
export const addonIsBuilt = existsSync(addonPath);

export const twin = loadNativeCore('twin');

/** Both implementations, by name, for `describe.each`. */
export const cores: readonly (readonly [string, NativeCore])[] = [
  ...(addonIsBuilt ? [['native', loadNativeCore('native')] as const] : []),
  ['twin', twin],
];

/** A seeded generator of numbers in [0, 1): mulberry32. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomWhole(random: () => number, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1));
}

/** A folder that goes away with the test file; `parent` chooses the file system. */
export function createScratch(parent = tmpdir()): string {
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, 'specoffload-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
