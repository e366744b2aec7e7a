/**
 * How many points a Bayesian search needs to come within 2 % of the best, on every shipped experiment: all points are
 * run once and kept, and searches with different seeds look them up.
 */

import { join } from 'node:path';
import { largest } from '@specoffload/engine';
import { median } from 'simple-statistics';
import type { ExperimentDefinition } from '../definitions/definition.js';
import { expandPoints } from '../definitions/expand.js';
import { defaultMetric } from '../definitions/metrics.js';
import { cacheDirectory, defaultResultsDirectory } from '../paths.js';
import { readRuns } from '../store/index.js';
import { hasConverged } from '../sweep/bayesian/bayesian.js';
import { placePoints } from '../sweep/bayesian/features.js';
import { BayesianSearch } from '../sweep/bayesian/proposals.js';
import { sketchPoints } from '../sweep/bayesian/sketch.js';
import { shippedExperiments } from '../sweep/experiments/index.js';
import { locatePoint } from '../sweep/locate.js';
import { openExperiment } from '../sweep/open-experiment.js';
import { readOutcome } from '../sweep/outcome-runs.js';
import { openPredictedJob } from '../sweep/predicted-job.js';
import { Shelf } from '../sweep/shelf.js';
import { runExperiment } from '../sweep/sweep.js';
import { formatTable } from '../terminal/table.js';
import type { BenchOptions } from './main.js';

/** All that a search can find out. */
export interface Grid {
  readonly name: string;
  readonly axes: readonly Readonly<Record<string, unknown>>[];
  /** Logarithms, the larger the better; null of what cannot be run. */
  readonly scores: readonly (number | null)[];
  /** The same, as expected beforehand. */
  readonly sketch: readonly (number | null)[];
}

/** What searches with different seeds came to. */
export interface SearchTrial {
  /** Points that a tenth is. */
  readonly budget: number;
  /** Of the best, reached with a tenth of the points: median over seeds. */
  readonly reached: number;
  /** Points until 98 % were reached: median and most over seeds. */
  readonly needed: { readonly median: number; readonly most: number };
  /** Searches that had not reached it with a tenth, and took themselves for converged. */
  readonly numMistaken: number;
}

export const wanted = 0.98;
export const numSeeds = 20;

export function trySearch(
  { axes, scores, sketch }: Grid,
  isSketched: boolean,
  seeds = numSeeds,
): SearchTrial {
  const goal = largest(scores.filter((score) => score !== null)) + Math.log(wanted);
  const budget = Math.max(1, Math.floor(axes.length / 10));
  const space = { ...placePoints(axes as never), sketches: [isSketched ? sketch : null] };
  const trials = Array.from({ length: seeds }, (_, i) => {
    const search = new BayesianSearch(space, i + 1);
    let [best, reached, needed] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
    let isMistaken = false;
    for (let points = 1; best < goal || points <= budget; points += 1) {
      const proposal = search.propose()!;
      const score = scores[proposal.index]!;
      search.learn(proposal.index, score === null ? null : [score]);
      best = Math.max(best, score ?? best);
      if (needed === 0 && best >= goal) needed = points;
      if (points !== budget) continue;
      reached = best;
      isMistaken = best < goal && hasConverged(space, budget, search.propose()?.expectedGain ?? null);
    }
    return { reached: Math.exp(reached - goal) * wanted, needed, isMistaken };
  });
  return {
    budget,
    reached: median(trials.map(({ reached }) => reached)),
    needed: {
      median: median(trials.map(({ needed }) => needed)),
      most: largest(trials.map(({ needed }) => needed)),
    },
    numMistaken: trials.filter(({ isMistaken }) => isMistaken).length,
  };
}

const toScore = ({ lowerIsBetter = false }: ExperimentDefinition, value: number | null) =>
  value === null ? null : (lowerIsBetter ? -1 : 1) * Math.log(value);

/** Of a simulated experiment; what was run before is in the store. */
export async function runGrid(
  definition: ExperimentDefinition,
  results: string,
  { output, signal }: Pick<BenchOptions, 'output' | 'signal'>,
): Promise<Grid> {
  const outcome = await runExperiment(definition, { results, signal });
  const reachedAt = new Map(outcome.ranking.map((point) => [JSON.stringify(point.axes), point.median]));
  // As they ran, with the planner's pick where they asked for one; those that could not run are only located.
  const runs = await readOutcome(outcome);
  const ran = new Map(runs.map(({ record: { point } }) => [JSON.stringify(point!.axes), point!]));
  const shelf = new Shelf(output, signal);
  const points = await Promise.all(
    [...expandPoints(definition)].map(
      async (point) =>
        ran.get(JSON.stringify(point.axes)) ??
        locatePoint(definition.name, point, (await openPredictedJob(point.settings, shelf)).spec),
    ),
  );
  const { metric = defaultMetric } = definition;
  const sketches = await sketchPoints({ definition, signal, output }, points, [metric], shelf);
  return {
    name: definition.name,
    axes: points.map(({ axes }) => axes),
    scores: points.map(({ axes }) => toScore(definition, reachedAt.get(JSON.stringify(axes)) ?? null)),
    sketch: points.map((_, i) => toScore(definition, sketches?.[i]?.[0] ?? null)),
  };
}

/** Of a measured experiment, from records that were made before; expected is what is predicted beside them. */
async function readGrid(definition: ExperimentDefinition): Promise<Grid | null> {
  const results = join(defaultResultsDirectory, 'reference');
  const runs = await readRuns({ results, experiment: definition.name });
  const values = { measured: new Map<string, number[]>(), simulated: new Map<string, number[]>() };
  for (const { record } of runs) {
    if (!record.point) continue;
    const key = JSON.stringify(record.point.axes);
    values[record.kind].set(key, [...(values[record.kind].get(key) ?? []), record.result.tokensPerSecond]);
  }
  const keys = [...values.measured.keys()];
  if (keys.length === 0) return null;
  const scoreOf = (of: number[] | undefined) => toScore(definition, of ? median(of) : null);
  return {
    name: definition.name,
    axes: keys.map((key) => JSON.parse(key)),
    scores: keys.map((key) => scoreOf(values.measured.get(key))),
    sketch: keys.map((key) => scoreOf(values.simulated.get(key))),
  };
}

/** So few runs cannot tell what each axis does: where a tenth is no more, nothing but luck or a sketch finds the best. */
const numVarying = ({ axes }: Grid) => placePoints(axes as never).isOrdered.length;

export async function benchSearch(options: BenchOptions): Promise<void> {
  const { output, signal } = options;
  const results = join(cacheDirectory, 'search-grids');
  const grids: Grid[] = [];
  for (const name of Object.keys(shippedExperiments)) {
    const definition = await openExperiment(name);
    output.note(`search: all points of ${name}`);
    const grid =
      definition.kind === 'simulated'
        ? await runGrid(definition, results, options)
        : await readGrid(definition);
    if (grid !== null) grids.push(grid);
  }
  const rows = grids.map((grid) => {
    signal.throwIfAborted();
    return { grid, sketched: trySearch(grid, true), alone: trySearch(grid, false) };
  });
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const needed = ({ needed: { median: middle, most } }: SearchTrial) => `${middle}, at most ${most}`;
  type Row = (typeof rows)[number];
  output.say(
    formatTable<Row>(
      [
        { title: 'experiment', align: 'left', text: ({ grid }) => grid.name },
        { title: 'points', text: ({ grid }) => String(grid.axes.length) },
        { title: 'a tenth', text: ({ sketched }) => String(sketched.budget) },
        { title: 'reached', text: ({ sketched }) => percent(sketched.reached) },
        { title: 'points for 98 %', text: ({ sketched }) => needed(sketched) },
        { title: 'without sketch', text: ({ alone }) => percent(alone.reached) },
        { title: 'points for 98 %', text: ({ alone }) => needed(alone) },
        {
          title: 'mistaken',
          text: ({ sketched, alone }) => `${sketched.numMistaken}, ${alone.numMistaken}`,
        },
        { title: 'verdict', align: 'left', text: describeVerdict },
      ],
      rows,
    ),
  );
  output.say(
    `\nmedians of ${numSeeds} seeds; mistaken: searches that took themselves for converged with a tenth, and were not`,
  );
  output.document({ rows: rows.map(({ grid: { name }, sketched, alone }) => ({ name, sketched, alone })) });

  function describeVerdict({ grid, sketched }: Row): string {
    if (sketched.reached >= wanted) return 'reached';
    const fewest = numVarying(grid) + 1;
    return sketched.budget < fewest
      ? `not reached: ${sketched.budget} cannot tell what ${fewest - 1} axes do`
      : 'NOT reached';
  }
}
