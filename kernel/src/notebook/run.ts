/** Runs a notebook from top to bottom without a front end: read, inject, execute, save, whatever happens. */

import { dirname, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isRecord, quote, reasonOf } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import type { JsonObject } from '../json.js';
import { KernelSession, type SessionListener } from '../wire/session.js';
import { busySeconds, type CellFailure, describeDeath, type Limit, runCell } from './cell.js';
import { type Cell, type CodeCell, hasTag, type Notebook, readNotebook } from './format.js';
import { findLateError, waitForLeftovers } from './late.js';
import { errorOutput, OutputCollector } from './outputs.js';
import { injectParameters, type Parameters, withoutInjected } from './parameters.js';
import { assertWritable, saveNotebook } from './save.js';

export interface RunNotebookOptions {
  readonly path: string;
  /**
   * Where the executed notebook goes; the same path runs it in place, and leaves the cell with this run's parameters out:
   * they stand in the metadata. Default: kept in memory only.
   */
  readonly out?: string;
  readonly parameters?: Parameters;
  /** Longer than this, and a cell is interrupted, then killed. Default: no limit. */
  readonly cellTimeoutSeconds?: number;
  /** For all cells together. @default {@link defaultTotalSeconds} */
  readonly totalTimeoutSeconds?: number;
  /** The folder in which cells run. Default: the notebook's. */
  readonly cwd?: string;
  /** The program and its arguments, `{connection_file}` among them. Default: this package's kernel. */
  readonly kernelCommand?: readonly string[];
  /**
   * A kernel that is there already, in its own folder: it forgets what cells have declared, and goes on to live when
   * the notebook has ended. Default: one of the notebook's own.
   */
  readonly session?: KernelSession;
  readonly onProgress?: (progress: NotebookProgress) => void;
  /** Interrupts the cell under way; the notebook ends there, and what was executed is saved. */
  readonly signal?: AbortSignal;
}

/** Four hours: ten times what the longest of the lab's notebooks takes, and less than a machine of a CI is given. */
export const defaultTotalSeconds = 4 * 3600;

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
  /** What cells had left running when the kernel was ended, in words; what it did later is in no output. */
  readonly leftovers: readonly string[];
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

/**
 * @returns how it ended
 * @throws NotebookError when it cannot start, or `out` cannot be written: that is found out before the first cell.
 */
export async function runNotebook(options: RunNotebookOptions): Promise<NotebookOutcome> {
  const { path, out, parameters = {} } = options;
  const notebook = await readNotebook(path);
  assertTypeScript(notebook, path);
  const values = injectParameters(notebook, parameters);
  clearOutputs(notebook);
  if (out !== undefined) await assertWritable(out);
  return new NotebookRun(notebook, values, options).run();
}

type ParameterValues = ReturnType<typeof injectParameters>;

/** One execution; mutates its notebook. */
class NotebookRun {
  readonly #notebook: Notebook;
  readonly #parameters: ParameterValues;
  readonly #options: RunNotebookOptions;
  readonly #cells: readonly CodeCell[];
  readonly #collector = new OutputCollector();
  readonly #runs: CellRun[] = [];
  readonly #startedAt = new Date();
  readonly #startMs = performance.now();
  #savedMs = performance.now();
  #leftovers: readonly string[] = [];
  #versions: JsonObject = {};

  constructor(notebook: Notebook, parameters: ParameterValues, options: RunNotebookOptions) {
    this.#notebook = notebook;
    this.#parameters = parameters;
    this.#options = options;
    this.#cells = notebook.cells.filter((cell): cell is CodeCell => isRunnable(cell));
  }

  async run(): Promise<NotebookOutcome> {
    this.#report('starting', 0, '', 0);
    const session = await this.#openSession();
    this.#describeKernel(session.info);
    const mishaps: unknown[] = [];
    const failure = await this.#runCells(session).catch((error: unknown) => {
      mishaps.push(error);
      return null;
    });
    this.#collector.end();
    const status = failure === null && mishaps.length === 0 ? 'completed' : 'failed';
    // Each of these happens even where one before it failed: a kernel left behind would keep this process alive.
    await this.#save(status).catch((error: unknown) => mishaps.push(error));
    await this.#leave(session).catch((error: unknown) => mishaps.push(error));
    if (mishaps.length > 0) throw describeMishaps(failure, mishaps);
    return {
      status,
      notebook: this.#notebook,
      cells: this.#runs,
      failure,
      leftovers: this.#leftovers,
      seconds: this.#seconds(),
    };
  }

  async #openSession(): Promise<KernelSession> {
    const { path, session, cwd = dirname(resolve(path)), kernelCommand: command } = this.#options;
    const listener: SessionListener = {
      onText: (name, text) => this.#collector.addText(name, text),
      onLate: (message) => this.#collector.add(message),
    };
    if (session === undefined) return KernelSession.start({ cwd, ...(command && { command }), ...listener });
    await session.forget();
    session.listen(listener);
    return session;
  }

  async #leave(session: KernelSession): Promise<void> {
    if (this.#options.session === undefined) await session.shutdown();
    else session.listen({});
  }

  async #runCells(session: KernelSession): Promise<NotebookFailure | null> {
    const seconds = this.#options.totalTimeoutSeconds ?? defaultTotalSeconds;
    const total = createTimeLimit(seconds, 'the notebook ran');
    try {
      for (const [index, cell] of this.#cells.entries()) {
        const failure = (await this.#runCell(session, cell, index + 1, total)) ?? this.#findLateFailure();
        if (failure !== null) return failure;
        if (performance.now() - this.#savedMs > saveSeconds * 1000) await this.#saveMeanwhile();
      }
      return await this.#awaitLeftovers(session);
    } finally {
      total?.cancel();
    }
  }

  async #awaitLeftovers(session: KernelSession): Promise<NotebookFailure | null> {
    try {
      this.#leftovers = await waitForLeftovers(session, this.#options.signal);
    } catch (error) {
      const last = this.#runs.length;
      return last === 0 ? null : this.#fail(last, describeDeath(error));
    }
    return this.#findLateFailure();
  }

  /** A cell that ended without an error, and whose timers or promises failed afterwards. */
  #findLateFailure(): NotebookFailure | null {
    for (const [index, { status }] of this.#runs.entries()) {
      const cell = this.#cells[index];
      const error = hasTag(cell, 'raises-exception') ? null : findLateError(cell);
      if (status === 'completed' && error !== null) return this.#fail(index + 1, { kind: 'error', ...error });
    }
    return null;
  }

  #fail(number: number, failure: CellFailure): NotebookFailure {
    const cell = this.#cells[number - 1];
    const run = this.#runs[number - 1];
    this.#runs[number - 1] = { ...run, status: 'failed' };
    cell.metadata = { ...cell.metadata, specoffload: { status: 'failed', seconds: run.seconds } };
    if (findLateError(cell) === null)
      cell.outputs.push(errorOutput(failure.ename, failure.evalue, failure.traceback));
    return { ...failure, cell: number, source: cell.source };
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
    await nextTurn(); // what a program has written by then is read before the next cell begins
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
    this.#versions = isRecord(versions) ? versions : {};
    this.#notebook.metadata = {
      ...this.#notebook.metadata,
      kernelspec: {
        name: 'specoffload',
        display_name: 'SpecOffload Lab (TypeScript)',
        language: 'typescript',
      },
      ...(isRecord(language_info) && { language_info }),
    };
  }

  /** Where this fails, the save at the end may still succeed; if not, that one says why. */
  async #saveMeanwhile(): Promise<void> {
    await this.#save('running').catch(() => {});
    this.#savedMs = performance.now();
  }

  async #save(status: 'running' | NotebookOutcome['status']): Promise<void> {
    this.#notebook.metadata = {
      ...this.#notebook.metadata,
      specoffload: {
        status,
        parameters: toJson(this.#parameters),
        versions: this.#versions,
        startedAt: this.#startedAt.toISOString(),
        seconds: this.#seconds(),
      },
    };
    const { path, out } = this.#options;
    if (out !== undefined)
      await saveNotebook(out, isSameFile(path, out) ? withoutInjected(this.#notebook) : this.#notebook);
    this.#savedMs = performance.now();
  }

  #report(status: NotebookProgress['status'], cell: number, source: string, seconds: number): void {
    this.#options.onProgress?.({ status, cell, numCells: this.#cells.length, source, seconds });
  }

  #seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }
}

const isSameFile = (path: string, out: string) => resolve(path) === resolve(out);

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
    isRecord(kernelspec) && typeof kernelspec.language === 'string'
      ? kernelspec.language
      : isRecord(language_info)
        ? language_info.name
        : 'typescript';
  if (language !== 'typescript')
    throw new NotebookError(`${path} is written in ${quote(language)}; expected a notebook in typescript`);
}

interface TimeLimit extends Limit {
  cancel(): void;
}

/** The first cause first, whatever cleaning up added to it. */
function describeMishaps(failure: NotebookFailure | null, mishaps: readonly unknown[]): NotebookError {
  const cell = failure === null ? [] : [`cell ${failure.cell} failed: ${failure.ename}: ${failure.evalue}`];
  return new NotebookError([...cell, ...mishaps.map(reasonOf)].join('; then '), { cause: mishaps[0] });
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

/** As the metadata hold them: NaN and infinity, which JSON lacks, as text. */
function toJson(parameters: ParameterValues): unknown {
  return JSON.parse(
    JSON.stringify(parameters, (_key, value) =>
      typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
    ),
  );
}
