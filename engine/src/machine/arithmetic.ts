/** How a device rounds, which decides where two correct orders of computation may choose differently. */

export interface Arithmetic {
  /** What matrix products take and give. */
  readonly computes: 'f32' | 'f16' | 'bf16';
  /** What they add up in. */
  readonly accumulates: 'f32';
  /** Lead of the best over the second logit below which a choice is a tie. */
  readonly tieMargin: number;
  /** The same for the router, whose logits are one product away from the residual stream. */
  readonly routerTieMargin: number;
}

/**
 * Products of different row counts add up in different orders. Ties are within twice the 1e-4 (the router's: 1e-5) in
 * which logits agree with the reference, since both may move.
 */
export const f32Arithmetic: Arithmetic = {
  computes: 'f32',
  accumulates: 'f32',
  tieMargin: 2e-4,
  routerTieMargin: 2e-5,
};
