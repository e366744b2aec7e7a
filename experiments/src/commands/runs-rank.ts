/** `specoffload runs rank`: an experiment's points, best first, and how sure their order is. */

import { UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { formatCell } from '../cells.js';
import { asUsage } from '../errors.js';
import { plural } from '../format.js';
import {
  compareToBaseline,
  describeSuperseded,
  describeVerdict,
  type RankedPoint,
  supersededPoints,
} from '../statistics/index.js';
import { columns } from '../store/index.js';
import { assertMetric, defaultMetric } from '../sweep/metrics.js';
import { openQuestion, parseBaseline, type Question } from '../sweep/question.js';
import { axisColumns } from '../sweep/report.js';
import { type Column, formatTable } from '../table.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { addResultsOption, type ResultsOptions, readSelected } from './runs-options.js';

interface RankCommandOptions extends CommonOptions, ResultsOptions {
  readonly metric?: string;
  readonly baseline?: Readonly<Record<string, string | number>>;
}

export function addRunsRankCommand(runs: Command, context: CommandContext): void {
  const command = runs
    .command('rank')
    .description("print an experiment's points, best first, with 95 % intervals and ratios to its baseline")
    .argument('<experiment>', "a folder of the record store, or the definition's file")
    .option(
      '--metric <column>',
      "column of results to judge by, less of seconds and bytes being better (default: the experiment's own)",
    )
    .option(
      '--baseline <axis=value>',
      "what others are compared with (default: the definition's)",
      parseBaseline,
    );
  addResultsOption(command);
  withCommonOptions(
    command,
    'specoffload runs rank candidates',
    'specoffload runs rank candidates --metric passes --baseline candidates=4',
  ).action(async (experiment: string, options: RankCommandOptions) => {
    const output = outputFor(options);
    const asked = await openQuestion(experiment);
    const { metric, lowerIsBetter } = judgeBy(options, asked);
    const { results, baseline = asked.baseline } = options;
    const selection = { results, experiment: asked.name };
    const { runs: stored, warnings } = await readSelected(selection, output, context.signal);
    const records = stored.map(({ record }) => record);
    const points = compareToBaseline(records, {
      ...{ name: asked.name, metric, lowerIsBetter },
      ...(baseline && { baseline }),
    });
    if (points.length === 0)
      throw new UserError(
        `no runs of ${asked.name} have ${metric}; \`specoffload sweep\` makes some, \`specoffload runs list\` shows what is there`,
      );
    const numOlder = supersededPoints(records).size;
    if (numOlder > 0) output.note(describeSuperseded(numOlder));
    output.say(describeRanking(points, metric));
    output.document({
      experiment: asked.name,
      ...{ metric, lowerIsBetter },
      baseline: baseline ?? null,
      points,
      warnings,
    });
  });
}

function judgeBy(
  { metric }: RankCommandOptions,
  definition: Question,
): { readonly metric: string; readonly lowerIsBetter: boolean } {
  if (metric === undefined)
    return { metric: definition.metric ?? defaultMetric, lowerIsBetter: definition.lowerIsBetter ?? false };
  asUsage(() => assertMetric(metric));
  return { metric, lowerIsBetter: ['s', 'B'].includes(unitOf(metric)) };
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
