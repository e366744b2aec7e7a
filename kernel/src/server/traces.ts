/** Stack traces in the terms of who wrote the code: a cell's own lines, however the code was translated. */

import { SourceMap } from 'node:module';
import type { MapTexts } from './typescript.js';

/** Both counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface TracedScript {
  /** What the script is called in a trace. */
  label(): string;
  /** Null for code that nobody wrote. */
  locate(position: Position): Position | null;
}

const scripts = new Map<string, TracedScript>();

/** @param file the name that the script is compiled under */
export function traceScript(file: string, script: TracedScript): void {
  scripts.set(file, script);
}

/** From emitted JavaScript to the text that TypeScript was given. */
export function createLocator({ toModule, toSource }: MapTexts): TracedScript['locate'] {
  let maps: readonly SourceMap[] | undefined;
  return (position) => {
    // Read when something fails, which most cells do not.
    maps ??= [toModule, toSource].map((text) => new SourceMap(JSON.parse(text)));
    return maps.reduce<Position | null>((at, map) => at && follow(map, at), position);
  };
}

function follow(map: SourceMap, { line, column }: Position): Position | null {
  const entry = map.findEntry(line - 1, column - 1);
  return 'originalLine' in entry ? { line: entry.originalLine + 1, column: entry.originalColumn + 1 } : null;
}

/** Wherever a stack is read from now on, it has the lines of who wrote the code. */
export function traceErrors(): void {
  Error.prepareStackTrace = (error, frames) =>
    [describeHead(error), ...frames.map((frame) => `    at ${retell(withoutExports(String(frame)))}`)].join(
      '\n',
    );
}

/** A function of an earlier cell is called as one of the cells' exports, which nobody has written. */
function withoutExports(frame: string): string {
  return frame.replace(/^(async )?Proxy\.(?=.*specoffload-cell-)/, '$1');
}

function describeHead(error: Error): string {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return 'Error';
  }
}

const place = /([^\s()]+?):(\d+)(?::(\d+))?(?=\)?$)/;

/** Text that ends with the place of code, as frames of a trace do and the first line of a syntax error. */
export function retell(text: string): string {
  return text.replace(place, (whole, file: string, line: string, column: string | undefined) => {
    const script = scripts.get(file);
    if (script === undefined) return whole;
    const at = script.locate({ line: Number(line), column: Number(column ?? 1) });
    if (at === null) return script.label();
    return column === undefined
      ? `${script.label()}:${at.line}`
      : `${script.label()}:${at.line}:${at.column}`;
  });
}
