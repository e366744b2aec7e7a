/** What each factor of a two-level experiment brings alone, and what factors bring together beyond that. */

import { smallest, UserError } from '@specoffload/engine';
import { contrast, type Place } from './contrast.js';
import { type PairedRatio, pairedRatio } from './paired-ratio.js';

/** A point of the experiment: its factors' levels among others, and what its runs reached, seed by seed. */
export interface FactorialPoint {
  readonly axes: Readonly<Record<string, unknown>>;
  readonly values: readonly number[];
}

/** Levels of a factor: without it, with it. */
export type Levels = readonly [without: Level, withIt: Level];
type Level = string | number;

export interface FactorialEffect extends PairedRatio {
  /** One: a factor's own effect. Several: their interaction. */
  readonly factors: readonly string[];
}

/**
 * Every effect as a factor of the result. That of one factor is the geometric mean, over all levels of the others, of
 * the result with it over that without. That of two is how many times larger the one's effect is with the other than
 * without; 1 where each does the same whatever the other does.
 *
 * `factorialEffects(ranking, { speculation: ['no', 'yes'], search: ['no', 'yes'] })`
 * @throws UserError where a combination of levels is missing, or there twice.
 */
export function factorialEffects(
  points: readonly FactorialPoint[],
  levels: Readonly<Record<string, Levels>>,
): FactorialEffect[] {
  const factors = Object.keys(levels);
  const cells = subsets(factors).map((present) => findCell(points, levels, present));
  const numSeeds = smallest(cells.map(({ values }) => values.length));
  const keyOf = (place: Place<Level>) => JSON.stringify(factors.map((factor) => place[factor]));
  const logs = new Map(
    cells.map(({ place, values }) => [keyOf(place), values.slice(0, numSeeds).map(Math.log)]),
  );
  return subsets(factors)
    .filter((effect) => effect.length > 0)
    .map((effect) => {
      const changes = effect.map((axis) => ({ axis, from: levels[axis][0], to: levels[axis][1] }));
      const others = Object.entries(levels).filter(([factor]) => !effect.includes(factor));
      const differences = contrast<Level>(changes, others, (place) => logs.get(keyOf(place))!);
      return {
        factors: effect,
        ...pairedRatio(differences.map((log) => ({ value: Math.exp(log), baseline: 1 }))),
      };
    });
}

interface Cell {
  readonly place: Place<Level>;
  readonly values: readonly number[];
}

function findCell(
  points: readonly FactorialPoint[],
  levels: Readonly<Record<string, Levels>>,
  present: readonly string[],
): Cell {
  const wanted = Object.entries(levels).map(
    ([factor, [without, withIt]]) => [factor, present.includes(factor) ? withIt : without] as const,
  );
  const found = points.filter(({ axes }) => wanted.every(([factor, level]) => axes[factor] === level));
  if (found.length !== 1)
    throw new UserError(
      `invalid points: ${found.length} have ${wanted.map(([factor, level]) => `${factor} ${level}`).join(', ')}; expected one for every combination of levels`,
    );
  return { place: Object.fromEntries(wanted), values: found[0].values };
}

/** By size: none, each, pairs, … */
function subsets(items: readonly string[]): string[][] {
  const all = Array.from({ length: 2 ** items.length }, (_, bits) =>
    items.filter((_item, index) => bits & (1 << index)),
  );
  return all.sort((a, b) => a.length - b.length);
}
