/** In which order runs are taken that are to be compared. */

/** Each round begins with another one, so that none always follows the same. */
export function turned<Item>(items: readonly Item[], round: number): Item[] {
  const first = round % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
