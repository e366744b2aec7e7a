/** How a device rounds, which decides where two correct orders of computation may choose differently. */

/** What a run may ask of a device: fp32, or products of numbers that are rounded to bf16. */
export const arithmetics = ['f32', 'bf16'] as const;

export type ArithmeticName = (typeof arithmetics)[number];

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

/**
 * Both factors of every matrix product are rounded to bf16, which moves a sum by at most 2^-8 of what was added up. Of
 * the golden models without routers that moves logits by up to 0.073 (docs/gpu.md). A difference of two orders in the
 * last bit of fp32 may become one of bf16's, so ties are within twice that.
 */
export const bf16Arithmetic: Arithmetic = {
  computes: 'bf16',
  accumulates: 'f32',
  tieMargin: 0.15,
  routerTieMargin: 0.05,
};
