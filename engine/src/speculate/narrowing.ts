/** Of how few of a row's tokens a draw can be told. */

import type { Sampling } from './sampling.js';

/** Which of a row's tokens masks may keep; fields as in the kernel `keep-tokens`. */
export interface Narrowing {
  readonly least: number;
  readonly share: number;
  readonly farthest: number;
  readonly reach: number;
}

/**
 * Margins up to this are told exactly, in logits: the widest within which a choice may be a tie, with room to spare (see
 * `Arithmetic`).
 */
const reachInLogits = 0.25;

const none = { least: 0, share: 0, farthest: Number.MAX_VALUE };

/**
 * `leaders`: those that can be first or second with noise. `all`: under the rejection rule a coin falls on shares that sum
 * to 1. Without a mask every token of the vocabulary has one, and which token the coin falls on is a matter of sums over all
 * of them, in doubles and in order; with top-p alone the shares depend on whether the very last token is kept, and that on
 * the same sum. What a device adds up in fp32 tells neither.
 */
export function narrow(sampling: Sampling): Narrowing | 'leaders' | 'all' {
  const { temperature, topK, topP, minP, rule } = sampling;
  const reach = reachInLogits / (temperature || 1);
  if (temperature === 0) return { ...none, least: 2, reach };
  const isByOrder = topK === 0 && (topP < 1 || minP === 0);
  if (rule === 'rejection' && isByOrder) return 'all';
  if (topK === 0 && topP === 1 && minP === 0) return 'leaders';
  const farthest = minP > 0 ? -Math.log(minP) : Number.MAX_VALUE;
  if (topK > 0) return { ...none, least: topK + 1, ...(topP === 1 && { farthest }), reach };
  if (topP < 1) return { ...none, share: topP, reach };
  return { ...none, least: 2 ** 32 - 1, farthest, reach };
}
