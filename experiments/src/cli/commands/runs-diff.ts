/** `specoffload runs diff`: two stored runs side by side. */

import { printable } from '@specoffload/input';
import type { Command } from 'commander';
import {
  diffRuns,
  type FieldDifference,
  findRun,
  type ResultDifference,
  type RunDiff,
  type StoredRun,
} from '../../store/index.js';
import { type Column, formatTable } from '../../terminal/table.js';
import { formatCell } from '../cells.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { addResultsOption, assertExists, type ResultsOptions } from './runs-options.js';

interface DiffOptions extends CommonOptions, ResultsOptions {}

export function addRunsDiffCommand(runs: Command, _context: CommandContext): void {
  const command = runs
    .command('diff')
    .description('print what differs between two stored runs: configuration, results, code and machine')
    .argument('<a>', "a run's key, or the first letters of it")
    .argument('<b>', 'the same of the other run');
  addResultsOption(command);
  withCommonOptions(command, 'specoffload runs diff 3c82b6 a41f09').action(
    (keyA: string, keyB: string, options: DiffOptions) => {
      const output = outputFor(options);
      assertExists(options.results);
      const [a, b] = [findRun(options.results, keyA), findRun(options.results, keyB)];
      const diff = diffRuns(a.record, b.record);
      output.say(describeDiff(a, b, diff));
      output.document({
        a: { key: a.record.key, folder: a.folder },
        b: { key: b.record.key, folder: b.folder },
        ...diff,
      });
    },
  );
}

function describeDiff(a: StoredRun, b: StoredRun, diff: RunDiff): string {
  const sections = [
    describeRuns(a, b),
    describeConfiguration(a, b, diff),
    ...(diff.point.length > 0 ? [`what their experiments asked for\n${describeFields(diff.point)}`] : []),
    `results\n${describeResults(diff.results)}`,
    describeOutput(diff.isSameOutput),
    describeSection('code and machine', diff.provenance, 'the same code, packages and machine'),
    ...(diff.conditions.length > 0 ? [`what else ran\n${describeFields(diff.conditions)}`] : []),
  ];
  return sections.join('\n\n');
}

function describeRuns(a: StoredRun, b: StoredRun): string {
  return [a, b]
    .map(({ record }, i) => {
      const { key, kind, strategy, createdAt, repeat } = record;
      return `${'ab'[i]}  ${key}  ${strategy}, ${kind} ${formatCell(createdAt, 'ISO 8601')} UTC, repeat ${repeat}`;
    })
    .join('\n');
}

function describeConfiguration(
  a: StoredRun,
  b: StoredRun,
  { isSameConfiguration, configuration }: RunDiff,
): string {
  if (!isSameConfiguration) return `configuration\n${describeFields(configuration)}`;
  const repeats = [a, b].map(({ record }) => record.repeat);
  const which =
    a.record.key === b.record.key ? 'the same run' : `repeats ${repeats.join(' and ')} of one run`;
  const names = configuration.length > 0 ? `, under other names\n${describeFields(configuration)}` : '';
  return `identical configuration: ${which}${names}`;
}

function describeSection(title: string, differences: readonly FieldDifference[], none: string): string {
  return differences.length === 0 ? none : `${title}\n${describeFields(differences)}`;
}

function describeOutput(isSameOutput: boolean | null): string {
  if (isSameOutput === null) return 'predictions generate no tokens to compare';
  return isSameOutput ? 'the same tokens were generated' : 'other tokens were generated';
}

/** Digests and commits are told apart by their beginnings. */
const longestCell = 40;

function fieldColumns<D extends FieldDifference>(
  unitOf: (difference: D) => ResultDifference['unit'],
): Column<D>[] {
  const side = (name: 'a' | 'b'): Column<D> => ({
    title: name,
    text: (difference) => formatCell(difference[name], unitOf(difference)).slice(0, longestCell),
  });
  return [{ title: 'field', align: 'left', text: ({ field }) => printable(field) }, side('a'), side('b')];
}

function describeFields(differences: readonly FieldDifference[]): string {
  return formatTable(
    fieldColumns(() => ''),
    differences,
  );
}

function describeResults(results: readonly ResultDifference[]): string {
  return formatTable<ResultDifference>(
    [
      ...fieldColumns<ResultDifference>(({ unit }) => unit),
      { title: 'b / a', text: ({ ratio }) => (ratio === null ? '-' : ratio.toFixed(3)) },
    ],
    results,
  );
}
