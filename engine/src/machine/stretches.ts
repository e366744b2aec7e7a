/** Runs of values that copies move: triples of where they begin on either side and how many they are. */

/** One stretch: `count` values in a row. */
export function stretch(count: number): Float64Array {
  return Float64Array.of(0, 0, count);
}
