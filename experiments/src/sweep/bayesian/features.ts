/** Where points lie: numbers and sizes of an axis in their order, names as names. */

import { tryParseBytes } from '../../inputs/sizes.js';
import type { PointRecord } from '../../store/index.js';

type Axes = PointRecord['axes'];

export interface Space {
  /** For each axis that varies, whether near values reach nearly the same. */
  readonly isOrdered: readonly boolean[];
  /** Of each, how many values there are. */
  readonly numValues: readonly number[];
  /** (points, axes): which of them. */
  readonly places: readonly (readonly number[])[];
}

/** Values of an axis lie as far apart as they are few, whatever their numbers: who chose the grid thought so. */
export function placePoints(points: readonly Axes[]): Space {
  const columns = Object.keys(points[0] ?? {}).flatMap((name) => {
    const keys = points.map((axes) => JSON.stringify(axes[name]));
    const distinct = [...new Set(keys)];
    if (distinct.length < 2) return [];
    const amounts = new Map(distinct.map((key) => [key, amountOf(JSON.parse(key))]));
    const isOrdered = [...amounts.values()].every((amount) => amount !== null);
    if (isOrdered) distinct.sort((a, b) => amounts.get(a)! - amounts.get(b)!);
    const placeOf = new Map(distinct.map((key, index) => [key, index]));
    return [{ isOrdered, numValues: distinct.length, places: keys.map((key) => placeOf.get(key)!) }];
  });
  return {
    isOrdered: columns.map(({ isOrdered }) => isOrdered),
    numValues: columns.map(({ numValues }) => numValues),
    places: points.map((_, index) => columns.map(({ places }) => places[index]!)),
  };
}

function amountOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  return typeof value === 'string' ? tryParseBytes(value) : null;
}
