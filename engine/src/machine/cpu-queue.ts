/** A queue of the processor: commands are carried out one after the other, on the thread that submits them. */

import { type AttentionShape, codecs, f32, type NativeCore } from '@specoffload/native';
import { type AttentionSpec, keyWidth, type ModelSpec, queryWidth } from '../model/spec.js';
import type { PhaseName } from '../trace/types.js';
import { nowSeconds } from './clock.js';
import { CpuProducts } from './cpu-products.js';
import { gatherRows, maximaOf, routeRows, scaleValues, scatterAddRows, startsFinite } from './cpu-rows.js';
import type {
  AttendCommand,
  Command,
  Completion,
  CopyCommand,
  DecodeCommand,
  DeviceModels,
  DeviceQueue,
  EmbedCommand,
  ExpertChoices,
  ModelRole,
  ProductCommand,
  QuestionCommand,
  RowMaxima,
} from './device.js';
import { isKept, localFormats } from './formats.js';
import type { PoolMemory } from './pool.js';
import { NoiseSource, type ProductNoise } from './product-noise.js';
import { vectorOf } from './stored-products.js';
import { runsOf } from './stored-tensor.js';

export interface CpuQueueOptions {
  readonly core: NativeCore;
  readonly device: PoolMemory;
  readonly host: PoolMemory;
  /** Null for a queue that only transfers. */
  readonly models: DeviceModels | null;
  /** Threads of one matrix product, and of attention. */
  readonly threads: number;
  /** The same while prompts are read. @default threads */
  readonly prefillThreads?: number | undefined;
  /** @default none */
  readonly productNoise?: ProductNoise | undefined;
}

export class CpuQueue implements DeviceQueue {
  readonly depth = 1;
  readonly #options: CpuQueueOptions;
  readonly #device: PoolMemory;
  readonly #host: PoolMemory;
  /** By number of threads; of a queue that only transfers, none. */
  readonly #products: ReadonlyMap<number, CpuProducts>;
  #threads: number;
  /** The latest submission; the next begins behind it. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(options: CpuQueueOptions, products: ReadonlyMap<number, CpuProducts>) {
    this.#options = options;
    this.#device = options.device;
    this.#host = options.host;
    this.#products = products;
    this.#threads = options.threads;
  }

  static async create(options: CpuQueueOptions): Promise<CpuQueue> {
    const { core, device: memory, models, threads, prefillThreads = threads, productNoise } = options;
    const noise = productNoise ? new NoiseSource(productNoise) : null;
    const products = new Map<number, CpuProducts>();
    if (models)
      for (const count of new Set([threads, prefillThreads]))
        products.set(count, new CpuProducts({ core, memory, models, threads: count, noise }));
    return new CpuQueue(options, products);
  }

  enter(phase: PhaseName): void {
    const { threads, prefillThreads = threads } = this.#options;
    this.#threads = phase === 'prefill' ? prefillThreads : threads;
  }

  submit(commands: readonly Command[]): Promise<Completion> {
    const completion = this.#last.then(() => this.#work(commands));
    this.#last = completion.catch(() => {});
    return completion;
  }

  async close(): Promise<void> {
    for (const products of this.#products.values()) await products.close();
    this.#device.release();
    this.#host.release();
  }

  async #work(commands: readonly Command[]): Promise<Completion> {
    const answers: Answers = { values: [], maxima: [], areFinite: [], choices: [] };
    const startSeconds = nowSeconds();
    for (const command of commands) {
      const product = this.#carryOut(command, answers);
      if (product) await product;
    }
    const { values, maxima, areFinite, choices } = answers;
    return { startSeconds, endSeconds: nowSeconds(), values, maxima, areFinite, choices };
  }

  /** @returns what to wait for, where that is not done at once */
  #carryOut(command: Command, answers: Answers): Promise<void> | null {
    switch (command.kind) {
      case 'project':
      case 'mix':
      case 'feed-forward':
      case 'logits':
        return this.#productsNow(command.kind).run(command);
      case 'read':
      case 'argmax':
      case 'route':
      case 'starts-finite':
        this.#answer(command, answers);
        return null;
      default:
        this.#move(command);
        return null;
    }
  }

  #productsNow(kind: Command['kind']): CpuProducts {
    const products = this.#products.get(this.#threads);
    if (products) return products;
    throw new Error(`a queue that only transfers cannot ${kind}`);
  }

  #answer(command: QuestionCommand, { values, maxima, areFinite, choices }: Answers): void {
    switch (command.kind) {
      case 'read':
        values.push(this.#device.floats(command.source, command.count).slice());
        break;
      case 'argmax':
        maxima.push(maximaOf(this.#device, command));
        break;
      case 'route':
        choices.push(routeRows(this.#device, this.#specOf(command.model).layers[command.layer].ffn, command));
        break;
      case 'starts-finite':
        areFinite.push(startsFinite(this.#device, command));
    }
  }

  #move(command: Exclude<Command, ProductCommand | QuestionCommand>): void {
    switch (command.kind) {
      case 'attend':
        this.#attend(command);
        break;
      case 'decode':
        if (isKept(localFormats, command))
          for (const run of runsOf(command, codecs[command.dtype].bytes(command.count))) this.#bring(run);
        else for (const run of runsOf(command, f32.bytes(command.count))) this.#decode(run);
        break;
      case 'upload':
      case 'read-back':
        this.#copy(command);
        break;
      case 'embed':
        this.#embed(command);
        break;
      case 'gather':
        gatherRows(this.#device, command);
        break;
      case 'scatter-add':
        scatterAddRows(this.#device, command);
        break;
      case 'zero':
        this.#device.floats(command.target, f32.count(command.byteLength)).fill(0);
        break;
      case 'write':
        this.#device.floats(command.target, command.values.length).set(command.values);
    }
  }

  /** As stored. */
  #bring({ source, dtype, count, target }: DecodeCommand): void {
    const byteLength = codecs[dtype].bytes(count);
    this.#device.bytes(target, byteLength).set(this.#host.bytes(source, byteLength));
  }

  #decode({ source, dtype, count, layout, target }: Omit<DecodeCommand, 'kind'>): void {
    const { core } = this.#options;
    const from = this.#host.locate(source);
    const to = this.#device.locate(target);
    if (layout) core.decodeMatrix(from.arena, from.offset, dtype, layout, to.arena, to.offset);
    else core.widen(from.arena, from.offset, dtype, count, to.arena, to.offset);
  }

  #copy({ kind, host, device, stretches }: CopyCommand): void {
    for (let i = 0; i < stretches.length; i += 3) {
      const count = stretches[i + 2];
      const inHost = this.#host.floats(host + f32.bytes(stretches[i]), count);
      const inDevice = this.#device.floats(device + f32.bytes(stretches[i + 1]), count);
      if (kind === 'upload') inDevice.set(inHost);
      else inHost.set(inDevice);
    }
  }

  #embed({ model, table, dtype, ids, target }: EmbedCommand): void {
    const count = this.#specOf(model).hiddenSize;
    const storedRowBytes = codecs[dtype].bytes(count);
    for (let row = 0; row < ids.length; row += 1)
      this.#decode({
        ...{ dtype, count },
        source: table + ids[row] * storedRowBytes,
        target: target + f32.bytes(row * count),
      });
    const { scale } = this.#specOf(model).embedding;
    if (scale !== 1) scaleValues(this.#device.floats(target, ids.length * count), scale);
  }

  #attend(call: AttendCommand): void {
    const { attention } = this.#specOf(call.model).layers[call.layer];
    const [queries, keys] = [call.rows * queryWidth(attention), call.rows * keyWidth(attention)];
    const tableLength = (call.numPositions * attention.headDim) / 2;
    this.#options.core.attend({
      shape: attentionShape(attention),
      q: this.#device.floats(call.q, queries),
      k: this.#device.floats(call.k, keys),
      v: this.#device.floats(call.v, keys),
      out: this.#device.floats(call.out, queries),
      cache: this.#device.floats(call.cache, call.cacheElements),
      ...{ sequences: call.sequences, shared: call.shared },
      ropeCos: this.#device.floats(call.ropeCos, tableLength),
      ropeSin: this.#device.floats(call.ropeSin, tableLength),
      sinks: call.sinks && vectorOf(this.#device, call.sinks, attention.numHeads),
      threads: this.#threads,
    });
  }

  #specOf(model: ModelRole): ModelSpec {
    const spec = this.#options.models?.[model];
    if (spec) return spec;
    throw new Error(`this queue computes no ${model}`);
  }
}

/** What the native attention has to know of a layer. */
export function attentionShape(attention: AttentionSpec): AttentionShape {
  const { numHeads, numKvHeads, headDim, window, scale } = attention;
  return { numHeads, numKvHeads, headDim, slidingWindow: window ?? 0, scale };
}

interface Answers {
  readonly values: Float32Array[];
  readonly maxima: RowMaxima[];
  readonly areFinite: boolean[];
  readonly choices: ExpertChoices[];
}
