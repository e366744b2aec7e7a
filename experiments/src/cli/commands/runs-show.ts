/** `specoffload runs show`: all about one stored run. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { printable } from '@specoffload/input';
import type { Command } from 'commander';
import { alignFacts, describeRun } from '../../job/describe-run.js';
import { displayPath } from '../../paths.js';
import {
  findRun,
  type ModelRecord,
  type PlannedRecord,
  type RowValue,
  type RunRecord,
  type StoredRun,
} from '../../store/index.js';
import { formatBytes, formatCount, formatPercent, plural, threeDigits } from '../../terminal/format.js';
import { formatCell } from '../cells.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { addResultsOption, assertExists, type ResultsOptions } from './runs-options.js';

interface ShowOptions extends CommonOptions, ResultsOptions {}

export function addRunsShowCommand(runs: Command, _context: CommandContext): void {
  const command = runs
    .command('show')
    .description('print one stored run: what came out, what was run, where')
    .argument('<key>', "the run's key, or the first letters of it");
  addResultsOption(command);
  withCommonOptions(command, 'specoffload runs show 3c82b6').action((key: string, options: ShowOptions) => {
    const output = outputFor(options);
    assertExists(options.results);
    const run = findRun(options.results, key);
    output.say(describeStoredRun(run));
    output.document(run);
  });
}

function describeStoredRun({ record, folder }: StoredRun): string {
  const title = record.kind === 'simulated' ? 'predicted ' : '';
  const files = readdirSync(folder).map((name) => displayPath(join(folder, name)));
  return [
    `${title}${describeRun(record)}`,
    '',
    ...alignFacts([
      ...describeAsked(record),
      ['policy', describeFields(record.policy)],
      ...describePoint(record),
      ...describeConditions(record),
      ...describeProvenance(record),
      ...files.map((file, i) => [i === 0 ? 'files' : '', file] as const),
    ]),
  ].join('\n');
}

type Facts = (readonly [name: string, text: string])[];

function describeAsked({ key, createdAt, kind, seed, repeat, model, machine, workload }: RunRecord): Facts {
  const { name, prompts, promptTokens, maxNewTokens } = workload;
  return [
    ['key', key],
    ['run', `${kind} ${formatCell(createdAt, 'ISO 8601')} UTC, seed ${seed}, repeat ${repeat}`],
    ['target', describeModel(model.target)],
    ...(model.draft ? [['draft', describeModel(model.draft)] as const] : []),
    ['machine', printable(machine.name)],
    [
      'workload',
      `${printable(name)}: ${plural(prompts, 'prompt')}, ${plural(promptTokens, 'token')}; ` +
        `at most ${plural(maxNewTokens, 'new token')} each`,
    ],
  ];
}

function describeModel({ name, parameters, bytes }: ModelRecord): string {
  return `${printable(name)}, ${formatCount(parameters)} parameters, ${formatBytes(bytes)}`;
}

function describePlanned({ plannedFor }: PlannedRecord): string {
  const { machine, deviceBytes, hostBytes, tokensPerSecond } = plannedFor;
  return (
    `for this point: ${printable(machine)} with ${formatBytes(deviceBytes)} of device memory and ${formatBytes(hostBytes)} of the host's, ` +
    `predicted ${threeDigits(tokensPerSecond)} tokens/s`
  );
}

function describePoint({ point }: RunRecord): Facts {
  if (point === undefined) return [];
  return [
    ['experiment', printable(point.experiment)],
    ['axes', describeFields(point.axes)],
    ['asked for', describeFields(point.settings)],
    ...(point.planned ? [['planned', describePlanned(point.planned)] as const] : []),
  ];
}

function describeConditions(record: RunRecord): Facts {
  if (record.kind !== 'measured' || record.conditions === undefined) return [];
  const { stolenShare, othersShare, isDisturbed } = record.conditions;
  const shares = `${formatPercent(stolenShare)} stolen, ${formatPercent(othersShare)} used by others`;
  return [['processors', `${shares}${isDisturbed ? ': disturbed' : ''}`]];
}

function describeProvenance({ provenance }: RunRecord): Facts {
  const { version, commit, dirty, node, packages, cpu, cores, memoryBytes } = provenance;
  const release = version === undefined ? '' : `${version}, `;
  const code = commit === null ? 'outside git' : `commit ${commit}${dirty ? ', with changes' : ''}`;
  const versions = Object.entries({ node, ...packages }).map(([name, version]) => `${name} ${version}`);
  return [
    ['code', printable(`${release}${code}`)],
    ['versions', printable(versions.join(', '))],
    ['made on', `${printable(cpu)}, ${plural(cores, 'core')}, ${formatBytes(memoryBytes)}`],
  ];
}

function describeFields(fields: object): string {
  const entries = Object.entries(fields) as [string, RowValue][];
  return entries.map(([name, value]) => `${printable(name)} ${formatCell(value)}`).join(', ') || '-';
}
