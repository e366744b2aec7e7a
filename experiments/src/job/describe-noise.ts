/** What noise of products did, in words. */

import type { Choices, MeasuredRecord } from '../store/index.js';
import { formatPercent, threeDigits } from '../terminal/format.js';

/** `2 % on products of the experts, seed 0: …`; times are told to be the processor's. */
export function describeNoise(
  { size, groups }: NonNullable<Choices['productNoise']>,
  { seed, result: { noiseEffect, acceptance } }: MeasuredRecord,
): string {
  const where = groups === 'head' || groups === 'draft' ? `the ${groups}` : groups;
  const what = `${formatPercent(size)} on products of ${where}, seed ${seed}`;
  const whose = "times are the processor's, of no crossbars";
  if (!noiseEffect) return `${what}; ${whose}`;
  const { sequences, sameSequences, tokensBefore, sameTokens, acceptanceRate } = noiseEffect;
  const accepted =
    acceptance && acceptanceRate !== null
      ? `, acceptance ${formatPercent(acceptance.rate)} (${formatPercent(acceptanceRate)} without)`
      : '';
  return (
    `${what}: ${formatPercent(sameTokens)} of tokens as without, ${sameSequences} of ${sequences} sequences whole, ` +
    `the first other token after ${threeDigits(tokensBefore)}${accepted}; ${whose}`
  );
}
