/** What the tests of the native core share: the cores to test, seeded randomness, scratch folders. */

import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AttentionCall, loadNativeCore, type NativeCore, sequenceFields } from '@specoffload/native';
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

/** Whoever reads it in place of a key or value notices. */
export const unseen = 1e9;

/** The same attention, where of each sequence only the first `numShared` tokens are left in its block, as if another's. */
export function moveBehind(call: AttentionCall, numShared: readonly number[]): AttentionCall {
  const { numKvHeads, headDim } = call.shape;
  const sequences = call.sequences.slice();
  const shared: number[] = [];
  const behind: number[] = [];
  for (const [index, count] of numShared.entries()) {
    const own = sequences.subarray(index * sequenceFields, (index + 1) * sequenceFields);
    const [keys, values, capacity, numPast, numNew] = own as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    shared.push(keys, values, capacity, count);
    const room = numPast - count + numNew;
    const length = room * numKvHeads * headDim;
    const start = call.cache.length + behind.length;
    own.set([start, start + length, room]);
    for (const block of [keys, values])
      for (let head = 0; head < numKvHeads; head += 1) {
        const first = block + (head * capacity + count) * headDim;
        const moved = call.cache.slice(first, first + (numPast - count) * headDim);
        call.cache.fill(unseen, first, first + (numPast - count) * headDim);
        behind.push(...moved, ...new Array<number>(numNew * headDim).fill(unseen));
      }
  }
  const cache = Float32Array.from([...call.cache, ...behind]);
  return { ...call, cache, sequences, shared: Float64Array.from(shared) };
}
