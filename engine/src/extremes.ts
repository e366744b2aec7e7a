/** The sum, the largest and the smallest of any number of numbers: `Math.max(...values)` ends the stack from some 120,000 on. */

/** -Infinity where there is none; NaN where one is. */
export function largest(values: Iterable<number>): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) most = Math.max(most, value);
  return most;
}

/** Infinity where there is none; NaN where one is. */
export function smallest(values: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const value of values) least = Math.min(least, value);
  return least;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
