/** Collects what a kernel publishes into the outputs of notebook cells. */

import { isObject, type JsonObject } from '../json.js';
import type { Message } from '../wire/message.js';
import type { CellOutput, CodeCell } from './format.js';

/** Longer outputs are cut, with a note of how much there was: a notebook is read by people. */
export interface OutputLimits {
  /** Of each stream of a cell. */
  readonly streamChars: number;
  /** Of all figures, tables and images of a cell. */
  readonly displayChars: number;
}

export const defaultLimits: OutputLimits = { streamChars: 1_000_000, displayChars: 64_000_000 };

/** One collector for a notebook: a display may be updated by a later cell. */
export class OutputCollector {
  readonly #limits: OutputLimits;
  readonly #displays = new Map<string, DisplayOutput[]>();
  #cell: CodeCell | null = null;
  #isClearDue = false;
  #streamChars: Record<string, number> = {};
  #displayChars = 0;

  readonly #handlers: Readonly<Partial<Record<string, (content: JsonObject) => void>>> = {
    stream: (content) => this.#addStream(content),
    display_data: (content) => this.#addDisplay(content),
    update_display_data: (content) => this.#updateDisplay(content),
    execute_result: (content) =>
      this.#push({ output_type: 'execute_result', ...bundleOf(content), execution_count: countOf(content) }),
    error: ({ ename, evalue, traceback }) =>
      this.#push(errorOutput(String(ename), String(evalue), toLines(traceback))),
    clear_output: ({ wait }) => {
      this.#isClearDue = true;
      if (wait !== true) this.#clearIfDue();
    },
    execute_input: (content) => {
      this.#cell!.execution_count = countOf(content);
    },
  };

  constructor(limits: OutputLimits = defaultLimits) {
    this.#limits = limits;
  }

  /** Mutates `cell`: its outputs begin anew and are filled by `add`. */
  begin(cell: CodeCell): void {
    cell.outputs = [];
    cell.execution_count = null;
    this.#cell = cell;
    this.#isClearDue = false;
    this.#streamChars = {};
    this.#displayChars = 0;
  }

  /** Writes the notes about what was cut. */
  end(): void {
    for (const [name, chars] of Object.entries(this.#streamChars)) {
      if (chars <= this.#limits.streamChars) continue;
      this.#appendStream(
        name,
        `\n[cut: ${name} had ${chars.toLocaleString('en-US')} characters, ` +
          `the first ${this.#limits.streamChars.toLocaleString('en-US')} are kept]\n`,
      );
    }
    this.#cell = null;
  }

  add({ header, content }: Message): void {
    const handle = this.#handlers[header.msg_type];
    if (this.#cell !== null && handle !== undefined) handle(content);
  }

  #addStream({ name, text }: JsonObject): void {
    if (typeof name !== 'string' || typeof text !== 'string') return;
    const before = this.#streamChars[name] ?? 0;
    this.#streamChars[name] = before + text.length;
    const room = this.#limits.streamChars - before;
    if (room > 0) this.#appendStream(name, text.length > room ? text.slice(0, room) : text);
  }

  /** What one stream says without anything in between is one output. */
  #appendStream(name: string, text: string): void {
    this.#clearIfDue();
    const last = this.#cell!.outputs.at(-1);
    if (last?.output_type === 'stream' && last.name === name) last.text += text;
    else this.#cell!.outputs.push({ output_type: 'stream', name, text });
  }

  #addDisplay(content: JsonObject): void {
    const output: DisplayOutput = { output_type: 'display_data', ...bundleOf(content) };
    const id = displayIdOf(content);
    if (id !== null) this.#displays.set(id, [...(this.#displays.get(id) ?? []), output]);
    this.#push(output);
  }

  #updateDisplay(content: JsonObject): void {
    for (const output of this.#displays.get(displayIdOf(content) ?? '') ?? [])
      Object.assign(output, bundleOf(content));
  }

  #push(output: CellOutput): void {
    this.#clearIfDue();
    if ('data' in output) {
      this.#displayChars += sizeOf(output.data);
      if (this.#displayChars > this.#limits.displayChars) {
        const most = this.#limits.displayChars.toLocaleString('en-US');
        Object.assign(output, {
          data: { 'text/plain': `[cut: what this cell shows has more than ${most} characters]` },
          metadata: {},
        });
      }
    }
    this.#cell!.outputs.push(output);
  }

  #clearIfDue(): void {
    if (!this.#isClearDue) return;
    this.#isClearDue = false;
    this.#cell!.outputs = [];
  }
}

type DisplayOutput = Extract<CellOutput, { output_type: 'display_data' }>;

export function errorOutput(ename: string, evalue: string, traceback: readonly string[]): CellOutput {
  return { output_type: 'error', ename, evalue, traceback: [...traceback] };
}

function bundleOf({ data, metadata }: JsonObject): { data: JsonObject; metadata: JsonObject } {
  return { data: isObject(data) ? data : {}, metadata: isObject(metadata) ? metadata : {} };
}

function displayIdOf({ transient }: JsonObject): string | null {
  return isObject(transient) && typeof transient.display_id === 'string' ? transient.display_id : null;
}

function countOf({ execution_count }: JsonObject): number | null {
  return typeof execution_count === 'number' ? execution_count : null;
}

function toLines(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function sizeOf(data: JsonObject): number {
  return Object.values(data).reduce<number>(
    (sum, part) => sum + (typeof part === 'string' ? part.length : JSON.stringify(part).length),
    0,
  );
}
