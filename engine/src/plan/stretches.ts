/** Many rounds as few: those that are alike are looked at once. */

import { sum } from '../extremes.js';
import type { LifetimeRound } from './lifetimes.js';

/** Most stretches of rounds that are looked at one by one. */
const mostStretches = 12;

/** The first round, which is unlike the others, and then so many at once that they are few. */
export function splitRounds(rounds: readonly LifetimeRound[]): LifetimeRound[][] {
  const length = Math.ceil((rounds.length - 1) / (mostStretches - 1));
  const stretches = [rounds.slice(0, 1)];
  for (let start = 1; start < rounds.length; start += length)
    stretches.push(rounds.slice(start, start + length));
  return stretches;
}

/** Items that are the same number of the same numbers, each once. */
export function countEqual<T>(items: readonly T[]): { readonly item: T; readonly count: number }[] {
  const counted = new Map<string, { item: T; count: number }>();
  for (const item of items) {
    const key = JSON.stringify(item);
    const known = counted.get(key);
    if (known) known.count += 1;
    else counted.set(key, { item, count: 1 });
  }
  return [...counted.values()];
}

/** The round's shares given that somebody is there. */
export function scaleRound(round: LifetimeRound, factor: number): LifetimeRound {
  const { alive, unfinished, rows, tokens, wanting } = round;
  return {
    alive: alive * factor,
    unfinished: unfinished * factor,
    rows: rows * factor,
    tokens: alive > 0 ? tokens : 0,
    wanting: wanting.map((share) => share * factor),
  };
}

/** A place that always has somebody in it. */
export function averageRound(rounds: readonly LifetimeRound[]): LifetimeRound {
  const total = sum(rounds.map(({ alive }) => alive));
  const average = (pick: (round: LifetimeRound) => number) => sum(rounds.map(pick)) / total;
  return {
    alive: 1,
    unfinished: 1,
    rows: average(({ rows }) => rows),
    tokens: average(({ tokens, alive }) => tokens * alive),
    wanting: rounds[0].wanting.map((_, step) => average(({ wanting }) => wanting[step])),
  };
}
