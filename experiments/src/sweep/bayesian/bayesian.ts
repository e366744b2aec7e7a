/** A Bayesian search: point by point, each raced for its runs, and what it believed, kept beside the records. */

import { join } from 'node:path';
import { writeWholeFile } from '@specoffload/input';
import { defaultMetric, isLessBetter, measure } from '../../definitions/metrics.js';
import { openRun, type PointRecord } from '../../store/index.js';
import type { Trials } from '../adaptive.js';
import { rungsOf } from '../halving.js';
import { placePoints, type Space } from './features.js';
import { BayesianSearch, type Proposal } from './proposals.js';
import { deservesMore, frontOf, mediansOf, type Objective, type Runs } from './race.js';
import { sketchPoints } from './sketch.js';

/** A point that was tried. */
export interface SearchStep {
  readonly axes: PointRecord['axes'];
  /** Share by which it was expected to be better than the best so far; of several objectives, of what lies between the worst and the best of each. */
  readonly expectedGain: number | null;
  /** Of each objective, the median and the factor around it that 68 % of the belief lies within; null of the first. */
  readonly believed: readonly { readonly median: number; readonly factor: number }[] | null;
  /** Median of each objective; null of a point that no run can serve. */
  readonly values: readonly number[] | null;
  readonly runs: number;
  /** Whether it got fewer runs than there are, for being worse. */
  readonly isPruned: boolean;
  /** Of the first objective, the best so far. */
  readonly best: number | null;
}

export interface FrontPoint {
  readonly axes: PointRecord['axes'];
  /** Of each objective. */
  readonly values: readonly number[];
  readonly runs: number;
}

export interface SearchReport {
  readonly objectives: readonly Objective[];
  /** Of the experiment. */
  readonly points: number;
  /** Whether what points can be expected to reach was worked out beforehand. */
  readonly isSketched: boolean;
  readonly steps: readonly SearchStep[];
  /** The best point; of several objectives those that no other one dominates. */
  readonly front: readonly FrontPoint[];
  /** Share by which the most promising point that was not tried is expected to be better; null when none is left. */
  readonly remainingGain: number | null;
  readonly isConverged: boolean;
}

/** What is expected of one more point is then less than anybody would run it for. */
const convergedGain = 0.002;

/** @param remainingGain expected of the next point; null when none is left */
export function hasConverged({ isOrdered }: Space, numTried: number, remainingGain: number | null): boolean {
  if (remainingGain === null) return true;
  // Fewer points than axes cannot tell what each of these does, whatever is expected.
  return numTried > isOrdered.length && remainingGain < convergedGain;
}

/** Runs that are stored already are not run again: the same seed and the same values choose the same points. */
export async function searchByBayes(trials: Trials, rounds: number): Promise<SearchReport> {
  const { request, shelf, folder, arms, mustHalt } = trials;
  const { definition, turns, objectives: names } = request;
  const { metric = defaultMetric, lowerIsBetter = false } = definition;
  const objectives = (names ?? [metric]).map((name) => ({
    metric: name,
    lowerIsBetter: name === metric ? lowerIsBetter : isLessBetter(name),
  }));
  const metrics = objectives.map((objective) => objective.metric);
  const sketches = await sketchPoints(request, arms, metrics, shelf);
  const sketched = objectives.map((objective, i) =>
    sketchOf(objective, sketches?.map((values) => values[i]!) ?? []),
  );
  const seed = turns[0]!.seed;
  const space = { ...placePoints(arms.map(({ axes }) => axes)), sketches: sketched };
  const search = new BayesianSearch(space, seed);
  const tried: { readonly index: number; runs: Runs }[] = [];
  const steps: SearchStep[] = [];
  while (steps.length < rounds && !mustHalt()) {
    const proposal = search.propose();
    if (proposal === null) break;
    const runs = await race(proposal.index);
    if (runs === null) break;
    const values = runs.length === 0 ? null : mediansOf(runs);
    search.learn(proposal.index, values?.map((value, i) => toScore(value, objectives[i]!)) ?? null);
    if (values !== null) tried.push({ index: proposal.index, runs });
    steps.push(describeStep(proposal, runs));
  }
  await completeFront();
  const next = search.propose();
  const remainingGain = next === null ? null : next.expectedGain;
  const report: SearchReport = {
    ...{ objectives, points: arms.length, isSketched: sketched.every((sketch) => sketch !== null), steps },
    front: frontOf(tried, objectives)
      .map(({ index, runs }) => ({
        ...{ axes: arms[index]!.axes, values: mediansOf(runs), runs: runs.length },
      }))
      .sort((a, b) => (objectives[0]!.lowerIsBetter ? 1 : -1) * (a.values[0]! - b.values[0]!)),
    remainingGain,
    isConverged: tried.length > 0 && hasConverged(space, steps.length, remainingGain),
  };
  const content = { search: 'bayesian', seed, metric, lowerIsBetter, ...report };
  await writeWholeFile(join(folder, 'beliefs.json'), `${JSON.stringify(content, null, 1)}\n`);
  return report;

  /** @returns nothing of a point that cannot be run; null when the search has to stop */
  async function race(index: number): Promise<Runs | null> {
    const others = tried.map(({ runs }) => runs);
    let runs: Runs = [];
    for (const rung of [...rungsOf(turns.length), turns.length]) {
      const more = await runTurns(index, runs.length, rung);
      if (more === null) return mustHalt() ? null : [];
      runs = [...runs, ...more];
      if (rung < turns.length && !deservesMore(runs, others, objectives)) break;
    }
    return runs;
  }

  /** Null when one of them was not stored. */
  async function runTurns(index: number, first: number, end: number): Promise<Runs | null> {
    const wanted = Array.from({ length: end - first }, (_, i) => first + i);
    const keys = await trials.run(index, wanted);
    const values = keys.map((key) => (key === null ? null : valuesOf(key)));
    return values.every((each) => each !== null) ? values : null;
  }

  function valuesOf(key: string): number[] | null {
    const { record } = openRun(join(folder, key));
    const values = objectives.map((objective) => measure(record, objective.metric));
    return values.every((value) => value !== null) ? values : null;
  }

  /** What is best by a few runs is held to all of them. */
  async function completeFront(): Promise<void> {
    for (;;) {
      const short = frontOf(tried, objectives).find(({ runs }) => runs.length < turns.length);
      if (!short || mustHalt()) return;
      const more = await runTurns(short.index, short.runs.length, turns.length);
      if (more === null) return;
      short.runs = [...short.runs, ...more];
    }
  }

  function describeStep({ index, expectedGain, believed }: Proposal, runs: Runs): SearchStep {
    const firsts = tried.map((each) => mediansOf(each.runs)[0]!);
    const sign = objectives[0]!.lowerIsBetter ? 1 : -1;
    return {
      ...{ axes: arms[index]!.axes, expectedGain },
      believed:
        believed?.map(({ mean, sigma }, i) => ({
          median: Math.exp(objectives[i].lowerIsBetter ? -mean : mean),
          factor: Math.exp(sigma),
        })) ?? null,
      values: runs.length === 0 ? null : mediansOf(runs),
      ...{ runs: runs.length, isPruned: runs.length > 0 && runs.length < turns.length },
      best: firsts.sort((a, b) => sign * (a - b))[0] ?? null,
    };
  }
}

/** Null where none of the points has any. */
function sketchOf(objective: Objective, values: readonly (number | null)[]) {
  if (values.every((value) => value === null)) return null;
  return values.map((value) => (value === null ? null : toScore(value, objective)));
}

/** What is nothing has no logarithm. */
const least = 1e-9;

function toScore(value: number, { lowerIsBetter }: Objective): number {
  return (lowerIsBetter ? -1 : 1) * Math.log(Math.max(value, least));
}
