/** tslab's executor, with results and failures as values instead of text on a console. */

import { inspect } from 'node:util';
import type { ConverterSet, Executor } from 'tslab/dist/executor.js';
import { requireFromKernel } from '../packages.js';
import { spellOutShorthand } from './shorthand.js';

/** Why a cell failed, as Jupyter's `error` message has it. */
export interface CellFailure {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

export interface CellOutcome {
  /** The value of the cell's last expression as text, if it has one. */
  readonly result: string | null;
  readonly failure: CellFailure | null;
}

export interface CellExecutor extends Pick<Executor, 'inspect' | 'complete' | 'interrupt' | 'close'> {
  /** One cell at a time. */
  execute(code: string): Promise<CellOutcome>;
}

export function createCellExecutor(rootDirectory: string): CellExecutor {
  const { createExecutor } = requireFromKernel(
    'tslab/dist/executor.js',
  ) as typeof import('tslab/dist/executor.js');
  let result: string | null = null;
  let diagnostics: string[] = [];
  let thrown: { readonly value: unknown } | null = null;
  // tslab logs the last expression's value, and as errors: what was thrown, or a type error in four pieces.
  const executor = createExecutor(rootDirectory, createConverters(), {
    log: (value: unknown) => {
      result = typeof value === 'string' ? value : inspect(value);
    },
    error: (first: unknown, ...pieces: unknown[]) => {
      if (pieces.length === 4) diagnostics.push(`${pieces[0]}${pieces[1]}:${pieces[2]} - ${pieces[3]}`);
      else thrown = { value: first };
    },
  });
  return {
    async execute(code) {
      result = null;
      diagnostics = [];
      thrown = null;
      const isDone = await executor.execute(spellOutShorthand(code));
      return { result, failure: isDone ? null : describeFailure(diagnostics, thrown) };
    },
    inspect: executor.inspect,
    complete: executor.complete,
    interrupt: executor.interrupt,
    close: executor.close,
  };
}

/** The converter for Node.js is made at once, since it takes a second; the one for browsers when a cell asks for it. */
function createConverters(): ConverterSet {
  const { createConverter } = requireFromKernel(
    'tslab/dist/converter.js',
  ) as typeof import('tslab/dist/converter.js');
  const node = createConverter({ isJS: false, isBrowser: false });
  let browser: ReturnType<typeof createConverter> | undefined;
  return {
    node,
    get browser() {
      browser ??= createConverter({ isJS: false, isBrowser: true });
      return browser;
    },
    close() {
      node.close();
      browser?.close();
    },
  };
}

function describeFailure(
  diagnostics: readonly string[],
  thrown: { readonly value: unknown } | null,
): CellFailure {
  if (thrown === null)
    return { ename: 'TypeScriptError', evalue: diagnostics[0] ?? 'the cell failed', traceback: diagnostics };
  return describeThrown(thrown.value);
}

export function describeThrown(value: unknown): CellFailure {
  if (isInterruption(value))
    return { ename: 'Interrupted', evalue: 'the cell was interrupted', traceback: ['Interrupted'] };
  if (!(value instanceof Error) && !isErrorLike(value))
    return { ename: 'Thrown', evalue: inspect(value), traceback: [`Thrown: ${inspect(value)}`] };
  return { ename: value.name, evalue: value.message, traceback: withoutMachinery(inspect(value)) };
}

/** Errors of another realm are no instances of this one's `Error`. */
function isErrorLike(value: unknown): value is Error {
  return Object.prototype.toString.call(value) === '[object Error]';
}

function isInterruption(value: unknown): boolean {
  if (!isErrorLike(value)) return false;
  const isSignal = (value as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED';
  return isSignal || value.message === 'Interrupted asynchronously';
}

/** A stack trace without the frames of tslab and of this kernel: nobody debugs a cell with them. */
function withoutMachinery(trace: string): string[] {
  const isMachinery = /^\s+at .*(tslab[\\/]dist[\\/]|kernel[\\/]dist[\\/]server[\\/]|node:vm:|node:internal)/;
  return trace
    .split('\n')
    .filter((line) => !isMachinery.test(line))
    .map((line) => line.replace('evalmachine.<anonymous>', 'cell'));
}
