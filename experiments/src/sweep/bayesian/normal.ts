/** The standard normal distribution, also far from its middle, where a search decides by what is hardly likely. */

export function normalDensity(z: number): number {
  return Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
}

/** Within 1.2e-7 of its value (Press et al., Numerical Recipes, 2nd edition, section 6.2, `erfcc`). */
export function normalProbability(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.5 * x);
  const series = coefficients.reduceRight((sum, coefficient) => sum * t + coefficient, 0);
  const upper = 0.5 * t * Math.exp(-x * x + series);
  return z > 0 ? 1 - upper : upper;
}

const coefficients = [
  -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
  -0.82215223, 0.17087277,
];
