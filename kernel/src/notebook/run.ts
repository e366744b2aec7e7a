/** Runs a notebook from top to bottom without a front end: read, inject, execute, save, whatever happens. */

import { dirname, resolve } from 'node:path';
import { quote } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import { isObject, type JsonObject } from '../json.js';
import { KernelSession } from '../wire/session.js';
import { busySeconds, type CellFailure, type Limit, runCell } from './cell.js';
import { type Cell, type CodeCell, hasTag, type Notebook, readNotebook } from './format.js';
import { OutputCollector } from './outputs.js';
import { injectParameters, type Parameters } from './parameters.js';
import { saveNotebook } from './save.js';

export interface RunNotebookOptions {
  readonly path: string;
  /** Where the executed notebook goes; the same path runs it in place. Default: kept in memory only. */
  readonly out?: string;
  readonly parameters?: Parameters;
  /** Longer than this, and a cell is interrupted, then killed. Default: no limit. */
  readonly cellTimeoutSeconds?: number;
  /** For all cells together. Default: no limit. */
  readonly totalTimeoutSeconds?: number;
  /** The folder in which cells run. Default: the notebook's. */
  readonly cwd?: string;
  /** The program and its arguments, `{connection_file}` among them. Default: this package's kernel. */
  readonly kernelCommand?: readonly string[];
  readonly onProgress?: (progress: NotebookProgress) => void;
  /** Interrupts the cell under way; the notebook ends there, and what was executed is saved. */
  readonly signal?: AbortSignal;
}

export interface NotebookProgress {
  readonly status: 'starting' | 'running' | 'completed' | 'failed';
  /** Of the cells with code, counted from 1; 0 while the kernel starts. */
  readonly cell: number;
  readonly numCells: number;
  readonly source: string;
  /** Since the cell began. */
  readonly seconds: number;
}

export interface NotebookOutcome {
  readonly status: 'completed' | 'failed';
  readonly notebook: Notebook;
  readonly cells: readonly CellRun[];
  readonly failure: NotebookFailure | null;
  readonly seconds: number;
}

export interface CellRun {
  /** Of the cells with code, counted from 1. */
  readonly cell: number;
  readonly status: 'completed' | 'failed' | 'pending';
  readonly seconds: number;
  /** What the kernel needed of it, by its own clock. */
  readonly busySeconds: number | null;
}

export interface NotebookFailure extends CellFailure {
  readonly cell: number;
  readonly source: string;
}

/** A file that grows is not saved after every cell, but at least this often, and at the end. */
const saveSeconds = 2;
const tickMs = 500;

/** @returns how it ended; only what prevents a start is thrown, as a {@link NotebookError}. */
export async function runNotebook(options: RunNotebookOptions): Promise<NotebookOutcome> {
  const { path, parameters = {} } = options;
  const notebook = await readNotebook(path);
  assertTypeScript(notebook, path);
  injectParameters(notebook, parameters);
  clearOutputs(notebook);
  return new NotebookRun(notebook, options).run();
}

/** One execution; mutates its notebook. */
class NotebookRun {
  readonly #notebook: Notebook;
  readonly #options: RunNotebookOptions;
  readonly #cells: readonly CodeCell[];
  readonly #collector = new OutputCollector();
  readonly #runs: CellRun[] = [];
  readonly #startedAt = new Date();
  readonly #startMs = performance.now();
  #savedMs = performance.now();
  #versions: JsonObject = {};

  constructor(notebook: Notebook, options: RunNotebookOptions) {
    this.#notebook = notebook;
    this.#options = options;
    this.#cells = notebook.cells.filter((cell): cell is CodeCell => isRunnable(cell));
  }

  async run(): Promise<NotebookOutcome> {
    this.#report('starting', 0, '', 0);
    const { path, cwd = dirname(resolve(path)), kernelCommand: command } = this.#options;
    const session = await KernelSession.start({ cwd, ...(command && { command }) });
    let failure: NotebookFailure | null = null;
    try {
      this.#describeKernel(session.info);
      failure = await this.#runCells(session);
    } finally {
      await this.#save(failure === null ? 'completed' : 'failed');
      await session.shutdown();
    }
    const status = failure === null ? 'completed' : 'failed';
    return { status, notebook: this.#notebook, cells: this.#runs, failure, seconds: this.#seconds() };
  }

  async #runCells(session: KernelSession): Promise<NotebookFailure | null> {
    const total = createTimeLimit(this.#options.totalTimeoutSeconds, 'the notebook ran');
    try {
      for (const [index, cell] of this.#cells.entries()) {
        const failure = await this.#runCell(session, cell, index + 1, total);
        if (failure !== null) return failure;
        if (performance.now() - this.#savedMs > saveSeconds * 1000) await this.#save('running');
      }
      return null;
    } finally {
      total?.cancel();
    }
  }

  async #runCell(
    session: KernelSession,
    cell: CodeCell,
    number: number,
    total: TimeLimit | null,
  ): Promise<NotebookFailure | null> {
    const startMs = performance.now();
    const seconds = () => (performance.now() - startMs) / 1000;
    const limit = createTimeLimit(this.#options.cellTimeoutSeconds, 'the cell ran');
    const ticker = setInterval(() => this.#report('running', number, cell.source, seconds()), tickMs);
    this.#report('running', number, cell.source, 0);
    const failure = await runCell(session, cell, this.#collector, this.#limits(limit, total));
    clearInterval(ticker);
    limit?.cancel();
    const isForgiven = failure?.kind === 'error' && hasTag(cell, 'raises-exception');
    const status = failure === null || isForgiven ? 'completed' : 'failed';
    this.#runs.push({ cell: number, status, seconds: seconds(), busySeconds: busySeconds(cell) });
    cell.metadata = { ...cell.metadata, specoffload: { status, seconds: seconds() } };
    this.#report(status, number, cell.source, seconds());
    return failure === null || isForgiven ? null : { ...failure, cell: number, source: cell.source };
  }

  #limits(...timed: (TimeLimit | null)[]): Limit[] {
    const { signal } = this.#options;
    const limits: Limit[] = timed.filter((limit) => limit !== null);
    if (signal !== undefined)
      limits.push({ kind: 'interrupted', message: 'the run was interrupted', signal });
    return limits;
  }

  #describeKernel({ language_info, versions }: JsonObject): void {
    this.#versions = isObject(versions) ? versions : {};
    this.#notebook.metadata = {
      ...this.#notebook.metadata,
      kernelspec: {
        name: 'specoffload',
        display_name: 'SpecOffload Lab (TypeScript)',
        language: 'typescript',
      },
      ...(isObject(language_info) && { language_info }),
    };
  }

  async #save(status: 'running' | NotebookOutcome['status']): Promise<void> {
    this.#notebook.metadata = {
      ...this.#notebook.metadata,
      specoffload: {
        status,
        parameters: toJson(this.#options.parameters ?? {}),
        versions: this.#versions,
        startedAt: this.#startedAt.toISOString(),
        seconds: this.#seconds(),
      },
    };
    if (this.#options.out !== undefined) await saveNotebook(this.#options.out, this.#notebook);
    this.#savedMs = performance.now();
  }

  #report(status: NotebookProgress['status'], cell: number, source: string, seconds: number): void {
    this.#options.onProgress?.({ status, cell, numCells: this.#cells.length, source, seconds });
  }

  #seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }
}

function isRunnable(cell: Cell): boolean {
  return cell.cell_type === 'code' && cell.source.trim() !== '';
}

/** Outputs of an earlier run would pass for this one's where it stops early. Mutates `notebook`. */
function clearOutputs(notebook: Notebook): void {
  for (const cell of notebook.cells) {
    if (cell.cell_type !== 'code') continue;
    cell.outputs = [];
    cell.execution_count = null;
    const { execution: _, ...metadata } = cell.metadata;
    cell.metadata = isRunnable(cell) ? { ...metadata, specoffload: { status: 'pending' } } : metadata;
  }
}

function assertTypeScript({ metadata }: Notebook, path: string): void {
  const { kernelspec, language_info } = metadata;
  const language =
    isObject(kernelspec) && typeof kernelspec.language === 'string'
      ? kernelspec.language
      : isObject(language_info)
        ? language_info.name
        : 'typescript';
  if (language !== 'typescript')
    throw new NotebookError(`${path} is written in ${quote(language)}; expected a notebook in typescript`);
}

interface TimeLimit extends Limit {
  cancel(): void;
}

function createTimeLimit(seconds: number | undefined, what: string): TimeLimit | null {
  if (seconds === undefined) return null;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), seconds * 1000);
  return {
    kind: 'timeout',
    message: `${what} longer than ${seconds} s`,
    signal: controller.signal,
    cancel: () => clearTimeout(timer),
  };
}

/** As the metadata keep them: JSON has no word for the numbers that are none. */
function toJson(parameters: Parameters): unknown {
  return JSON.parse(
    JSON.stringify(parameters, (_key, value) =>
      typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
    ),
  );
}
