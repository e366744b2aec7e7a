/** Notebook files, nbformat 4: read with a clear word about what is wrong, written as Jupyter writes them. */

import { createHash } from 'node:crypto';
import { maybeReadText, parseJson, quote, reasonOf } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import { isObject, type JsonObject } from '../json.js';
import { splitLines, writeSorted } from './lines.js';

/** A bundle of one content in several media types. */
export type MimeBundle = JsonObject;

export type CellOutput =
  | { output_type: 'stream'; name: string; text: string }
  | { output_type: 'display_data'; data: MimeBundle; metadata: JsonObject }
  | { output_type: 'execute_result'; data: MimeBundle; metadata: JsonObject; execution_count: number | null }
  | { output_type: 'error'; ename: string; evalue: string; traceback: string[] };

interface CellBase {
  id: string;
  metadata: JsonObject;
  source: string;
}

export interface CodeCell extends CellBase {
  cell_type: 'code';
  execution_count: number | null;
  outputs: CellOutput[];
}

export interface TextCell extends CellBase {
  cell_type: 'markdown' | 'raw';
  attachments?: JsonObject;
}

export type Cell = CodeCell | TextCell;

/** Mutable: running a notebook fills it in. */
export interface Notebook {
  metadata: JsonObject;
  cells: Cell[];
}

const writtenMinor = 5;

/** Figures make notebooks long; one of more is a mistake. */
const mostBytes = 1 << 28;

export async function readNotebook(path: string): Promise<Notebook> {
  const text = await maybeReadText(path, mostBytes).catch((error) => {
    throw new NotebookError(reasonOf(error));
  });
  if (text === null) throw new NotebookError(`cannot read ${path}: there is no such file; check the name`);
  return parseNotebook(text, path);
}

/** @param name what messages call it. */
export function parseNotebook(text: string, name: string): Notebook {
  const wrong = (what: string) => new NotebookError(`${name} is no notebook: ${what}`);
  const value = parseNotebookJson(text, wrong);
  if (!isObject(value)) throw wrong('expected a JSON object');
  if (value.nbformat !== 4) throw wrong(`nbformat is ${quote(value.nbformat)}; expected 4`);
  if (!isObject(value.metadata)) throw wrong('metadata is missing');
  if (!Array.isArray(value.cells)) throw wrong('cells are missing');
  const cells = value.cells.map((cell, index) =>
    parseCell(cell, (what) => wrong(`cell ${index + 1} ${what}`)),
  );
  return { metadata: value.metadata, cells: withIds(cells) };
}

type Wrong = (what: string) => NotebookError;

function parseNotebookJson(text: string, wrong: Wrong): unknown {
  try {
    return parseJson(text, 'it');
  } catch (error) {
    throw wrong(reasonOf(error));
  }
}

function parseCell(cell: unknown, wrong: Wrong): Cell {
  if (!isObject(cell)) throw wrong('is no JSON object');
  const { cell_type, metadata = {}, id = '' } = cell;
  if (cell_type !== 'code' && cell_type !== 'markdown' && cell_type !== 'raw')
    throw wrong(`has the type ${quote(cell_type)}; expected code, markdown or raw`);
  if (!isObject(metadata)) throw wrong('has metadata that are no JSON object');
  if (metadata.tags !== undefined && !isTextList(metadata.tags))
    throw wrong('has tags that are no list of words');
  const source = joinText(cell.source);
  if (source === null) throw wrong('has no source; expected a string or a list of strings');
  const base = { id: typeof id === 'string' ? id : '', metadata, source };
  if (cell_type !== 'code') {
    const { attachments } = cell;
    return { ...base, cell_type, ...(isObject(attachments) && { attachments }) };
  }
  const { outputs = [], execution_count } = cell;
  if (!Array.isArray(outputs)) throw wrong('has outputs that are no list');
  return {
    ...base,
    cell_type,
    execution_count: toCount(execution_count),
    outputs: outputs.map((output) => parseOutput(output, wrong)),
  };
}

function parseOutput(output: unknown, wrong: Wrong): CellOutput {
  if (!isObject(output)) throw wrong('has an output that is no JSON object');
  const { output_type, metadata = {} } = output;
  if (output_type === 'stream') {
    const text = joinText(output.text);
    if (text === null) throw wrong('has a stream output without text');
    return { output_type, name: output.name === 'stderr' ? 'stderr' : 'stdout', text };
  }
  if (output_type === 'error') {
    const { ename, evalue, traceback } = output;
    return {
      output_type,
      ename: toText(ename),
      evalue: toText(evalue),
      traceback: isTextList(traceback) ? [...traceback] : [],
    };
  }
  if (output_type !== 'display_data' && output_type !== 'execute_result')
    throw wrong(`has an output of the type ${quote(output_type)}, which nbformat 4 does not know`);
  if (!isObject(output.data) || !isObject(metadata)) throw wrong(`has a ${output_type} without data`);
  const data = Object.fromEntries(
    Object.entries(output.data).map(([mime, part]) => [mime, joinPart(mime, part)]),
  );
  if (output_type === 'display_data') return { output_type, data, metadata };
  return { output_type, data, metadata, execution_count: toCount(output.execution_count) };
}

/** Texts are stored as lists of lines; what is JSON itself stays as it is. */
function joinPart(mime: string, part: unknown): unknown {
  return isJsonMime(mime) ? part : (joinText(part) ?? part);
}

function isJsonMime(mime: string): boolean {
  return mime === 'application/json' || (mime.startsWith('application/') && mime.endsWith('+json'));
}

function joinText(text: unknown): string | null {
  if (typeof text === 'string') return text;
  return isTextList(text) ? text.join('') : null;
}

/** Of a value that ought to be text. */
export function toText(value: unknown): string {
  return typeof value === 'string' ? value : quote(value);
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function toCount(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) ? value : null;
}

/** nbformat 4.5 wants an id for every cell. Made from place and text, so that running again changes nothing. */
function withIds(cells: Cell[]): Cell[] {
  const taken = new Set<string>();
  return cells.map((cell, index) => {
    const isUsable = /^[\w-]{1,64}$/.test(cell.id) && !taken.has(cell.id);
    const id = isUsable ? cell.id : createCellId(cell.source, index);
    taken.add(id);
    return { ...cell, id };
  });
}

export function createCellId(source: string, index: number): string {
  return createHash('sha256').update(`${index}\n${source}`).digest('hex').slice(0, 12);
}

export function hasTag(cell: Cell, tag: string): boolean {
  return isTextList(cell.metadata.tags) && cell.metadata.tags.includes(tag);
}

/** As Jupyter writes it: keys sorted, one space per level, texts as lists of lines. */
export function serializeNotebook({ metadata, cells }: Notebook): string {
  const document = {
    cells: cells.map((cell) => ({
      ...cell,
      source: splitLines(cell.source),
      ...(cell.cell_type === 'code' && { outputs: cell.outputs.map(serializeOutput) }),
    })),
    metadata,
    nbformat: 4,
    nbformat_minor: writtenMinor,
  };
  return `${writeSorted(document)}\n`;
}

function serializeOutput(output: CellOutput): JsonObject {
  if (output.output_type === 'stream') return { ...output, text: splitLines(output.text) };
  if (output.output_type === 'error') return { ...output };
  const data = Object.entries(output.data).map(([mime, part]) => [
    mime,
    typeof part === 'string' && !isJsonMime(mime) ? splitLines(part) : part,
  ]);
  return { ...output, data: Object.fromEntries(data) };
}
