/** Notebook files, nbformat 4: read with a clear word about what is wrong, written as Jupyter writes them. */

import { createHash } from 'node:crypto';
import { check, is, maybeReadText, parseJson, quote, type Schema } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import type { JsonObject } from '../json.js';
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

const remedy = 'give a notebook of nbformat 4';

export async function readNotebook(path: string): Promise<Notebook> {
  const text = await maybeReadText(path, mostBytes);
  if (text === null) throw new NotebookError(`cannot read ${path}: there is no such file; check the name`);
  return parseNotebook(text, path);
}

/** @param name what messages call it. */
export function parseNotebook(text: string, name: string): Notebook {
  const { metadata, cells } = check(notebook, parseJson(text, name, {}, remedy), name, { remedy });
  const parse = (value: unknown, index: number) =>
    check(cell, value, `${name}, cell ${index + 1}`, { whole: 'cell', remedy });
  return { metadata, cells: withIds(cells.map(parse)) };
}

const notebook = is.picked({ nbformat: is.oneOf([4]), metadata: is.object, cells: is.listOf(is.anything) });

const lines = is.readAs((text) => joinText(text) ?? undefined, 'a text or a list of texts');

/** What else is there is passed over: nobody runs or shows it. */
const maybe = <Value>(otherwise: unknown, read: (value: unknown) => Value) =>
  is.into(is.orElse(is.anything, otherwise), read);
const count = maybe(null, toCount);
const words = maybe('missing', toText);

const content = {
  data: is.into(is.object, (data): MimeBundle => {
    return Object.fromEntries(Object.entries(data).map(([mime, part]) => [mime, joinPart(mime, part)]));
  }),
  metadata: is.orElse(is.object, {}),
};

const output: Schema<CellOutput> = is.variant('output_type', {
  stream: is.picked({
    output_type: is.oneOf(['stream']),
    name: maybe('stdout', (name) => (name === 'stderr' ? 'stderr' : 'stdout')),
    text: lines,
  }),
  error: is.picked({
    ...{ output_type: is.oneOf(['error']), ename: words, evalue: words },
    traceback: maybe([], (traceback) => (isTextList(traceback) ? [...traceback] : [])),
  }),
  display_data: is.picked({ output_type: is.oneOf(['display_data']), ...content }),
  execute_result: is.picked({
    ...{ output_type: is.oneOf(['execute_result']), ...content, execution_count: count },
  }),
});

const base = {
  id: maybe('', (id) => (typeof id === 'string' ? id : '')),
  metadata: is.orElse(is.fields({ tags: is.orMissing(is.listOf(is.anyText)) }), {}),
  source: lines,
};
const code = is.oneOf(['code']);
const outputs = is.into(is.orElse(is.listOf(output), []), (list) => [...list]);
const attachments = is.orMissing(is.object);

const cell: Schema<Cell> = is.variant('cell_type', {
  code: is.picked({ ...base, cell_type: code, execution_count: count, outputs }),
  markdown: is.picked({ ...base, cell_type: is.oneOf(['markdown']), attachments }),
  raw: is.picked({ ...base, cell_type: is.oneOf(['raw']), attachments }),
});

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
