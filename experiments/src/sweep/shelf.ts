/** What points refer to by name, opened once and shared by all that do. */

import {
  type Acceptance,
  type Caps,
  type Checkpoint,
  loadTokenizer,
  type MachineModel,
  type ModelDescription,
  openCheckpoint,
  type Tokenizer,
} from '@specoffload/engine';
import { openAcceptance } from '../acceptance/open.js';
import { describeForeignCaps } from '../inputs/machine-caps.js';
import { openMachine } from '../inputs/machines.js';
import { locateModel, type ModelRole, openOrDescribeModel } from '../inputs/models.js';
import { preparePackedTarget } from '../inputs/packed-target.js';
import { loadWorkload, type Workload } from '../inputs/prompts.js';
import { localMachinePath } from '../paths.js';
import type { SettingValue } from '../store/record.js';
import type { Output } from '../terminal/output.js';
import { openOrCreateTunnel, type Tunnel } from '../tunnel/index.js';

export class Shelf {
  readonly #output: Output;
  readonly #signal: AbortSignal;
  readonly #opened = new Map<string, Promise<unknown>>();
  readonly #said = new Set<string>();

  /** @param output notes what takes long, such as inflating a target for the first time. */
  constructor(output: Output, signal: AbortSignal) {
    this.#output = output;
    this.#signal = signal;
  }

  /** @param name of the catalogue, `pair`, `pair:2GB`, or a directory with config.json, with weights or without. */
  model(
    role: ModelRole,
    name: string,
    unit: ModelDescription['unit'] = 'ffn',
    format?: ModelDescription['format'],
  ): Promise<Checkpoint> {
    return this.#once(`model ${role} ${name} ${unit} ${format}`, async () =>
      openOrDescribeModel(/^pair(:|$)/.test(name) ? await this.directory(role, name) : name, unit, format),
    );
  }

  /** A model whose weights are here. */
  checkpoint(role: ModelRole, name: string): Promise<Checkpoint> {
    return this.#once(`checkpoint ${role} ${name}`, async () =>
      openCheckpoint(await this.directory(role, name)),
    );
  }

  /** The same target, its weights packed without loss. */
  packed(name: string): Promise<Checkpoint> {
    return this.#once(`packed ${name}`, async () =>
      preparePackedTarget(await this.checkpoint('target', name), this.#output, this.#signal),
    );
  }

  /** The directory of a checkpoint that is here. */
  directory(role: ModelRole, name: string): Promise<string> {
    return this.#once(`directory ${role} ${name}`, () => locateModel(role, name, this.#output, this.#signal));
  }

  /** @param name of a tunnel, such as `tunnel:env1`, or its file. */
  tunnel(name: string): Promise<Tunnel> {
    return this.#once(`tunnel ${name}`, () => openOrCreateTunnel(name, this.#output, this.#signal));
  }

  /** null where the model has none. */
  tokenizer(directory: string): Promise<Tokenizer | null> {
    return this.#once(`tokenizer ${directory}`, () => loadTokenizer(directory));
  }

  /** @param name of a shipped machine, a machine file, or `this`: the file that profile writes. */
  machine(name: string): Promise<MachineModel> {
    return this.#once(`machine ${name}`, () => openMachine(name === 'this' ? localMachinePath : name));
  }

  /** Says once what a prediction for a run with such caps must not take from a machine. */
  noteForeignCaps(machine: MachineModel, caps: Caps): void {
    const sentence = describeForeignCaps(machine, caps);
    if (sentence === null || this.#said.has(sentence)) return;
    this.#said.add(sentence);
    this.#output.note(sentence);
  }

  acceptance(value: SettingValue): Promise<Acceptance> {
    const which = typeof value === 'object' ? value.join(',') : String(value);
    return this.#once(`acceptance ${which}`, () => openAcceptance('acceptance', which));
  }

  /** @param target whose tokenizer reads the prompts. */
  workload(which: string, numPrompts: number | null, target: Checkpoint): Promise<Workload> {
    return this.#once(`workload ${which} ${numPrompts} ${target.digest}`, async () =>
      loadWorkload(which, numPrompts, {
        size: target.spec.vocabSize,
        tokenizer: target.directory === '' ? null : await this.tokenizer(target.directory),
      }),
    );
  }

  /** Equal lengths, the same list for the same numbers. */
  equalLengths(prompts: number, tokens: number): Promise<readonly number[]> {
    return this.#once(`lengths ${prompts} ${tokens}`, async () => new Array<number>(prompts).fill(tokens));
  }

  #once<T>(key: string, open: () => Promise<T>): Promise<T> {
    const opened = (this.#opened.get(key) as Promise<T> | undefined) ?? open();
    this.#opened.set(key, opened);
    return opened;
  }
}
