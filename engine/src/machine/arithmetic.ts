/** How a device rounds, which decides where two correct orders of computation may choose differently. */

export interface Arithmetic {
  /** What matrix products take and give. */
  readonly computes: 'f32' | 'f16' | 'bf16';
  /** What they add up in. */
  readonly accumulates: 'f32';
  /**
   * Which products give a row the same result to the last bit: those of as many rows, since others add up in another
   * order, or all of them.
   */
  readonly roundsAlike: 'equal-rows' | 'any-rows';
  /** Lead of the best over the second logit below which a choice is a tie. */
  readonly tieMargin: number;
  /** The same for the router, whose logits are one product away from the residual stream. */
  readonly routerTieMargin: number;
}

/** Ties are within twice the 1e-4 (the router's: 1e-5) in which logits agree with the reference, since both may move. */
export const f32Arithmetic: Arithmetic = {
  ...{ computes: 'f32', accumulates: 'f32', roundsAlike: 'equal-rows' },
  ...{ tieMargin: 2e-4, routerTieMargin: 2e-5 },
};
