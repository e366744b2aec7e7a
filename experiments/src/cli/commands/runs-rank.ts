/** `specoffload runs rank`: an experiment's points, best first, and how sure their order is. */

import { UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { assertMetric, defaultMetric } from '../../definitions/metrics.js';
import { readDefinitions } from '../../definitions/stored-definitions.js';
import {
  compareToBaseline,
  describeSuperseded,
  describeVerdict,
  type Effects,
  effectsOf,
  type IncompleteGrid,
  type RankedPoint,
  supersededPoints,
} from '../../statistics/index.js';
import { columns } from '../../store/index.js';
import {
  type AskedExperiment,
  aimOf,
  chooseGenerations,
  findMissing,
  judgeBy,
  openAsked,
  parseBaseline,
} from '../../sweep/aim.js';
import { axisColumns } from '../../sweep/describe.js';
import { describeGeneration, type Generation, splitGenerations } from '../../sweep/generations.js';
import { asUsage } from '../../terminal/errors.js';
import { plural } from '../../terminal/format.js';
import { type Column, formatTable } from '../../terminal/table.js';
import { formatCell } from '../cells.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { describeEffects } from './runs-effects.js';
import { addResultsOption, type ResultsOptions, readSelected } from './runs-options.js';

interface RankCommandOptions extends CommonOptions, ResultsOptions {
  readonly metric?: string;
  readonly baseline?: Readonly<Record<string, string | number>>;
  readonly generation?: string;
}

export function addRunsRankCommand(runs: Command, context: CommandContext): void {
  const command = runs
    .command('rank')
    .description(
      "print an experiment's points, best first, with 95 % intervals and ratios to its baseline, and what each axis brings",
    )
    .argument('<experiment>', "a folder of the record store, or a definition's file")
    .option(
      '--metric <column>',
      "column of results to judge by, less of seconds and bytes being better (default: the definition's, as it is stored)",
    )
    .option(
      '--baseline <axis=value>',
      "what others are compared with (default: the definition's, as it is stored)",
      parseBaseline,
    )
    .option(
      '--generation <id>',
      'of runs that were asked for with different settings, only these (default: all, one after the other)',
    );
  addResultsOption(command);
  withCommonOptions(
    command,
    'specoffload runs rank candidates',
    'specoffload runs rank candidates --metric passes --baseline candidates=4',
  ).action(async (experiment: string, options: RankCommandOptions) => {
    const output = outputFor(options);
    if (options.metric !== undefined) asUsage(() => assertMetric(options.metric));
    const asked = await openAsked(experiment);
    const selection = { results: options.results, experiment: asked.name };
    const { runs: stored, warnings } = await readSelected(selection, output, context.signal);
    const definitions = await readDefinitions(options.results, asked.name, output.note);
    const all = splitGenerations(stored, definitions);
    const chosen = chooseGenerations(all, asked, options.generation);
    assertBaseline(options.baseline, chosen);
    const rankings = await Promise.all(
      chosen.map((generation) => rankGeneration(asked, generation, options)),
    );
    const filled = rankings.filter(({ points }) => points.length > 0);
    const [latest] = filled;
    if (latest === undefined) {
      const metric = rankings[0]?.metric ?? options.metric ?? defaultMetric;
      const isPoint = stored.some(({ record }) => record.point !== undefined);
      if (stored.length > 0 && !isPoint)
        throw new UserError(
          `the runs of ${asked.name} are no points of an experiment; expected some that \`specoffload sweep\` made; \`specoffload runs diff\` compares two of these`,
        );
      throw new UserError(
        `no runs of ${asked.name} have ${metric}; \`specoffload sweep\` makes some, \`specoffload runs list\` shows what is there`,
      );
    }
    for (const { generation, points, metric, numSuperseded, effects } of filled) {
      if (all.length > 1)
        output.say(`${generation === filled[0].generation ? '' : '\n'}${describeGeneration(generation)}`);
      if (numSuperseded > 0) output.note(describeSuperseded(numSuperseded));
      output.say(describeRanking(points, metric));
      for (const text of describeEffects(effects)) output.say(`\n${text}`);
    }
    const toDocument = ({ generation, metric, lowerIsBetter, baseline, points, effects }: Ranking) => ({
      ...{ generation: generation.id, settings: generation.settings },
      ...{ metric, lowerIsBetter, baseline, points, effects },
    });
    output.document({
      experiment: asked.name,
      ...toDocument(latest),
      ...(all.length > 1 && { generations: filled.map(toDocument) }),
      warnings,
    });
  });
}

/** As the report has it: without one that is there, nothing would be compared. @throws UserError */
function assertBaseline(baseline: RankCommandOptions['baseline'], chosen: readonly Generation[]): void {
  const points = chosen.flatMap(({ runs }) => runs.flatMap(({ record: { point } }) => point ?? []));
  const missing = baseline && points.length > 0 ? findMissing(baseline, points) : null;
  if (missing !== null) throw new UserError(missing);
}

interface Ranking {
  readonly generation: Generation;
  readonly metric: string;
  readonly lowerIsBetter: boolean;
  readonly baseline: Readonly<Record<string, string | number>> | null;
  /** Best first. */
  readonly points: readonly RankedPoint[];
  /** Of measured and of predicted points apart, where there are several axes. */
  readonly effects: readonly (Effects | IncompleteGrid)[];
  readonly numSuperseded: number;
}

async function rankGeneration(
  asked: AskedExperiment,
  generation: Generation,
  options: RankCommandOptions,
): Promise<Ranking> {
  const aim = judgeBy(await aimOf(asked, generation), options);
  const { metric = defaultMetric, lowerIsBetter = false, baseline = null } = aim;
  const records = generation.runs.map(({ record }) => record);
  const points = compareToBaseline(records, aim);
  return {
    ...{ generation, metric, lowerIsBetter, baseline, points, effects: effectsOf(records, aim) },
    numSuperseded: supersededPoints(records).size,
  };
}

function unitOf(metric: string) {
  return columns.find(({ name }) => name === metric)?.unit ?? '';
}

function describeRanking(points: readonly RankedPoint[], metric: string): string {
  const unit = unitOf(metric);
  const cell = (value: number | null) => formatCell(value, unit);
  const range = (low: number | null, high: number | null, text: (value: number | null) => string) =>
    low === null ? '-' : `${text(low)} to ${text(high)}`;
  const ratio = (value: number | null | undefined) => (value == null ? '-' : value.toFixed(3));
  const hasBaseline = points.some(({ overBaseline }) => overBaseline !== null);
  const isDisturbed = points.some(({ numDisturbed }) => numDisturbed > 0);
  const comparison: Column<RankedPoint>[] = [
    {
      title: 'over baseline',
      text: (point) => (point.isBaseline ? 'baseline' : ratio(point.overBaseline?.ratio)),
    },
    {
      title: '95 %',
      text: ({ overBaseline }) => range(overBaseline?.low ?? null, overBaseline?.high ?? null, ratio),
    },
    { title: 'verdict', align: 'left', text: describeVerdict },
  ];
  const table = formatTable<RankedPoint>(
    [
      ...axisColumns(points),
      ...(new Set(points.map(({ kind }) => kind)).size > 1
        ? [{ title: 'kind', align: 'left' as const, text: ({ kind }: RankedPoint) => kind }]
        : []),
      { title: metric, text: ({ sample }) => cell(sample.median) },
      { title: '95 %', text: ({ sample }) => range(sample.low, sample.high, cell) },
      { title: 'runs', text: ({ sample }) => String(sample.n) },
      ...(isDisturbed
        ? [{ title: 'disturbed', text: ({ numDisturbed }: RankedPoint) => String(numDisturbed) }]
        : []),
      ...(hasBaseline ? comparison : []),
    ],
    points,
  );
  return `${table}\n\n${plural(points.length, 'point')}; medians, and their intervals from three runs on`;
}
