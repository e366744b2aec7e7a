/** The device on onnxruntime's cpu provider: its memory is an arena, its attention the native kernel. */

import type { NativeCore, WeightDtype } from '@specoffload/native';
import type { ModelConfig } from '../model/types.js';
import type {
  AttentionWeights,
  Device,
  DeviceAddress,
  DeviceAttention,
  DeviceModel,
  ExpertWeights,
  HeadWeights,
  HostAddress,
} from './device.js';
import { feedForwardGraph, logitsGraph, mixGraph, projectGraph } from './graphs.js';
import { encodeOnnxModel, type OnnxGraph } from './onnx.js';
import { type InferenceSession, loadOnnxruntime, type Tensor } from './onnxruntime.js';
import type { PoolMemory } from './pool.js';

export interface CpuDeviceOptions {
  readonly core: NativeCore;
  readonly device: PoolMemory;
  readonly host: PoolMemory;
  /** Threads of one matrix product. */
  readonly threads: number;
}

/** Where a tensor lies and its shape; the wire between graphs and device memory. */
type Place = readonly [address: DeviceAddress, ...shape: number[]];

export class CpuDevice implements Device {
  readonly #options: CpuDeviceOptions;
  readonly #device: PoolMemory;
  readonly #host: PoolMemory;
  /** onnxruntime takes no SharedArrayBuffer, so the twin's tensors are copies and results are copied back. */
  readonly #copiesTensors: boolean;
  readonly #ort: ReturnType<typeof loadOnnxruntime>;
  readonly #sessions = new Set<InferenceSession>();

  constructor(options: CpuDeviceOptions) {
    this.#options = options;
    this.#ort = loadOnnxruntime(options.core);
    this.#device = options.device;
    this.#host = options.host;
    this.#copiesTensors = options.core.kind === 'twin';
  }

  async createModel(config: ModelConfig): Promise<DeviceModel> {
    const hasRouter = config.numExperts > 1;
    const [project, mix, feedForward, logits] = await Promise.all([
      this.#createSession(projectGraph(config.rmsNormEps)),
      this.#createSession(mixGraph(config.rmsNormEps, hasRouter)),
      this.#createSession(feedForwardGraph()),
      this.#createSession(logitsGraph(config.rmsNormEps)),
    ]);
    const { hiddenSize: h, ffnSize: f, numExperts: e, vocabSize } = config;
    const a = config.numHeads * config.headDim;
    const b = config.numKvHeads * config.headDim;
    return {
      config,
      project: (x, rows, w: AttentionWeights, out) =>
        this.#run(
          project,
          { x: [x, rows, h], norm: [w.inputNorm, h], wq: [w.q, a, h], wk: [w.k, b, h], wv: [w.v, b, h] },
          { q: [out.q, rows, a], k: [out.k, rows, b], v: [out.v, rows, b] },
        ),
      mix: (attention, x, rows, w: AttentionWeights, out) =>
        this.#run(
          mix,
          {
            ...{ a: [attention, rows, a], wo: [w.o, h, a], x: [x, rows, h], norm: [w.postNorm, h] },
            ...(hasRouter ? { wr: [w.router as number, e, h] as Place } : {}),
          },
          {
            ...{ y: [out.y, rows, h], n: [out.normed, rows, h] },
            ...(hasRouter ? { r: [out.router, rows, e] as Place } : {}),
          },
        ),
      feedForward: (x, rows, w: ExpertWeights, out) =>
        this.#run(
          feedForward,
          { x: [x, rows, h], wg: [w.gate, f, h], wu: [w.up, f, h], wd: [w.down, h, f] },
          { y: [out, rows, h] },
        ),
      logits: (x, rows, w: HeadWeights, out) =>
        this.#run(
          logits,
          { x: [x, rows, h], norm: [w.finalNorm, h], w: [w.head, vocabSize, h] },
          { y: [out, rows, vocabSize] },
        ),
      attend: (call) => this.#attend(config, call),
    };
  }

  upload(source: HostAddress, target: DeviceAddress, count: number): void {
    this.#device.floats(target, count).set(this.#host.floats(source, count));
  }

  readBack(source: DeviceAddress, target: HostAddress, count: number): void {
    this.#host.floats(target, count).set(this.#device.floats(source, count));
  }

  read(source: DeviceAddress, count: number): Float32Array {
    return Float32Array.from(this.#device.floats(source, count));
  }

  widen(source: HostAddress, dtype: WeightDtype, count: number, target: DeviceAddress): void {
    const from = this.#host.locate(source);
    const to = this.#device.locate(target);
    this.#options.core.widen(from.arena, from.offset, dtype, count, to.arena, to.offset);
  }

  gatherRows(source: DeviceAddress, indices: Int32Array, width: number, target: DeviceAddress): void {
    const to = this.#device.floats(target, indices.length * width);
    for (let row = 0; row < indices.length; row += 1)
      to.set(this.#device.floats(source + indices[row] * width * 4, width), row * width);
  }

  scatterAddRows(
    source: DeviceAddress,
    indices: Int32Array,
    scales: Float32Array,
    width: number,
    target: DeviceAddress,
  ): void {
    for (let row = 0; row < indices.length; row += 1) {
      const from = this.#device.floats(source + row * width * 4, width);
      const to = this.#device.floats(target + indices[row] * width * 4, width);
      const scale = scales[row];
      for (let i = 0; i < width; i += 1) to[i] += scale * from[i];
    }
  }

  argmaxRows(source: DeviceAddress, rows: number, width: number): { ids: Int32Array; margins: Float32Array } {
    const ids = new Int32Array(rows);
    const margins = new Float32Array(rows);
    for (let row = 0; row < rows; row += 1) {
      const values = this.#device.floats(source + row * width * 4, width);
      let best = 0;
      let second = Number.NEGATIVE_INFINITY;
      let notFinite = values[0] - values[0]; // NaN from the first value on that is not finite
      for (let id = 1; id < width; id += 1) {
        const value = values[id];
        notFinite += value - value;
        if (value > values[best]) {
          second = values[best];
          best = id;
        } else if (value > second) second = value;
      }
      ids[row] = best;
      margins[row] = values[best] - second + notFinite;
    }
    return { ids, margins };
  }

  startsFinite(source: DeviceAddress, rows: number, width: number): boolean {
    const values = this.#device.floats(source, rows * width);
    for (let at = 0; at < values.length; at += width) if (!Number.isFinite(values[at])) return false;
    return true;
  }

  async release(): Promise<void> {
    for (const session of this.#sessions) await session.release();
    this.#sessions.clear();
  }

  #attend(config: ModelConfig, call: DeviceAttention): void {
    const { numHeads, numKvHeads, headDim, slidingWindow } = config;
    const tableLength = (call.numPositions * headDim) / 2;
    this.#options.core.attend({
      shape: { numHeads, numKvHeads, headDim, slidingWindow: slidingWindow ?? 0 },
      q: this.#device.floats(call.q, call.rows * numHeads * headDim),
      k: this.#device.floats(call.k, call.rows * numKvHeads * headDim),
      v: this.#device.floats(call.v, call.rows * numKvHeads * headDim),
      out: this.#device.floats(call.out, call.rows * numHeads * headDim),
      cache: this.#device.floats(call.cache, call.cacheElements),
      sequences: call.sequences,
      ropeCos: this.#device.floats(call.ropeCos, tableLength),
      ropeSin: this.#device.floats(call.ropeSin, tableLength),
      threads: this.#options.threads,
    });
  }

  async #createSession(graph: OnnxGraph): Promise<InferenceSession> {
    const session = await this.#ort.InferenceSession.create(encodeOnnxModel(graph), {
      executionProviders: ['cpu'],
      intraOpNumThreads: this.#options.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 3,
    });
    this.#sessions.add(session);
    return session;
  }

  async #run(
    session: InferenceSession,
    inputs: Readonly<Record<string, Place>>,
    outputs: Readonly<Record<string, Place>>,
  ): Promise<void> {
    const results = await session.run(this.#tensors(inputs), this.#tensors(outputs));
    if (!this.#copiesTensors) return;
    for (const [name, [address]] of Object.entries(outputs)) {
      const values = results[name].data as Float32Array;
      this.#device.floats(address, values.length).set(values);
    }
  }

  #tensors(places: Readonly<Record<string, Place>>): Record<string, Tensor> {
    const tensors: Record<string, Tensor> = {};
    for (const [name, [address, ...shape]] of Object.entries(places)) {
      const count = shape.reduce((product, size) => product * size, 1);
      const values = this.#device.floats(address, count);
      const data = this.#copiesTensors ? Float32Array.from(values) : values;
      tensors[name] = new this.#ort.Tensor('float32', data, shape);
    }
    return tensors;
  }
}
