/** tslab's converter: a cell in, JavaScript out, with the way back to the cell's lines. It outlives its own mistakes. */

import { reasonOf } from '@specoffload/input';
import type { Converter, ConvertResult } from 'tslab/dist/converter.js';
import { requireFromKernel } from '../packages.js';
import { type CellSyntax, readCellSyntax } from './cell-syntax.js';
import type { CellFailure } from './failure.js';
import { translateCell } from './program.js';
import { spellOutShorthand } from './shorthand.js';
import { createLocator, type Position, type TracedScript } from './traces.js';
import { takeMaps, tslabTypescript } from './typescript.js';

export interface CompiledCell {
  /** Null where nothing of the cell is left to run. */
  readonly script: string | null;
  readonly isAsync: boolean;
  /** What it imports, now or later. */
  readonly imports: readonly string[];
  /** The export that the value of the last expression goes to. */
  readonly resultName: string | null;
  /** TypeScript modules that the cell imports, and that are new or have changed. */
  readonly modules: readonly CompiledModule[];
  readonly locate: TracedScript['locate'];
  /** Call it when the cell has run to its end: what it declared is known from then on. */
  keepDeclarations(): void;
}

export interface CompiledModule {
  readonly path: string;
  readonly script: string;
  readonly locate: TracedScript['locate'];
}

export interface Compiler {
  compile(code: string): CompiledCell | CellFailure;
  /** A module of the notebook (`/** @module name *\/`), or a script for browsers, which is checked alone. */
  addModule(name: string, code: string, meta: CellMetadata): CellFailure | null;
  inspect(code: string, offset: number): ReturnType<Converter['inspect']> | null;
  complete(code: string, offset: number): ReturnType<Converter['complete']> | null;
  /** What cells have declared. */
  forget(): void;
  close(): void;
}

export interface CellMetadata {
  readonly module?: string;
  readonly mode?: 'node' | 'browser';
}

/** tslab puts `export {};` above everything that it converts itself. */
const linesAbove = 1;

export function createCompiler(): Compiler {
  let declarations = '';
  const node = createRenewable(false);
  // It takes a second to make.
  const browser = createRenewable(true);
  // What the first cell would wait for otherwise, and its time limit would count.
  node.use((converter) => converter.convert('', ''));
  const ask = <T>(work: (converter: Converter) => T): T | null => {
    try {
      return node.use(work);
    } catch {
      return null;
    }
  };
  return {
    compile(code) {
      try {
        const spelled = spellOutShorthand(code);
        const converted = node.use((converter) =>
          translateCell(() => converter.convert(declarations, spelled.code)),
        );
        if (converted.diagnostics.length > 0)
          return describeDiagnostics(converted.diagnostics, (offset) =>
            positionOf(code, spelled.toOriginal(offset)),
          );
        return toCompiledCell(
          converted,
          readCellSyntax(code),
          ({ line, column }) => positionOf(code, spelled.toOriginal(offsetOf(spelled.code, line, column))),
          () => {
            declarations = converted.declOutput || '';
          },
        );
      } catch (error) {
        return describeMistake(error);
      }
    },
    addModule(name, code, meta) {
      try {
        const { use } = meta.mode === 'browser' ? browser : node;
        const diagnostics = use((converter) => converter.addModule(name, code, meta as never));
        return diagnostics.length === 0
          ? null
          : describeDiagnostics(diagnostics, (at) => positionOf(code, at));
      } catch (error) {
        return describeMistake(error);
      }
    },
    inspect: (code, offset) => ask((converter) => converter.inspect(declarations, code, offset)),
    complete: (code, offset) => ask((converter) => converter.complete(declarations, code, offset)),
    forget() {
      declarations = '';
    },
    close() {
      node.close();
      browser.close();
    },
  };
}

/** A converter that failed in the middle of its work answers nothing any more: the next one is new. */
function createRenewable(isBrowser: boolean) {
  let converter: Converter | null = null;
  const prepare = (): Converter => {
    tslabTypescript();
    const { createConverter } = requireFromKernel(
      'tslab/dist/converter.js',
    ) as typeof import('tslab/dist/converter.js');
    converter ??= createConverter({ isJS: false, isBrowser });
    return converter;
  };
  const close = () => {
    const closing = converter;
    converter = null;
    closing?.close();
  };
  return {
    close,
    use<T>(work: (converter: Converter) => T): T {
      try {
        return work(prepare());
      } catch (error) {
        close();
        throw error;
      }
    },
  };
}

function toCompiledCell(
  converted: ConvertResult,
  { imports, hasForAwait }: CellSyntax,
  toOriginal: (position: Position) => Position,
  keepDeclarations: () => void,
): CompiledCell {
  const { output = '', sideOutputs = [], hasToplevelAwait, lastExpressionVar } = converted;
  const [own, ...others] = takeMaps([output, ...sideOutputs.map(({ data }) => data)]).map((maps) =>
    maps === null ? () => null : createLocator(maps),
  );
  const locate: TracedScript['locate'] = (position) => {
    const at = own!(position);
    return at && at.line > linesAbove ? toOriginal({ ...at, line: at.line - linesAbove }) : null;
  };
  return {
    script: output === '' ? null : output,
    isAsync: hasToplevelAwait === true || hasForAwait,
    imports,
    resultName: lastExpressionVar ?? null,
    modules: sideOutputs.map(({ path, data }, index) => ({ path, script: data, locate: others[index] })),
    locate,
    keepDeclarations,
  };
}

function describeDiagnostics(
  diagnostics: ConvertResult['diagnostics'],
  toOriginal: (offset: number) => Position,
): CellFailure {
  const lines = diagnostics.map(({ fileName, start, messageText }) => {
    // A module that the cell imports counts its own lines.
    const { line, column } = fileName
      ? { line: start.line + 1, column: start.character + 1 }
      : toOriginal(start.offset);
    return `${fileName ? `${fileName} ` : ''}${line}:${column} - ${messageText}`;
  });
  return { ename: 'TypeScriptError', evalue: lines[0], traceback: lines };
}

/** Mostly a stack that a cell too deep for it has filled. */
function describeMistake(error: unknown): CellFailure {
  const evalue = `TypeScript cannot translate this cell (${reasonOf(error)}); divide it into smaller expressions`;
  return { ename: 'TypeScriptError', evalue, traceback: [evalue] };
}

function offsetOf(code: string, line: number, column: number): number {
  let offset = 0;
  for (let at = 1; at < line; at++) {
    const end = code.indexOf('\n', offset);
    if (end < 0) break;
    offset = end + 1;
  }
  return Math.min(code.length, offset + column - 1);
}

function positionOf(code: string, offset: number): Position {
  const before = code.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}
