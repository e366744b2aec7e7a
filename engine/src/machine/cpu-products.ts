/** The matrix products of the processor on tensors where they lie: fp32 by onnxruntime's cpu provider, the rest as stored. */

import type { NativeCore } from '@specoffload/native';
import { keyWidth, type LayerSpec, type ModelSpec, queryWidth } from '../model/spec.js';
import type {
  DeviceAddress,
  DeviceModels,
  DeviceTensor,
  FeedForwardCommand,
  LogitsCommand,
  MixCommand,
  ProductCommand,
  ProjectCommand,
} from './device.js';
import { feedForwardGraph, logitsGraph, mixGraph, projectGraph, sharedExpertGraph } from './graphs.js';
import { encodeOnnxModel, type OnnxGraph } from './onnx.js';
import { type InferenceSession, loadOnnxruntime, type Tensor } from './onnxruntime.js';
import type { PoolMemory } from './pool.js';
import { isShared, type NoiseSource } from './product-noise.js';
import { hasStoredWeights, StoredProducts } from './stored-products.js';

/** Where a tensor lies and its shape; the wire between graphs and memory. */
type TensorAt = readonly [place: DeviceAddress | DeviceTensor, ...shape: number[]];

type TensorsAt = Readonly<Record<string, TensorAt>>;

interface Binding {
  readonly inputs: TensorsAt;
  readonly outputs: TensorsAt;
}

/** Of one layer or of the logits, by the kind of product, as they are asked for. */
type Sessions = Map<ProductCommand['kind'] | 'shared', Promise<InferenceSession>>;

export interface CpuProductsOptions {
  readonly core: NativeCore;
  readonly memory: PoolMemory;
  readonly models: DeviceModels;
  /** Of one product. */
  readonly threads: number;
  /** @default none */
  readonly noise?: NoiseSource | null;
}

export class CpuProducts {
  readonly #memory: PoolMemory;
  /** onnxruntime takes no SharedArrayBuffer, so the twin's tensors are copies and results are copied back. */
  readonly #copiesTensors: boolean;
  readonly #core: NativeCore;
  readonly #models: DeviceModels;
  readonly #factory: SessionFactory;
  readonly #stored: StoredProducts;
  readonly #noise: NoiseSource | null;

  constructor({ core, memory, models, threads, noise = null }: CpuProductsOptions) {
    this.#core = core;
    this.#copiesTensors = core.kind === 'twin';
    this.#memory = memory;
    this.#models = models;
    this.#factory = new SessionFactory(core, threads);
    this.#stored = new StoredProducts({ core, memory, threads });
    this.#noise = noise;
  }

  async run(command: ProductCommand): Promise<void> {
    const spec = this.#models[command.model];
    if (!spec) throw new Error(`the device holds no ${command.model}`);
    const disturb = this.#noise?.concerns(command) ? this.#noise.of(command) : null;
    if (disturb || hasStoredWeights(command)) {
      this.#stored.run(spec, command, disturb);
      return;
    }
    const { inputs, outputs } = bind(spec, command);
    const session = await this.#factory.sessionOf(spec, command);
    const results = await session.run(this.#tensors(inputs), this.#tensors(outputs));
    if (!this.#copiesTensors) return;
    for (const [name, [place]] of Object.entries(outputs)) {
      const values = results[name].data as Float32Array;
      this.#memory.floats(addressOf(place), values.length).set(values);
    }
  }

  close(): Promise<void> {
    return this.#factory.close();
  }

  #tensors(places: TensorsAt): Record<string, Tensor> {
    const { Tensor } = loadOnnxruntime(this.#core);
    const tensors: Record<string, Tensor> = {};
    for (const [name, [place, ...shape]] of Object.entries(places)) {
      const count = shape.reduce((product, size) => product * size, 1);
      const values = this.#memory.floats(addressOf(place), count);
      const data = this.#copiesTensors ? Float32Array.from(values) : values;
      tensors[name] = new Tensor('float32', data, shape);
    }
    return tensors;
  }
}

function graphOf(spec: ModelSpec, command: ProductCommand): OnnxGraph {
  if (command.kind === 'logits') return logitsGraph(spec.finalNorm);
  const layer = spec.layers[command.layer];
  if (command.kind === 'project') return projectGraph(layer);
  if (command.kind === 'mix') return mixGraph(layer);
  return isShared(command) ? sharedExpertGraph(layer) : feedForwardGraph(layer);
}

/** Of activations, and of weights in fp32. */
function addressOf(place: DeviceAddress | DeviceTensor): DeviceAddress {
  return typeof place === 'number' ? place : place.address;
}

/**
 * How long a session's further threads look out for their next product before they sleep. Left to itself, each spins for
 * 25 ms when it is made and after each product, on a core that the other lanes and the next session's threads wait for.
 */
const spinMicroseconds = '100';

/** Makes sessions when they are first used: weights that are multiplied as stored need none. Sizes are in the tensors, so layers whose graphs are alike share them. */
class SessionFactory {
  readonly #core: NativeCore;
  readonly #threads: number;
  readonly #sessions = new Map<string, Promise<InferenceSession>>();
  readonly #sessionsOf = new Map<LayerSpec | ModelSpec, Sessions>();

  constructor(core: NativeCore, threads: number) {
    this.#core = core;
    this.#threads = threads;
  }

  sessionOf(spec: ModelSpec, command: ProductCommand): Promise<InferenceSession> {
    const owner = command.kind === 'logits' ? spec : spec.layers[command.layer];
    const kind = isShared(command) ? 'shared' : command.kind;
    const sessions: Sessions = this.#sessionsOf.get(owner) ?? new Map();
    this.#sessionsOf.set(owner, sessions);
    const session = sessions.get(kind) ?? this.#session(graphOf(spec, command));
    sessions.set(kind, session);
    return session;
  }

  #session(graph: OnnxGraph): Promise<InferenceSession> {
    const key = JSON.stringify(graph);
    const known = this.#sessions.get(key);
    if (known) return known;
    const session = loadOnnxruntime(this.#core).InferenceSession.create(encodeOnnxModel(graph), {
      executionProviders: ['cpu'],
      intraOpNumThreads: this.#threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 3,
      extra: { session: { intra_op: { spin_duration_us: spinMicroseconds } } },
    });
    this.#sessions.set(key, session);
    return session;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
  }
}

/** Ties a graph's inputs and outputs to what a command says of memory. */
function bind(spec: ModelSpec, command: ProductCommand): Binding {
  if (command.kind === 'logits') return bindLogits(spec, command);
  const layer = spec.layers[command.layer];
  if (command.kind === 'project') return bindProjections(spec, layer, command);
  return command.kind === 'mix' ? bindMix(spec, layer, command) : bindFeedForward(spec, layer, command);
}

function bindProjections(
  { hiddenSize: h }: ModelSpec,
  { attention }: LayerSpec,
  { x, rows, weights: w, q, k, v }: ProjectCommand,
): Binding {
  const { numHeads, numKvHeads, headDim, qkNorm } = attention;
  const [a, b] = [queryWidth(attention), keyWidth(attention)];
  const isPerHead = qkNorm?.over === 'head';
  return {
    inputs: {
      x: [x, rows, h],
      norm: [w.inputNorm, h],
      wq: [w.q, a, h],
      wk: [w.k, b, h],
      wv: [w.v, b, h],
      ...maybeTensor('bq', w.qBias, a),
      ...maybeTensor('bk', w.kBias, b),
      ...maybeTensor('bv', w.vBias, b),
      ...maybeTensor('qnorm', w.qNorm, isPerHead ? headDim : a),
      ...maybeTensor('knorm', w.kNorm, isPerHead ? headDim : b),
    },
    outputs: {
      q: isPerHead ? [q, rows, numHeads, headDim] : [q, rows, a],
      k: isPerHead ? [k, rows, numKvHeads, headDim] : [k, rows, b],
      v: [v, rows, b],
    },
  };
}

function bindMix(
  { hiddenSize: h }: ModelSpec,
  { attention: shape, ffn }: LayerSpec,
  { attention, x, rows, weights: w, y, normed, router }: MixCommand,
): Binding {
  const a = queryWidth(shape);
  const e = ffn.numExperts;
  return {
    inputs: {
      a: [attention, rows, a],
      wo: [w.o, h, a],
      x: [x, rows, h],
      norm: [w.postNorm, h],
      ...maybeTensor('bo', w.oBias, h),
      ...maybeTensor('anorm', w.afterAttentionNorm, h),
      ...(e > 1 && { ...maybeTensor('wr', w.router, e, h), ...maybeTensor('br', w.routerBias, e) }),
    },
    outputs: { y: [y, rows, h], n: [normed, rows, h], ...(e > 1 && { r: [router, rows, e] }) },
  };
}

function bindFeedForward(
  { hiddenSize: h }: ModelSpec,
  { ffn }: LayerSpec,
  { x, rows, weights: w, width: f = ffn.width, out }: FeedForwardCommand,
): Binding {
  return {
    inputs: {
      ...{ x: [x, rows, h], wg: [w.gate, f, h], wu: [w.up, f, h], wd: [w.down, h, f] },
      ...maybeTensor('bg', w.gateBias, f),
      ...maybeTensor('bu', w.upBias, f),
      ...maybeTensor('bd', w.downBias, h),
      ...maybeTensor('fnorm', w.afterFfnNorm, h),
      ...maybeTensor('wo', w.outputGate, 1, h),
    },
    outputs: { y: [out, rows, h] },
  };
}

function bindLogits(
  { hiddenSize: h, vocabSize }: ModelSpec,
  { x, rows, weights: w, out }: LogitsCommand,
): Binding {
  return {
    inputs: { x: [x, rows, h], norm: [w.finalNorm, h], w: [w.head, vocabSize, h] },
    outputs: { y: [out, rows, vocabSize] },
  };
}

/** A tensor that not every layer has. */
function maybeTensor(name: string, tensor: DeviceTensor | undefined, ...shape: number[]): TensorsAt {
  return tensor === undefined ? {} : { [name]: [tensor, ...shape] };
}
