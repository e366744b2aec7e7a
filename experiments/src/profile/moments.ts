/**
 * Runs come at moments at which the machine is faster or slower, by a fifth within minutes where others share its memory
 * and disk. A row count that only one of them had would look as slow as its moment was. What several did alike tells how
 * fast each was.
 */

import { type PhaseName, phaseNames, type Span } from '@specoffload/engine';
import { rowClassOf, typicalMean } from './fit.js';
import { durationOf } from './spans.js';

/** Each of them improves on the last by a small part of what that one did. */
const numRounds = 20;

/** Seconds of the tasks that one run did alike. */
interface Cell {
  readonly run: number;
  readonly likeness: string;
  readonly number: number;
  readonly seconds: number;
}

/** The device's tasks of each run as long as they would have been at a moment like all the others, taken together. */
export function atOneMoment(runs: readonly (readonly Span[])[]): readonly (readonly Span[])[] {
  const factors = new Map(phaseNames.map((phase) => [phase, factorsOf(cellsOf(runs, phase), runs.length)]));
  return runs.map((spans, run) =>
    spans.map((span) => {
      const factor = isCompared(span) ? (factors.get(span.phase)?.[run] ?? 1) : 1;
      return { ...span, endSeconds: span.startSeconds + durationOf(span) / factor };
    }),
  );
}

function isCompared({ lane, rows, flops }: Span): boolean {
  return lane === 'device' && rows > 0 && flops > 0;
}

function cellsOf(runs: readonly (readonly Span[])[], phase: PhaseName): readonly Cell[] {
  return runs.flatMap((spans, run) => {
    const alike = new Map<string, number[]>();
    for (const span of spans) {
      if (span.phase !== phase || !isCompared(span)) continue;
      const likeness = `${span.kind}/${rowClassOf(span.rows)}`;
      const durations = alike.get(likeness);
      if (durations) durations.push(durationOf(span));
      else alike.set(likeness, [durationOf(span)]);
    }
    return [...alike].map(([likeness, durations]) => ({
      ...{ run, likeness, number: durations.length },
      seconds: durations.length * typicalMean(durations),
    }));
  });
}

/**
 * Of each run: how many times as long it took for what it did as all of them did, by turns from what a task of each
 * likeness takes and from how fast each run was. All tasks together take as long as before.
 */
function factorsOf(cells: readonly Cell[], numRuns: number): readonly number[] {
  let factors = new Array<number>(numRuns).fill(1);
  for (let round = 0; round < numRounds; round += 1) {
    const seconds = new Map<string, { sum: number; number: number }>();
    for (const cell of cells) {
      const { sum, number } = seconds.get(cell.likeness) ?? { sum: 0, number: 0 };
      const next = { sum: sum + cell.seconds / factors[cell.run], number: number + cell.number };
      seconds.set(cell.likeness, next);
    }
    const took = new Array<number>(numRuns).fill(0);
    const would = new Array<number>(numRuns).fill(0);
    for (const { run, likeness, number, seconds: own } of cells) {
      const all = seconds.get(likeness) ?? { sum: own, number };
      took[run] += own;
      would[run] += (number * all.sum) / all.number;
    }
    factors = took.map((own, run) => (would[run] > 0 ? own / would[run] : 1));
  }
  const [before, after] = cells.reduce(
    ([was, is], { run, seconds }) => [was + seconds, is + seconds / factors[run]],
    [0, 0],
  );
  return before > 0 ? factors.map((factor) => (factor * after) / before) : factors;
}
