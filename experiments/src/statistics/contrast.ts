/** What changes of settings bring over all combinations of other settings, as differences of logarithms. */

/** Settings by axis. */
export type Place<Value> = Readonly<Record<string, Value>>;

export interface Change<Value> {
  readonly axis: string;
  readonly from: Value;
  readonly to: Value;
}

/**
 * Of one change, the mean over all combinations of the others of what is reached with it less what is without; of two,
 * how much more the one brings with the other; and so on.
 * @param others axes that are not changed, with their values
 * @param logsAt logarithms of what is reached at a place, (turns)
 * @returns (turns)
 */
export function contrast<Value>(
  changes: readonly Change<Value>[],
  others: readonly (readonly [axis: string, values: readonly Value[]])[],
  logsAt: (place: Place<Value>) => readonly number[],
): number[] {
  const places = combine(others);
  const signed = places.flatMap((place) =>
    corners(changes).map(([corner, sign]) => ({ sign, logs: logsAt({ ...place, ...corner }) })),
  );
  return signed[0].logs.map(
    (_, turn) => signed.reduce((sum, { sign, logs }) => sum + sign * logs[turn], 0) / places.length,
  );
}

/** Where the changes are made or not, and what each counts: all made +1, one fewer -1, and so on. */
function corners<Value>(changes: readonly Change<Value>[]): [Place<Value>, number][] {
  return changes.reduce<[Place<Value>, number][]>(
    (all, { axis, from, to }) =>
      all.flatMap(([place, sign]): [Place<Value>, number][] => [
        [{ ...place, [axis]: to }, sign],
        [{ ...place, [axis]: from }, -sign],
      ]),
    [[{}, 1]],
  );
}

function combine<Value>(axes: readonly (readonly [string, readonly Value[]])[]): Place<Value>[] {
  return axes.reduce<Place<Value>[]>(
    (places, [name, values]) =>
      places.flatMap((place) => values.map((value) => ({ ...place, [name]: value }))),
    [{}],
  );
}
