/** Why a ratio could not be matched, a sentence each. */

import { formatPercent, formatRate, formatSeconds, threeDigits } from '../terminal/format.js';
import type { Choice } from './choose.js';
import { isMatched, type RatioName, type RatioPair } from './ratios.js';

export interface Limits {
  readonly theirPromptTokens: number;
  /** Mean of those that are run. */
  readonly ourPromptTokens: number;
  readonly longestSeconds: number;
}

export function explainUnmatched(choice: Choice, limits: Limits): string[] {
  return choice.ratios
    .filter((pair) => !isMatched(pair))
    .map((pair) => `${pair.name} is ${describePair(pair)}: ${reasons[pair.name](choice, limits, pair)}`);
}

function describePair({ theirs, ours }: RatioPair): string {
  return `${describeRatio(theirs)} there and ${describeRatio(ours)} here`;
}

/** 0.012, 0.97, 1.63. */
export function describeRatio(value: number): string {
  return value < 0.995 ? value.toPrecision(2) : threeDigits(value);
}

const reasons: Readonly<Record<RatioName, (choice: Choice, limits: Limits, pair: RatioPair) => string>> = {
  'draft over pass': ({ caps, loads }) =>
    caps.linkBytesPerSecond === null
      ? `even with nothing capped a pass takes ${formatSeconds(loads.passSeconds)} and the draft only ${formatSeconds(loads.draftSeconds)}; a larger draft or more prompts would do`
      : `no cap was found, the nearest is ${formatRate(caps.linkBytesPerSecond)}`,
  'link over pass': ({ caps, loads }, _limits, { theirs }) =>
    caps.linkBytesPerSecond === null
      ? `this machine's link needs ${formatSeconds(loads.linkSeconds)} of a pass even where it is not capped`
      : `there the link is busy for ${formatPercent(theirs)} of a pass; here it also has to lengthen the pass to ${formatSeconds(loads.passSeconds)}`,
  'arithmetic over pass': (_choice, { longestSeconds }) =>
    `a device cannot be made faster; a slower draft and link come nearer, and take longer than ${formatSeconds(longestSeconds)} (--seconds)`,
  'attention over pass': ({ caps, loads }, { theirPromptTokens, ourPromptTokens }) =>
    caps.hostCacheBytesPerSecond === null
      ? `there the host also computes the projections, for contexts of ${theirPromptTokens} tokens and more; here it computes attention alone, after prompts of ${ourPromptTokens} tokens, and pacing it would lengthen the pass`
      : `it is paced until the pass is as long as it should be; the arithmetic, ${formatSeconds(loads.deviceSeconds)}, takes the rest`,
  'host arithmetic over device arithmetic': () =>
    "the host keeps its proportion to a pass, of which the device's arithmetic on smaller experts takes another share",
  'host arithmetic over pass': () => "this machine's host is slower than that even where nothing paces it",
  'weights read by the host over the link': () =>
    "this machine's host reads weights no faster, even where nothing paces it",
  'share of experts that a pass needs': () =>
    'with so few sequences some experts are chosen by none, and a run that brings only chosen ones has less to bring than there',
  'tokens per round': () => 'the shipped draft is right as often as it is',
  'prefill over run': (_choice, { theirPromptTokens, ourPromptTokens }) =>
    `prompts have ${theirPromptTokens} tokens there and ${ourPromptTokens} here: what is saved in decode counts for more where prefill is short`,
  'device memory over model': () =>
    "the draft and this engine's buffers need more, so the device holds more of the model here",
  'host memory over model': () => 'the host budget follows theirs and was changed by hand',
  'draft over model': () =>
    'the draft was chosen, or given, for the time that it takes rather than for its size',
  'attention weights over device memory': () =>
    'the shipped pair is narrow: its attention is another share of a layer than theirs',
  'activations of all prompts over device memory': () =>
    'prompts are shorter and the shipped pair is narrower than theirs: a prefill of all prompts, layer by layer, leaves more room for weights here',
  'KV cache over device memory': () => 'texts here are longer: a cache cannot count as less than it is',
  'kept draft cache over device memory': () =>
    'the draft keeps more of each token here: a cache cannot count as less than it is',
};
