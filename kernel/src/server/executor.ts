/** Runs cells: TypeScript in, a value or a failure out, whatever the cell does. */

import { Script } from 'node:vm';
import { requireFromKernel } from '../packages.js';
import { importAhead } from './awaited.js';
import { awaitingName } from './awaits.js';
import { type CellMetadata, type CompiledCell, type Compiler, createCompiler } from './compiler.js';
import { type CellFailure, describeThrown } from './failure.js';
import { awaiting, interruptCells, runInterruptible } from './interruption.js';
import { type CellModules, createCellModules } from './modules.js';
import { type ResultBundle, showResult } from './result.js';
import { traceScript } from './traces.js';

export interface CellOutcome {
  /** The value of the cell's last expression in the forms that it can be shown in, if it has one. */
  readonly result: ResultBundle | null;
  readonly failure: CellFailure | null;
}

export interface CellExecutor extends Pick<Compiler, 'inspect' | 'complete' | 'close'> {
  /**
   * One cell at a time.
   * @param number what the cell is called in traces of later ones; null for one without a number
   */
  execute(code: string, number?: number | null): Promise<CellOutcome>;
  interrupt(): void;
  /** What cells have declared; what they did to the process stays, and packages stay loaded. */
  forget(): void;
}

type Exports = Record<string, unknown>;

export function createCellExecutor(rootDirectory: string): CellExecutor {
  const compiler = createCompiler();
  const modules = createCellModules(rootDirectory);
  const exports = createExports();
  let numExecuted = 0;

  return {
    inspect: compiler.inspect,
    complete: compiler.complete,
    close: compiler.close,
    interrupt: interruptCells,
    forget() {
      compiler.forget();
      modules.forget();
      for (const name of Object.keys(exports)) delete exports[name];
    },
    async execute(code, number = null) {
      const id = ++numExecuted;
      const meta = readMetadata(code);
      if (meta.module !== undefined)
        return { result: null, failure: compiler.addModule(meta.module, code, meta) };
      if (meta.mode === 'browser') return { result: null, failure: null };
      const compiled = compiler.compile(code);
      if ('ename' in compiled) return { result: null, failure: compiled };
      await importAhead(compiled.imports, rootDirectory);
      modules.update(compiled.modules);
      const file = `specoffload-cell-${id}`;
      const label = () => (id === numExecuted || number === null ? 'cell' : `cell[${number}]`);
      traceScript(file, { label, locate: compiled.locate });
      try {
        const outcome = await runInterruptible(() => settle(evaluate(compiled, file, exports, modules)));
        if (outcome.failure === null) compiled.keepDeclarations();
        return outcome;
      } catch (interruption) {
        return { result: null, failure: describeThrown(interruption) };
      }
    },
  };
}

/** Here, where it may be interrupted: what was thrown may run code of its own when it is looked at. */
async function settle(result: Promise<ResultBundle | null>): Promise<CellOutcome> {
  try {
    return { result: await result, failure: null };
  } catch (error) {
    return { result: null, failure: describeThrown(error) };
  }
}

/** `/** @module name *\/` and the like above a cell, which tslab reads. */
function readMetadata(code: string): CellMetadata {
  const { getCodeMetadata } = requireFromKernel(
    'tslab/dist/metadata.js',
  ) as typeof import('tslab/dist/metadata.js');
  return getCodeMetadata(code);
}

async function evaluate(
  { script, isAsync, resultName }: CompiledCell,
  file: string,
  exports: Exports,
  { require }: CellModules,
): Promise<ResultBundle | null> {
  if (script === null) return null;
  // A function, since cells declare anew what others have declared, and its own line, so that lines keep their numbers.
  const head = `(${isAsync ? 'async ' : ''}function (exports, require, ${awaitingName}) {`;
  const run = new Script(`${head}\n${script}\n})`, { filename: file, lineOffset: -1 }).runInThisContext();
  await run(exports, require, awaiting);
  if (resultName === null) return null;
  const value = exports[resultName];
  delete exports[resultName];
  return value === null || value === undefined ? null : showResult(value);
}

/**
 * What cells have declared, for one another. TypeScript defines what is imported by getters: they are read at once,
 * so that a later cell may set the name anew.
 */
function createExports(): Exports {
  const values: Exports = {};
  return new Proxy(values, {
    defineProperty(_target, name, { get, value }) {
      if (name !== '__esModule') values[name as string] = get === undefined ? value : get();
      return true;
    },
  });
}
