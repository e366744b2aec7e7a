/**
 * APEX's rule: how device and host overlap in a step whose attention they share by sequences. Source: Fan et al., arXiv
 * 2506.03296, Algorithm 2 and its inequality of N_G / N_C; the ratio is the device's attention rate over the host's.
 */

/** What a step of a split batch does: one pass for both parts, passes of their own, or only the device's. */
export const splitDecisions = ['device-only', 'sub-batches', 'asynchronous'] as const;

export type SplitDecision = (typeof splitDecisions)[number];

/** Of one layer, as the run has seen them. */
export interface LayerTimes {
  /** All products with weights, which take as long for few sequences as for many. */
  readonly linearSeconds: number;
  /** The device's attention to one sequence, and the host's. */
  readonly devicePerSequence: number;
  readonly hostPerSequence: number;
  /** Products for one more row, as prompts bring them; 0 before any was seen. */
  readonly secondsPerRow: number;
}

export interface StepSituation {
  readonly numOnDevice: number;
  /** Those whose pass is not under way. */
  readonly numOnHost: number;
  /** Whether a pass of the host's part is under way. */
  readonly isHostBusy: boolean;
  /** Rows of prompts among the device's. */
  readonly promptRows: number;
}

/**
 * Whether two sub-batches write more tokens than the device alone: while the device computes its own layer and both parts'
 * products, the host attends to more sequences than the second products cost. With T the time of its own layer,
 * N_G / N_C < (T + T_lin) T / (T_lin T_att), which for decoding alone, T = T_lin + T_att, is as printed
 * 2 T_lin / T_att + 3 + T_att / T_lin; prompts make T longer.
 */
export function subBatchesPay(
  { linearSeconds, devicePerSequence, hostPerSequence, secondsPerRow }: LayerTimes,
  { numOnDevice, promptRows }: Pick<StepSituation, 'numOnDevice' | 'promptRows'>,
): boolean {
  const attentionSeconds = numOnDevice * devicePerSequence;
  const ownSeconds = linearSeconds + attentionSeconds + promptRows * secondsPerRow;
  // The ratio times T_att: sequences that the device attends to, by those that the host does in a second.
  const hostSeconds = numOnDevice * hostPerSequence;
  return hostSeconds * linearSeconds < (ownSeconds + linearSeconds) * ownSeconds;
}

/** @param times null before anything was seen: then apart, which is right wherever the host is slow, and shows it */
export function decideStep(
  overlap: 'asynchronous' | 'by-rule',
  leastOnHost: number,
  situation: StepSituation,
  times: LayerTimes | null,
): SplitDecision {
  const { numOnDevice, numOnHost, isHostBusy } = situation;
  if (isHostBusy || numOnDevice === 0) return 'asynchronous';
  if (numOnHost < leastOnHost) return 'device-only';
  if (overlap === 'asynchronous' || times === null) return 'asynchronous';
  return subBatchesPay(times, situation) ? 'sub-batches' : 'asynchronous';
}
