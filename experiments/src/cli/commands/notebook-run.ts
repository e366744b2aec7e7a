/** `specoffload notebook run`: a notebook from top to bottom, without Jupyter and without Python. */

import { basename, dirname, join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { UserError } from '@specoffload/engine';
import { printable, printableLines } from '@specoffload/input';
import type { NotebookFailure, NotebookOutcome, NotebookProgress, Parameters } from '@specoffload/kernel';
import type { Command } from 'commander';
import { displayPath } from '../../paths.js';
import { UsageError } from '../../terminal/errors.js';
import { formatSeconds, plural } from '../../terminal/format.js';
import type { Follower, Output } from '../../terminal/output.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { withKernel } from './notebook-common.js';

interface NotebookRunOptions extends CommonOptions {
  readonly parameter: readonly string[];
  readonly quick?: true;
  readonly out?: string;
  readonly html?: string;
  readonly timeout?: number;
  readonly cellTimeout?: number;
}

const mostSeconds = 1_000_000;
/** `defaultTotalSeconds` of the kernel package, which is not loaded for a page of help. */
const defaultTotalSeconds = 14_400;

export function addNotebookRunCommand(notebook: Command, context: CommandContext): void {
  const command = notebook
    .command('run')
    .description('run a notebook headless, write it with its outputs, stop at the first cell that fails')
    .argument('<notebook>', 'an .ipynb file in TypeScript')
    .option(
      '-p, --parameter <key=value>',
      'override what the cell tagged "parameters" declares: JSON, NaN, Infinity or plain text; repeatable',
      (text: string, before: readonly string[]) => [...before, text],
      [],
    )
    .option('--quick', 'the same as -p quick=true')
    .option(
      '--out <file>',
      'the executed notebook, may be the notebook itself (default: NAME.executed.ipynb); in place, the cell with the parameters of this run is left out',
    )
    .option('--html <file>', 'also write it as a page that stands alone')
    .option(
      '--timeout <seconds>',
      `for all cells together (default: ${defaultTotalSeconds}, four hours)`,
      wholeNumber('--timeout', 1, mostSeconds),
    )
    .option('--cell-timeout <seconds>', 'for each cell', wholeNumber('--cell-timeout', 1, mostSeconds));
  withCommonOptions(
    command,
    'specoffload notebook run notebooks/00-start.ipynb --quick --html start.html',
  ).action((path: string, options: NotebookRunOptions) => runFromCommandLine(path, options, context));
}

async function runFromCommandLine(
  path: string,
  options: NotebookRunOptions,
  { signal }: CommandContext,
): Promise<void> {
  const output = outputFor(options);
  const title = basename(path, '.ipynb');
  const out = resolve(options.out ?? join(dirname(path), `${title}.executed.ipynb`));
  const html = options.html === undefined ? null : resolve(options.html);
  assertPlaces(resolve(path), out, html);
  if (html !== null) await withKernel(({ assertWritable }) => assertWritable(html));
  const outcome = await runFollowed(path, out, options, signal, output);
  const { status, cells, failure, leftovers, seconds } = outcome;
  if (failure !== null) output.note(describeFailure(failure));
  if (leftovers.length > 0) output.note(describeLeftovers(leftovers));
  if (html !== null) await withKernel(({ exportHtml }) => exportHtml(outcome.notebook, title, html));
  report(output, outcome, [out, ...(html === null ? [] : [html])]);
  output.document({ status, seconds, cells, failure, leftovers, out, html });
  if (failure?.kind === 'interrupted') throw signal.reason;
  if (failure !== null)
    throw new UserError(
      `cell ${failure.cell} failed: ${firstLine(failure)}; what was executed is in ${displayPath(out)}${remedy(failure, options)}`,
    );
}

function assertPlaces(path: string, out: string, html: string | null): void {
  if (html === null) return;
  if (html === out) throw new UsageError('invalid --html: the same file as --out; name another');
  if (html === path) throw new UsageError('invalid --html: the notebook itself; name another file');
}

async function runFollowed(
  path: string,
  out: string,
  options: NotebookRunOptions,
  signal: AbortSignal,
  output: Output,
): Promise<NotebookOutcome> {
  const parameters = await parseParameters(options);
  const follower = output.follow();
  try {
    return await withKernel(({ runNotebook }) =>
      runNotebook({
        path,
        out,
        parameters,
        ...(options.timeout !== undefined && { totalTimeoutSeconds: options.timeout }),
        ...(options.cellTimeout !== undefined && { cellTimeoutSeconds: options.cellTimeout }),
        onProgress: (progress) => follow(progress, follower, output),
        signal,
      }),
    );
  } finally {
    follower.end();
  }
}

async function parseParameters({ parameter, quick }: NotebookRunOptions): Promise<Parameters> {
  try {
    return await withKernel(({ parseAssignment }) => ({
      ...Object.fromEntries(parameter.map(parseAssignment)),
      ...(quick && { quick: true }),
    }));
  } catch (error) {
    throw error instanceof UserError ? new UsageError(error.message) : error;
  }
}

/** A cell under way has a line that changes, one that has ended a line that stays. */
function follow(progress: NotebookProgress, follower: Follower, output: Output): void {
  const isUnderWay = progress.status === 'starting' || progress.status === 'running';
  if (isUnderWay) follower.update(() => describeProgress(progress));
  else {
    follower.end();
    output.note(describeProgress(progress));
  }
}

function describeProgress({ status, cell, numCells, source, seconds }: NotebookProgress): string {
  if (status === 'starting') return 'starting the kernel';
  const line = printable(source.trim().slice(0, 200).split('\n', 1)[0].slice(0, 60));
  return `cell ${cell} of ${numCells}: ${status}, ${formatSeconds(seconds)}  ${line}`;
}

function report(output: Output, { cells, failure, seconds }: NotebookOutcome, files: string[]): void {
  if (failure === null) output.say(`${plural(cells.length, 'cell')} in ${formatSeconds(seconds)}`);
  for (const path of files) output.say(`wrote ${displayPath(path)}`);
}

/** The source as it stands, with line numbers, and what the kernel said about it. */
function describeFailure({ cell, source, traceback }: NotebookFailure): string {
  const lines = source.split('\n').map((line, index) => `${String(index + 1).padStart(4)} │ ${line}`);
  return printableLines(stripVTControlCharacters([`cell ${cell}:`, ...lines, ...traceback].join('\n')));
}

function describeLeftovers(leftovers: readonly string[]): string {
  return `the cells left ${leftovers.join(' and ')} running, which was ended; what it would have printed later is missing`;
}

function remedy({ kind }: NotebookFailure, { timeout, cellTimeout }: NotebookRunOptions): string {
  const isDefault = kind === 'timeout' && timeout === undefined && cellTimeout === undefined;
  return isDefault ? '; --timeout allows more' : '';
}

function firstLine({ ename, evalue, kind }: NotebookFailure): string {
  const line = printable(stripVTControlCharacters(evalue).split('\n', 1)[0]);
  return kind === 'error' ? `${ename}: ${line}` : line;
}
