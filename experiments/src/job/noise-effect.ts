/** What noise of products did to a run's tokens, beside the same run without. */

import type { RunResult } from '@specoffload/engine';

export interface NoiseEffect {
  readonly sequences: number;
  /** Of those, how many wrote the same as without. */
  readonly sameSequences: number;
  /** New tokens of a sequence, on average, before the first other one. */
  readonly tokensBefore: number;
  /** Of the tokens without noise, the share that stands in the same place. */
  readonly sameTokens: number;
  /** Without noise; null where nothing was proposed. */
  readonly acceptanceRate: number | null;
}

type Written = Pick<RunResult, 'sequences' | 'acceptance'>;

export function noiseEffectOf(without: Written, disturbed: Written): NoiseEffect {
  const totals = { same: 0, all: 0, before: 0, whole: 0 };
  for (const [index, { ids: expected }] of without.sequences.entries()) {
    const { ids } = disturbed.sequences[index];
    const parts = expected.findIndex((id, at) => ids[at] !== id);
    const isWhole = parts === -1 && ids.length === expected.length;
    totals.all += expected.length;
    totals.same += expected.filter((id, at) => ids[at] === id).length;
    totals.before += parts === -1 ? expected.length : parts;
    if (isWhole) totals.whole += 1;
  }
  const sequences = without.sequences.length;
  return {
    ...{ sequences, sameSequences: totals.whole, tokensBefore: totals.before / sequences },
    sameTokens: totals.same / totals.all,
    acceptanceRate: without.acceptance?.rate ?? null,
  };
}
