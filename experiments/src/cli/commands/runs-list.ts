/** `specoffload runs list`: stored runs as a table, a line each. */

import type { Command } from 'commander';
import { columns, type Row, type RowValue } from '../../store/index.js';
import { UsageError } from '../../terminal/errors.js';
import { formatCount, plural } from '../../terminal/format.js';
import { formatTable } from '../../terminal/table.js';
import { formatCell } from '../cells.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { addSelectionOptions, type SelectionOptions, selectRows } from './runs-options.js';

interface ListOptions extends CommonOptions, SelectionOptions {
  readonly sort: string;
  readonly limit?: number;
  readonly columns?: string;
}

/** Rows of the table unless --limit says otherwise. */
const defaultLimit = 50;
/** Letters of a key that tell runs apart, nearly always. */
const keyLetters = 10;

export function addRunsListCommand(runs: Command, context: CommandContext): void {
  const command = runs
    .command('list')
    .description('print stored runs as a table, newest first')
    .option('--sort <column>', 'largest first; +column: smallest first', 'createdAt')
    .option(
      '--limit <n>',
      `at most so many (default: ${defaultLimit} in the table, all with --json)`,
      wholeNumber('--limit', 1, 1e9),
    )
    .option('--columns <names>', 'comma-separated; `specoffload runs columns` lists them');
  addSelectionOptions(command);
  withCommonOptions(
    command,
    'specoffload runs list --experiment main --sort tokensPerSecond',
    'specoffload runs list --where "kind = \'simulated\' and candidates >= 4" --columns key,candidates,tokensPerSecond',
  ).action(async (options: ListOptions) => {
    const output = outputFor(options);
    const { rows, warnings } = await selectRows(options, output, context.signal);
    const names = options.columns?.split(',').map((name) => name.trim());
    const known = columnNames(rows);
    for (const name of names ?? []) assertColumn('--columns', name, known);
    const sorted = sortRows(rows, options.sort, known);
    const limit = options.limit ?? (options.json ? sorted.length : defaultLimit);
    const shown = sorted.slice(0, limit);
    output.say(describeRows(shown, names ?? usualColumns(shown), sorted.length));
    output.document({
      total: sorted.length,
      runs: names ? shown.map((row) => pick(row, names)) : shown,
      warnings,
    });
  });
}

function describeRows(shown: readonly Row[], names: readonly string[], total: number): string {
  if (total === 0) return 'no runs';
  const table = formatTable<Row>(
    names.map((name) => {
      const unit = columns.find((column) => column.name === name)?.unit;
      const isText = shown.every((row) => typeof row[name] !== 'number');
      const text = (row: Row) => {
        const cell = formatCell(row[name] ?? null, unit);
        return name === 'key' ? cell.slice(0, keyLetters) : cell;
      };
      return { title: name, align: isText ? 'left' : 'right', text };
    }),
    shown,
  );
  const rest = total - shown.length;
  return rest === 0
    ? `${table}\n\n${plural(total, 'run')}`
    : `${table}\n\n${formatCount(shown.length)} of ${plural(total, 'run')}; --limit ${total} shows all`;
}

/** Of one experiment its axes; of several what all runs have. */
function usualColumns(rows: readonly Row[]): string[] {
  const varying = columnNames(rows).filter((name) => !fixedNames.has(name) && takesSeveralValues(rows, name));
  const isOne = new Set(rows.map(({ experiment }) => experiment)).size === 1;
  const asked = isOne ? varying.slice(0, 5) : ['target'];
  return ['key', 'createdAt', 'experiment', 'kind', 'strategy', ...asked, ...usualResults].filter(
    (name, i, all) => all.indexOf(name) === i,
  );
}

const usualResults = ['tokensPerSecond', 'seconds', 'acceptanceRate', 'repeat'];
/** What an experiment does not choose. */
const fixedNames = new Set(columns.filter(({ group }) => group !== 'asked').map(({ name }) => name));

function takesSeveralValues(rows: readonly Row[], name: string): boolean {
  const first = JSON.stringify(rows[0]?.[name] ?? null);
  return rows.some((row) => JSON.stringify(row[name] ?? null) !== first);
}

function columnNames(rows: readonly Row[]): string[] {
  const names = new Set(columns.map(({ name }) => name));
  for (const row of rows) for (const name of Object.keys(row)) names.add(name);
  return [...names];
}

function assertColumn(flag: string, name: string, known: readonly string[]): void {
  if (!known.includes(name))
    throw new UsageError(
      `invalid ${flag}: ${name}; expected columns of these runs, such as strategy or tokensPerSecond; ` +
        '`specoffload runs columns` lists them',
    );
}

/** Rows without a value come last either way. */
function sortRows(rows: readonly Row[], sort: string, known: readonly string[]): Row[] {
  const [name, sign] = sort.startsWith('+') ? [sort.slice(1), 1] : [sort, -1];
  assertColumn('--sort', name, known);
  return [...rows].sort((a, b) => {
    const [valueA, valueB] = [a[name] ?? null, b[name] ?? null];
    if (valueA === null || valueB === null) return Number(valueA === null) - Number(valueB === null);
    return sign * compareValues(valueA, valueB);
  });
}

function compareValues(a: NonNullable<RowValue>, b: NonNullable<RowValue>): number {
  if (a === b) return 0;
  return typeof a === typeof b ? (a < b ? -1 : 1) : typeof a < typeof b ? -1 : 1;
}

function pick(row: Row, names: readonly string[]): Record<string, RowValue> {
  return Object.fromEntries(names.map((name) => [name, row[name] ?? null]));
}
