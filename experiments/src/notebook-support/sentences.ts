/** What a figure shows, as a sentence made from the same numbers. */

import { idleCauses, type PhaseReport } from '@specoffload/engine';
import { busiestLane } from '../job/describe-run.js';
import { formatPercent } from '../terminal/format.js';

const waits = {
  weights: 'for weights',
  attention: 'for attention or its cache',
  draft: 'for the draft',
  nothing: 'for nothing but its own overheads',
} as const;

/** Less than this is not worth a word. */
const leastShare = 0.01;

/** `SpecOffload: the device computes 57 % of decode and waits 38 % for weights; busiest is the link (98 %).` */
export function describeDecode(name: string, decode: PhaseReport): string {
  const share = (seconds: number) => (decode.seconds > 0 ? seconds / decode.seconds : 0);
  const parts = idleCauses
    .map((cause) => ({ words: waits[cause], share: share(decode.deviceIdle[cause]) }))
    .filter((part) => part.share >= leastShare)
    .sort((a, b) => b.share - a.share)
    .map((part) => `${formatPercent(part.share)} ${part.words}`);
  const { lane, utilization } = busiestLane(decode);
  const idle = parts.length === 0 ? '' : ` and waits ${joinWords(parts)}`;
  return (
    `${name}: the device computes ${formatPercent(share(decode.lanes.device.busySeconds))} of decode${idle}; ` +
    `busiest is the ${lane} (${formatPercent(utilization)}).`
  );
}

/** `a`, `a and b`, `a, b and c`. */
export function joinWords(words: readonly string[]): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
