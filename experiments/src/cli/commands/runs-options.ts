/** What the `runs` commands share: which runs, and reading them. */

import { existsSync } from 'node:fs';
import { UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { defaultResultsDirectory, displayPath } from '../../paths.js';
import {
  filterRows,
  type ReadRequest,
  type Row,
  type RunRecord,
  readRows,
  readRuns,
  type StoredRun,
} from '../../store/index.js';
import { UsageError } from '../../terminal/errors.js';
import type { Output } from '../../terminal/output.js';
import { oneOf } from './common.js';

export interface ResultsOptions {
  readonly results: string;
}

export interface SelectionOptions extends ResultsOptions {
  readonly experiment?: string;
  readonly kind?: RunRecord['kind'];
  readonly where?: string;
}

export function addResultsOption(command: Command): Command {
  return command.option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
}

export function addSelectionOptions(command: Command): Command {
  return addResultsOption(command)
    .option('--experiment <name>', 'only runs of this experiment (its folder in the record store)')
    .option(
      '--kind <kind>',
      'only measured, or only simulated runs',
      oneOf('--kind', ['measured', 'simulated']),
    )
    .option(
      '--where <condition>',
      'only runs for which this SQL condition over their columns is true, such as "strategy = \'flexgen\' and prompts > 64"',
    );
}

export interface Selection {
  readonly rows: readonly Row[];
  /** One sentence for each folder that was passed over. */
  readonly warnings: readonly string[];
}

/** @throws UserError when there is no such store, UsageError for a condition that DuckDB does not understand */
export async function selectRows(
  options: SelectionOptions,
  output: Output,
  signal: AbortSignal,
): Promise<Selection> {
  const warnings: string[] = [];
  const rows = await readRows(toRequest(options, warnings, signal));
  sayWarnings(warnings, output);
  const { where } = options;
  return { rows: where === undefined ? rows : await filter(rows, where, signal), warnings };
}

/** Whole records, where rows do not do. @throws UserError when there is no such store */
export async function readSelected(
  options: Omit<SelectionOptions, 'where'>,
  output: Output,
  signal: AbortSignal,
): Promise<{ readonly runs: readonly StoredRun[]; readonly warnings: readonly string[] }> {
  const warnings: string[] = [];
  const runs = await readRuns(toRequest(options, warnings, signal));
  sayWarnings(warnings, output);
  return { runs, warnings };
}

function toRequest(
  { results, experiment, kind }: SelectionOptions,
  warnings: string[],
  signal: AbortSignal,
): ReadRequest {
  assertExists(results);
  return {
    // As people read it: every sentence about a folder begins with it.
    results: displayPath(results),
    ...{ signal, onWarning: (sentence: string) => warnings.push(sentence) },
    ...(experiment !== undefined && { experiment }),
    ...(kind && { kind }),
  };
}

/** Warnings in full; then how many more there are. */
const shownWarnings = 5;

function sayWarnings(warnings: readonly string[], output: Output): void {
  for (const warning of warnings.slice(0, shownWarnings)) output.note(`passed over ${warning}`);
  if (warnings.length > shownWarnings)
    output.note(`passed over ${warnings.length - shownWarnings} more; --json names them all`);
}

export function assertExists(results: string): void {
  if (!existsSync(results))
    throw new UserError(
      `there is no ${displayPath(results)}; store a run first, or choose another --results`,
    );
}

async function filter(rows: readonly Row[], where: string, signal: AbortSignal): Promise<Row[]> {
  try {
    return await filterRows(rows, where, signal);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UsageError(
      `--where ${where}: ${error.message}; \`specoffload runs columns\` lists the columns`,
    );
  }
}
