/** `specoffload runs query`: any question to the stored runs, in SQL. */

import { UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { type QueryRow, type QueryValue, queryRows } from '../../store/index.js';
import { UsageError } from '../../terminal/errors.js';
import { formatTable } from '../../terminal/table.js';
import { formatCell } from '../cells.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { addSelectionOptions, type SelectionOptions, selectRows } from './runs-options.js';

interface QueryOptions extends CommonOptions, SelectionOptions {}

export function addRunsQueryCommand(runs: Command, context: CommandContext): void {
  const command = runs
    .command('query')
    .description('ask the stored runs in SQL, as DuckDB speaks it: they are the table runs')
    .argument('<sql>', 'one statement; it can neither read nor write anything but the table');
  addSelectionOptions(command);
  withCommonOptions(
    command,
    'specoffload runs query "select any_value(strategy) as strategy, count(*) as runs, median(tokensPerSecond) from runs group by pointKey"',
  ).action(async (sql: string, options: QueryOptions) => {
    const output = outputFor(options);
    const { rows } = await selectRows(options, output, context.signal);
    const answer = await queryRows(rows, sql, context.signal).catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      throw new UsageError(`${error.message}; \`specoffload runs columns\` lists the columns`);
    });
    output.say(answer.length === 0 ? 'no rows' : describeAnswer(answer));
    output.document(answer);
  });
}

function describeAnswer(answer: readonly QueryRow[]): string {
  return formatTable<QueryRow>(
    Object.keys(answer[0]).map((name) => ({
      title: name,
      align: answer.every((row) => typeof row[name] !== 'number') ? 'left' : 'right',
      text: (row) => describeValue(row[name] ?? null),
    })),
    answer,
  );
}

function describeValue(value: QueryValue): string {
  return formatCell(typeof value === 'object' && value !== null ? JSON.stringify(value) : value);
}
