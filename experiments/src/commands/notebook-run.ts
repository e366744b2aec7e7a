/** `specoffload notebook run`: a notebook from top to bottom, without Jupyter and without Python. */

import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '@specoffload/engine';
import {
  exportHtml,
  type NotebookFailure,
  type NotebookOutcome,
  type NotebookProgress,
  type ParameterValue,
  parseAssignment,
  runNotebook,
} from '@specoffload/kernel';
import type { Command } from 'commander';
import { UsageError } from '../errors.js';
import { formatSeconds, plural } from '../format.js';
import type { Output } from '../output.js';
import { displayPath } from '../paths.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { asUserErrors } from './notebook-common.js';

interface NotebookRunOptions extends CommonOptions {
  readonly parameter: Readonly<Record<string, ParameterValue>>;
  readonly quick?: true;
  readonly out?: string;
  readonly html?: string;
  readonly timeout?: number;
  readonly cellTimeout?: number;
}

const mostSeconds = 1_000_000;

export function addNotebookRunCommand(notebook: Command, context: CommandContext): void {
  const command = notebook
    .command('run')
    .description('run a notebook headless, write it with its outputs, stop at the first cell that fails')
    .argument('<notebook>', 'an .ipynb file in TypeScript')
    .option(
      '-p, --parameter <key=value>',
      'override what the cell tagged "parameters" declares; JSON, NaN, Infinity or plain text; may be repeated',
      collectParameter,
      {},
    )
    .option('--quick', 'the same as -p quick=true')
    .option(
      '--out <file>',
      'the executed notebook; may be the notebook itself (default: NAME.executed.ipynb)',
    )
    .option('--html <file>', 'also write a page that shows it, standalone')
    .option('--timeout <seconds>', 'for all cells together', wholeNumber('--timeout', 1, mostSeconds))
    .option('--cell-timeout <seconds>', 'for each cell', wholeNumber('--cell-timeout', 1, mostSeconds));
  withCommonOptions(
    command,
    'specoffload notebook run notebooks/00-start.ipynb --quick --html start.html',
  ).action((path: string, options: NotebookRunOptions) => runFromCommandLine(path, options, context));
}

function collectParameter(
  text: string,
  before: Readonly<Record<string, ParameterValue>>,
): Readonly<Record<string, ParameterValue>> {
  try {
    const [name, value] = parseAssignment(text);
    return { ...before, [name]: value };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function runFromCommandLine(
  path: string,
  options: NotebookRunOptions,
  { signal }: CommandContext,
): Promise<void> {
  const output = outputFor(options);
  const out = resolve(options.out ?? join(dirname(path), `${basename(path, '.ipynb')}.executed.ipynb`));
  const follower = output.follow();
  const outcome = await asUserErrors(async () => {
    try {
      return await runNotebook({
        path,
        out,
        parameters: { ...options.parameter, ...(options.quick && { quick: true }) },
        ...(options.timeout !== undefined && { totalTimeoutSeconds: options.timeout }),
        ...(options.cellTimeout !== undefined && { cellTimeoutSeconds: options.cellTimeout }),
        onProgress: (progress) => {
          if (progress.status === 'running' || progress.status === 'starting')
            return follower.update(() => describeProgress(progress));
          follower.end();
          output.note(describeProgress(progress));
        },
        signal,
      });
    } finally {
      follower.end();
    }
  });
  const html = options.html === undefined ? null : resolve(options.html);
  if (html !== null) await asUserErrors(() => exportHtml(outcome.notebook, basename(path, '.ipynb'), html));
  report(output, outcome, out, html);
  if (outcome.failure?.kind === 'interrupted') throw signal.reason;
  if (outcome.failure !== null)
    throw new UserError(
      `cell ${outcome.failure.cell} failed: ${firstLine(outcome.failure)}; ` +
        `what was executed is in ${displayPath(out)}`,
    );
}

function report(output: Output, outcome: NotebookOutcome, out: string, html: string | null): void {
  const { status, cells, failure, seconds } = outcome;
  if (failure !== null) output.note(describeFailure(failure));
  else output.say(`${plural(cells.length, 'cell')} in ${formatSeconds(seconds)}`);
  for (const path of [out, html]) if (path !== null) output.say(`wrote ${displayPath(path)}`);
  output.document({ status, seconds, cells, failure, out, html });
}

function describeProgress({ status, cell, numCells, source, seconds }: NotebookProgress): string {
  if (status === 'starting') return 'starting the kernel';
  const line = source.trim().split('\n', 1)[0]!.slice(0, 60);
  return `cell ${cell} of ${numCells}: ${status}, ${formatSeconds(seconds)}  ${line}`;
}

/** The source as it stands, with line numbers, and what the kernel said about it. */
function describeFailure({ cell, source, traceback }: NotebookFailure): string {
  const lines = source.split('\n').map((line, index) => `${String(index + 1).padStart(4)} │ ${line}`);
  return [`cell ${cell}:`, ...lines, ...traceback].join('\n');
}

function firstLine({ ename, evalue, kind }: NotebookFailure): string {
  const line = evalue.split('\n', 1)[0]!;
  return kind === 'error' ? `${ename}: ${line}` : line;
}
