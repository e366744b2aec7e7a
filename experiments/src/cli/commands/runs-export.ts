/** `specoffload runs export`: stored runs as one file for pandas, R, a spreadsheet. */

import type { Command } from 'commander';
import { displayPath } from '../../paths.js';
import { assertExportable, exportRows } from '../../store/index.js';
import { plural } from '../../terminal/format.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { addSelectionOptions, type SelectionOptions, selectRows } from './runs-options.js';

interface ExportOptions extends CommonOptions, SelectionOptions {
  readonly out: string;
}

export function addRunsExportCommand(runs: Command, context: CommandContext): void {
  const command = runs
    .command('export')
    .description('write stored runs into one Parquet or CSV file, a row each')
    .requiredOption('--out <file>', 'ends in .parquet or .csv; one that is there is replaced');
  addSelectionOptions(command);
  withCommonOptions(
    command,
    'specoffload runs export --experiment main --out runs.parquet',
    'specoffload runs export --kind measured --out runs.csv',
  ).action(async (options: ExportOptions) => {
    assertExportable(options.out);
    const output = outputFor(options);
    const { rows, warnings } = await selectRows(options, output, context.signal);
    await exportRows(rows, options.out);
    output.say(`${displayPath(options.out)}: ${plural(rows.length, 'run')}`);
    output.document({ path: options.out, runs: rows.length, warnings });
  });
}
