/** Collects what a kernel publishes into the outputs of notebook cells. */

import { defaultMaxDepth, isRecord } from '@specoffload/input';
import type { JsonObject } from '../json.js';
import type { Message } from '../wire/message.js';
import { type CellOutput, type CodeCell, toText } from './format.js';

/** Longer outputs are cut, with a note of how much there was: a notebook is read by people. */
export interface OutputLimits {
  /** Of each stream of a cell. */
  readonly streamChars: number;
  /** Of all figures, tables and images of a cell. */
  readonly displayChars: number;
  /** Of all cells together: what is much longer fits into no string when it is written. */
  readonly notebookChars: number;
}

export const defaultLimits: OutputLimits = {
  streamChars: 1_000_000,
  displayChars: 64_000_000,
  notebookChars: 200_000_000,
};

/** What an output takes in the file beside its text. */
const frameChars = 100;

/** A cell whose outputs are being collected. */
interface Collected {
  readonly cell: CodeCell;
  /** What each stream said, kept or not. */
  streamChars: Record<string, number>;
  /** What its streams keep. */
  keptStreamChars: number;
  displayChars: number;
  isClearDue: boolean;
}

/** One collector for a notebook: a display may be updated by a later cell, and a cell may print after its end. */
export class OutputCollector {
  readonly #limits: OutputLimits;
  readonly #displays = new Map<string, ShownDisplay[]>();
  /** By the id of the request that runs the cell. */
  readonly #byRequest = new Map<string, Collected>();
  #latest: Collected | null = null;
  #notebookChars = 0;

  readonly #handlers: Readonly<Partial<Record<string, (content: JsonObject, to: Collected) => void>>> = {
    stream: (content, to) => this.#addStream(content, to),
    display_data: (content, to) => this.#addDisplay(content, to),
    update_display_data: (content) => this.#updateDisplay(content),
    execute_result: (content, to) =>
      this.#push(to, {
        output_type: 'execute_result',
        ...bundleOf(content),
        execution_count: countOf(content),
      }),
    error: ({ ename, evalue, traceback }, to) =>
      this.#pushError(to, toText(ename), toText(evalue), toLines(traceback)),
    clear_output: ({ wait }, to) => {
      to.isClearDue = true;
      if (wait !== true) this.#clearIfDue(to);
    },
    execute_input: (content, { cell }) => {
      cell.execution_count = countOf(content);
    },
  };

  constructor(limits: OutputLimits = defaultLimits) {
    this.#limits = limits;
  }

  /** Mutates `cell`: its outputs begin anew and are filled by `add`. */
  begin(cell: CodeCell): void {
    cell.outputs = [];
    cell.execution_count = null;
    this.#latest = { cell, streamChars: {}, keptStreamChars: 0, displayChars: 0, isClearDue: false };
  }

  /** A message goes to the cell whose request caused it, also after the cell's end; else to the latest. */
  add({ header, parent, content }: Message): void {
    const handle = this.#handlers[header.msg_type];
    if (this.#latest === null) return;
    const to = this.#byRequest.get(parent?.msg_id ?? '') ?? this.#latest;
    if (parent !== null && to === this.#latest) this.#byRequest.set(parent.msg_id, to);
    if (handle !== undefined) handle(content, to);
  }

  /** What a program writes that the latest cell has started, or the kernel's process itself. */
  addText(name: 'stdout' | 'stderr', text: string): void {
    if (this.#latest !== null) this.#addStream({ name, text }, this.#latest);
  }

  /** Writes the notes about what was cut; nothing is collected afterwards. */
  end(): void {
    const all = new Set(this.#byRequest.values());
    if (this.#latest !== null) all.add(this.#latest);
    for (const collected of all) this.#noteCuts(collected);
    this.#byRequest.clear();
    this.#latest = null;
  }

  #noteCuts(to: Collected): void {
    for (const [name, chars] of Object.entries(to.streamChars)) {
      if (chars <= this.#limits.streamChars) continue;
      this.#appendStream(
        to,
        name,
        `\n[cut: ${name} had ${chars.toLocaleString('en-US')} characters, ` +
          `the first ${this.#limits.streamChars.toLocaleString('en-US')} are kept]\n`,
      );
    }
  }

  #addStream({ name, text }: JsonObject, to: Collected): void {
    if (typeof name !== 'string' || typeof text !== 'string') return;
    const before = to.streamChars[name] ?? 0;
    to.streamChars[name] = before + text.length;
    const room = Math.min(
      this.#limits.streamChars - before,
      this.#limits.notebookChars - this.#notebookChars,
      text.length,
    );
    if (room <= 0) return;
    to.keptStreamChars += room;
    this.#notebookChars += room;
    this.#appendStream(to, name, text.slice(0, room));
  }

  /** What one stream says without anything in between is one output. */
  #appendStream(to: Collected, name: string, text: string): void {
    this.#clearIfDue(to);
    const last = to.cell.outputs.at(-1);
    if (last?.output_type === 'stream' && last.name === name) last.text += text;
    else if (to.displayChars < this.#limits.displayChars) {
      this.#count(to, frameChars);
      to.cell.outputs.push({ output_type: 'stream', name, text });
    }
  }

  #clearIfDue(to: Collected): void {
    if (!to.isClearDue) return;
    this.#notebookChars -= to.keptStreamChars + to.displayChars;
    Object.assign(to, { isClearDue: false, streamChars: {}, keptStreamChars: 0, displayChars: 0 });
    to.cell.outputs = [];
  }

  #addDisplay(content: JsonObject, to: Collected): void {
    const output: DisplayOutput = { output_type: 'display_data', ...bundleOf(content) };
    const id = displayIdOf(content);
    if (id !== null) this.#displays.set(id, [...(this.#displays.get(id) ?? []), { output, in: to }]);
    this.#push(to, output);
  }

  #updateDisplay(content: JsonObject): void {
    for (const { output, in: to } of this.#displays.get(displayIdOf(content) ?? '') ?? []) {
      if (!to.cell.outputs.includes(output)) continue; // cleared since
      this.#count(to, -sizeOf(output.data));
      Object.assign(output, bundleOf(content));
      this.#countOrCut(to, output);
    }
  }

  #push(to: Collected, output: CellOutput): void {
    this.#clearIfDue(to);
    const isCut = 'data' in output && this.#countOrCut(to, output);
    if (isCut && isSameText(to.cell.outputs.at(-1), output)) return;
    to.cell.outputs.push(output);
  }

  /** A message of 100 MB was surely sent by mistake. */
  #pushError(to: Collected, ename: string, evalue: string, lines: readonly string[]): void {
    const most = this.#limits.streamChars;
    const traceback = lines.join('\n').slice(0, most).split('\n');
    const output = errorOutput(ename.slice(0, most), evalue.slice(0, most), traceback);
    this.#count(to, frameChars + ename.length + evalue.length + traceback.join('').length);
    this.#push(to, output);
  }

  /** Mutates `output` into a note where there is no room for it. @returns whether it did. */
  #countOrCut(to: Collected, output: BundleOutput): boolean {
    const { displayChars, notebookChars } = this.#limits;
    const chars = sizeOf(output.data);
    this.#count(to, chars);
    const isTooMuchHere = to.displayChars > displayChars;
    if (!isTooMuchHere && this.#notebookChars <= notebookChars) return false;
    this.#count(to, -chars);
    const [who, most] = isTooMuchHere ? ['cell', displayChars] : ['notebook', notebookChars];
    const note = `[cut: what this ${who} shows has more than ${most.toLocaleString('en-US')} characters]`;
    Object.assign(output, { data: { 'text/plain': note }, metadata: {} });
    return true;
  }

  #count(to: Collected, chars: number): void {
    to.displayChars += chars;
    this.#notebookChars += chars;
  }
}

type BundleOutput = Extract<CellOutput, { data: JsonObject }>;
type DisplayOutput = Extract<CellOutput, { output_type: 'display_data' }>;

interface ShownDisplay {
  readonly output: DisplayOutput;
  readonly in: Collected;
}

function isSameText(before: CellOutput | undefined, output: BundleOutput): boolean {
  return before !== undefined && 'data' in before && before.data['text/plain'] === output.data['text/plain'];
}

export function errorOutput(ename: string, evalue: string, traceback: readonly string[]): CellOutput {
  return { output_type: 'error', ename, evalue, traceback: [...traceback] };
}

function bundleOf({ data, metadata }: JsonObject): { data: JsonObject; metadata: JsonObject } {
  const parts = Object.entries(isRecord(data) ? data : {}).map(([mime, part]) =>
    isShallow(part) ? [mime, part] : ['text/plain', `[left out: ${mime} nests more than ${mostLevels} deep]`],
  );
  return {
    data: Object.fromEntries(parts),
    metadata: isRecord(metadata) && isShallow(metadata) ? metadata : {},
  };
}

/** JSON nested deeper than this could be written, but not be read again. */
const mostLevels = defaultMaxDepth - 10;

function isShallow(part: unknown, levels = mostLevels): boolean {
  if (typeof part !== 'object' || part === null) return true;
  return levels > 0 && Object.values(part).every((inner) => isShallow(inner, levels - 1));
}

function displayIdOf({ transient }: JsonObject): string | null {
  return isRecord(transient) && typeof transient.display_id === 'string' ? transient.display_id : null;
}

function countOf({ execution_count }: JsonObject): number | null {
  return typeof execution_count === 'number' ? execution_count : null;
}

function toLines(value: unknown): string[] {
  return Array.isArray(value) ? value.map(toText) : [];
}

function sizeOf(data: JsonObject): number {
  return Object.values(data).reduce<number>(
    (sum, part) => sum + (typeof part === 'string' ? part.length : JSON.stringify(part).length),
    frameChars,
  );
}
