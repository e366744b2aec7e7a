/** The checkpoints of `test/golden` and what transformers computes with them (see the README there). */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Golden {
  readonly prompts: readonly {
    readonly ids: readonly number[];
    readonly last_logits: readonly number[];
    readonly greedy_ids: readonly number[];
    readonly greedy_margins: readonly number[];
  }[];
  readonly all_positions?: { readonly prompt: number; readonly logits: readonly (readonly number[])[] };
  readonly router?: {
    readonly prompt: number;
    readonly layers: readonly {
      readonly experts: readonly (readonly number[])[];
      readonly weights: readonly (readonly number[])[];
      readonly logits: readonly (readonly number[])[];
    }[];
  };
}

const root = fileURLToPath(new URL('../../golden', import.meta.url));

export const goldenNames = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

/** Those that compute differently: the others are stored, or say what they are, in another way. */
export const computedNames = goldenNames.filter(
  (name) => name !== 'mixtral-sharded' && name !== 'mixtral-v5',
);

export function goldenDirectory(name: string): string {
  return `${root}/${name}`;
}

export function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(`${root}/${name}/expected.json`, 'utf8')) as Golden;
}

/** Largest absolute difference; NaN when any element is, infinity when the lengths differ. */
export function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return Array.from(actual).reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i])), 0);
}
