/**
 * What each value of an axis brings over another one, what two axes bring together beyond that, and what of the way from
 * the baseline to the best each change is: where every combination of the axes was run.
 */

import type { RunRecord } from '../store/index.js';
import type { SettingValue } from '../store/record.js';
import { type Change, contrast, type Place as PlaceOf } from './contrast.js';
import { type PairedRatio, pairedRatio } from './paired-ratio.js';
import { type Aimed, type GatheredPoint, gatherPoints, isMeant } from './points.js';

export type AxisChange = Change<SettingValue>;

export interface Effect extends PairedRatio {
  /**
   * One: how many times more is reached with it, as the geometric mean over all other axes. Two: how many times larger
   * the one's effect is with the other; 1 where each does the same whatever the other does.
   */
  readonly changes: readonly AxisChange[];
}

/** One of the changes that lead from the baseline to the best point. */
export interface AttributedChange extends AxisChange {
  /** At the baseline. */
  readonly alone: PairedRatio;
  /** When all others are there already. */
  readonly last: PairedRatio;
}

export interface Attribution {
  readonly changes: readonly AttributedChange[];
  readonly together: PairedRatio;
  /** Axes that are no part of the baseline, at which both ends are. */
  readonly at: Readonly<Record<string, SettingValue>>;
}

export interface Effects {
  readonly kind: RunRecord['kind'];
  /** Of one axis each. */
  readonly main: readonly Effect[];
  /** Of two axes each, those that are furthest from 1 first. */
  readonly interactions: readonly Effect[];
  /** Null where the baseline says fewer than two axes, or the best point shares all but one with it. */
  readonly attribution: Attribution | null;
}

/** What is missing for {@link Effects}; null where nobody would expect any. */
export interface IncompleteGrid {
  readonly kind: RunRecord['kind'];
  readonly points: number;
  readonly combinations: number;
}

/** Of measured and of predicted points apart. Pairs are runs of the same seed and repeat; only such are compared. */
export function effectsOf(records: readonly RunRecord[], aim: Aimed): (Effects | IncompleteGrid)[] {
  const points = gatherPoints(records, aim);
  return [...new Set(points.map(({ kind }) => kind))].flatMap((kind): (Effects | IncompleteGrid)[] => {
    const own = points.filter((point) => point.kind === kind);
    const axes = axesOf(own, aim);
    const combinations = [...axes.values()].reduce((product, { length }) => product * length, 1);
    // With one axis, what is there to tell is in the ratios to the baseline.
    if (axes.size < 2) return [];
    const isPositive = own.every(({ runs }) => [...runs.values()].every(({ value }) => value > 0));
    if (combinations !== own.length || !isPositive) return [{ kind, points: own.length, combinations }];
    return [new Grid(own, axes, aim).effects(kind)];
  });
}

export function isComplete(effects: Effects | IncompleteGrid): effects is Effects {
  return 'main' in effects;
}

/** Those that vary, the value that others are compared with first. */
function axesOf(points: readonly GatheredPoint[], { baseline = {} }: Aimed): Map<string, SettingValue[]> {
  const axes = new Map<string, SettingValue[]>();
  for (const name of new Set(points.flatMap(({ point }) => Object.keys(point.axes)))) {
    const seen = new Map(points.map(({ point: { axes: at } }) => [JSON.stringify(at[name]), at[name]!]));
    const values = [...seen.values()];
    const reference = values.find(
      (value) => Object.hasOwn(baseline, name) && isMeant(value, baseline[name]!),
    );
    if (values.length > 1)
      axes.set(
        name,
        reference === undefined ? values : [reference, ...values.filter((v) => v !== reference)],
      );
  }
  return axes;
}

type Place = PlaceOf<SettingValue>;

/** Every combination of the axes, once. */
class Grid {
  readonly #points: readonly GatheredPoint[];
  readonly #axes: ReadonlyMap<string, readonly SettingValue[]>;
  readonly #aim: Aimed;
  /** Turns that every point has. */
  readonly #turns: readonly string[];
  /** By place: logarithms of what was reached, by turn. */
  readonly #logs: ReadonlyMap<string, readonly number[]>;

  constructor(
    points: readonly GatheredPoint[],
    axes: ReadonlyMap<string, readonly SettingValue[]>,
    aim: Aimed,
  ) {
    [this.#points, this.#axes, this.#aim] = [points, axes, aim];
    this.#turns = [...points[0]!.runs.keys()].filter((turn) => points.every(({ runs }) => runs.has(turn)));
    this.#logs = new Map(
      points.map(({ point, runs }) => [
        this.#keyOf(point.axes),
        this.#turns.map((turn) => Math.log(runs.get(turn)!.value)),
      ]),
    );
  }

  effects(kind: RunRecord['kind']): Effects {
    const changes = [...this.#axes].flatMap(([axis, [from, ...others]]) =>
      others.map((to): AxisChange => ({ axis, from: from!, to })),
    );
    const pairs = changes.flatMap((one, i) =>
      changes.slice(i + 1).flatMap((two) => (one.axis === two.axis ? [] : [[one, two]])),
    );
    const distance = ({ ratio }: Effect) => Math.abs(Math.log(ratio ?? 1));
    return {
      kind,
      main: changes.map((change) => this.#effect([change])),
      interactions: pairs.map((pair) => this.#effect(pair)).sort((a, b) => distance(b) - distance(a)),
      attribution: this.#attribute(),
    };
  }

  #effect(changes: readonly AxisChange[]): Effect {
    const others = [...this.#axes].filter(([name]) => !changes.some(({ axis }) => axis === name));
    return { changes, ...this.#toRatio(contrast(changes, others, (place) => this.#logsAt(place))) };
  }

  #attribute(): Attribution | null {
    const { baseline = {}, lowerIsBetter = false } = this.#aim;
    const named = [...this.#axes.keys()].filter((name) => Object.hasOwn(baseline, name));
    const scored = this.#points.map(({ point }) => {
      const logs = this.#logsAt(point.axes);
      return { axes: point.axes, score: (lowerIsBetter ? -1 : 1) * logs.reduce((sum, log) => sum + log, 0) };
    });
    const best = scored.reduce((a, b) => (b.score > a.score ? b : a)).axes;
    const changes = named
      .map((axis) => ({ axis, from: this.#axes.get(axis)![0]!, to: best[axis]! }))
      .filter(({ from, to }) => from !== to);
    if (changes.length < 2 || this.#turns.length === 0) return null;
    const set = (place: Place, which: readonly AxisChange[], end: 'from' | 'to') => ({
      ...place,
      ...Object.fromEntries(which.map((change) => [change.axis, change[end]])),
    });
    const start = set(best, changes, 'from');
    return {
      changes: changes.map((change) => ({
        ...change,
        alone: this.#over(set(start, [change], 'to'), start),
        last: this.#over(best, set(best, [change], 'from')),
      })),
      together: this.#over(best, start),
      at: Object.fromEntries(
        [...this.#axes.keys()].filter((name) => !named.includes(name)).map((name) => [name, best[name]!]),
      ),
    };
  }

  #over(place: Place, other: Place): PairedRatio {
    const [logs, otherLogs] = [this.#logsAt(place), this.#logsAt(other)];
    return this.#toRatio(logs.map((log, i) => log - otherLogs[i]!));
  }

  #toRatio(logs: readonly number[]): PairedRatio {
    const { lowerIsBetter = false } = this.#aim;
    return pairedRatio(
      logs.map((log) => ({ value: Math.exp(log), baseline: 1 })),
      { lowerIsBetter },
    );
  }

  #logsAt(place: Place): readonly number[] {
    return this.#logs.get(this.#keyOf(place))!;
  }

  #keyOf(place: Place): string {
    return JSON.stringify([...this.#axes.keys()].map((name) => place[name]));
  }
}
