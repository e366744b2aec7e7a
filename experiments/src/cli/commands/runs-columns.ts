/** `specoffload runs columns`: what `list`, `query` and `export` know of a run. */

import type { Command } from 'commander';
import { columns, type RowColumn } from '../../store/index.js';
import { formatTable } from '../../terminal/table.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';

export function addRunsColumnsCommand(runs: Command, _context: CommandContext): void {
  const command = runs.command('columns').description('print the columns of list, query and export');
  withCommonOptions(command, 'specoffload runs columns').action((options: CommonOptions) => {
    const output = outputFor(options);
    output.say(
      formatTable<RowColumn>(
        [
          { title: 'column', align: 'left', text: ({ name }) => name },
          { title: 'unit', align: 'left', text: ({ unit }) => unit },
          { title: 'meaning', align: 'left', text: ({ meaning }) => meaning },
        ],
        columns,
      ),
    );
    output.say(
      '\nand every policy field, setting and axis under its own name, such as candidates; an axis or a setting takes ' +
        'the place of strategy, target, draft, machine, workload, prompts and maxNewTokens',
    );
    output.document(columns.map(({ name, type, unit, meaning }) => ({ name, type, unit, meaning })));
  });
}
