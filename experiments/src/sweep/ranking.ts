/** Points by what their runs reached, best first. */

import { median } from 'simple-statistics';
import type { PointRecord } from '../store/index.js';

export interface ScoredPoint {
  readonly pointKey: string;
  readonly axes: PointRecord['axes'];
  /** Of the metric, in the order of the runs; a run that has no such number is left out. */
  readonly values: readonly number[];
  /** null without values. */
  readonly median: number | null;
}

/** What every point's runs reached, by turn: the n-th value of two points was measured at nearly the same time. */
export class Scores {
  readonly #points = new Map<string, { axes: PointRecord['axes']; byTurn: Map<number, number> }>();

  add({ pointKey, axes }: PointRecord, turn: number, value: number | null): void {
    const point = this.#points.get(pointKey) ?? { axes, byTurn: new Map() };
    this.#points.set(pointKey, point);
    if (value !== null) point.byTurn.set(turn, value);
  }

  has(pointKey: string, turn: number): boolean {
    return this.#points.get(pointKey)?.byTurn.has(turn) ?? false;
  }

  /** Values of two points from the same turns. */
  pairs(a: string, b: string): readonly (readonly [number, number])[] {
    const others = this.#points.get(b)?.byTurn;
    return [...(this.#points.get(a)?.byTurn ?? [])].flatMap(([turn, value]) => {
      const other = others?.get(turn);
      return other === undefined ? [] : [[value, other] as const];
    });
  }

  /** Ties in the order of the points. Points without a value come last. */
  rank(lowerIsBetter: boolean): ScoredPoint[] {
    const sign = lowerIsBetter ? 1 : -1;
    const worst = Number.POSITIVE_INFINITY;
    const order = ({ median }: ScoredPoint) => (median === null ? worst : sign * median);
    return [...this.#points]
      .map(([pointKey, { axes, byTurn }]): ScoredPoint => {
        const values = [...byTurn].sort(([a], [b]) => a - b).map(([, value]) => value);
        return { pointKey, axes, values, median: values.length === 0 ? null : median(values) };
      })
      .sort((a, b) => (order(a) === order(b) ? 0 : order(a) - order(b)));
  }
}
