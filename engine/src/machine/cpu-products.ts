/** The matrix products of the processor, by onnxruntime's cpu provider, on tensors where they lie. */

import type { NativeCore } from '@specoffload/native';
import type { ModelConfig } from '../model/types.js';
import type { DeviceAddress, DeviceModels, ProductCommand } from './device.js';
import { feedForwardGraph, logitsGraph, mixGraph, projectGraph } from './graphs.js';
import { encodeOnnxModel, type OnnxGraph } from './onnx.js';
import { type InferenceSession, loadOnnxruntime, type Tensor } from './onnxruntime.js';
import type { PoolMemory } from './pool.js';

/** Where a tensor lies and its shape; the wire between graphs and memory. */
type Place = readonly [address: DeviceAddress, ...shape: number[]];

type Places = Readonly<Record<string, Place>>;

type Sessions = Readonly<Record<ProductCommand['kind'], InferenceSession>>;

export class CpuProducts {
  readonly #memory: PoolMemory;
  /** onnxruntime takes no SharedArrayBuffer, so the twin's tensors are copies and results are copied back. */
  readonly #copiesTensors: boolean;
  readonly #ort: ReturnType<typeof loadOnnxruntime>;
  readonly #models: DeviceModels;
  readonly #sessions: ReadonlyMap<ModelConfig, Sessions>;

  private constructor(
    core: NativeCore,
    memory: PoolMemory,
    models: DeviceModels,
    sessions: ReadonlyMap<ModelConfig, Sessions>,
  ) {
    this.#ort = loadOnnxruntime(core);
    this.#copiesTensors = core.kind === 'twin';
    this.#memory = memory;
    this.#models = models;
    this.#sessions = sessions;
  }

  /** @param threads of one product */
  static async create(
    core: NativeCore,
    memory: PoolMemory,
    models: DeviceModels,
    threads: number,
  ): Promise<CpuProducts> {
    const factory = new SessionFactory(core, threads);
    const configs = [models.target, models.draft].filter((config) => config !== null);
    const sessions = await Promise.all(configs.map((config) => createSessions(factory, config)));
    return new CpuProducts(
      core,
      memory,
      models,
      new Map(configs.map((config, index) => [config, sessions[index]])),
    );
  }

  async run(command: ProductCommand): Promise<void> {
    const config = this.#models[command.model];
    const sessions = config && this.#sessions.get(config);
    if (!sessions) throw new Error(`the device holds no ${command.model}`);
    const { inputs, outputs } = bind(config, command);
    const results = await sessions[command.kind].run(this.#tensors(inputs), this.#tensors(outputs));
    if (!this.#copiesTensors) return;
    for (const [name, [address]] of Object.entries(outputs)) {
      const values = results[name].data as Float32Array;
      this.#memory.floats(address, values.length).set(values);
    }
  }

  #tensors(places: Places): Record<string, Tensor> {
    const tensors: Record<string, Tensor> = {};
    for (const [name, [address, ...shape]] of Object.entries(places)) {
      const count = shape.reduce((product, size) => product * size, 1);
      const values = this.#memory.floats(address, count);
      const data = this.#copiesTensors ? Float32Array.from(values) : values;
      tensors[name] = new this.#ort.Tensor('float32', data, shape);
    }
    return tensors;
  }
}

async function createSessions(
  factory: SessionFactory,
  { rmsNormEps, numExperts }: ModelConfig,
): Promise<Sessions> {
  const [project, mix, feedForward, logits] = await Promise.all([
    factory.session(projectGraph(rmsNormEps)),
    factory.session(mixGraph(rmsNormEps, numExperts > 1)),
    factory.session(feedForwardGraph()),
    factory.session(logitsGraph(rmsNormEps)),
  ]);
  return { project, mix, 'feed-forward': feedForward, logits };
}

/** Sizes are in the tensors, so models whose graphs are alike share sessions. */
class SessionFactory {
  readonly #ort: ReturnType<typeof loadOnnxruntime>;
  readonly #threads: number;
  readonly #sessions = new Map<string, Promise<InferenceSession>>();

  constructor(core: NativeCore, threads: number) {
    this.#ort = loadOnnxruntime(core);
    this.#threads = threads;
  }

  session(graph: OnnxGraph): Promise<InferenceSession> {
    const key = JSON.stringify(graph);
    const known = this.#sessions.get(key);
    if (known) return known;
    const session = this.#ort.InferenceSession.create(encodeOnnxModel(graph), {
      executionProviders: ['cpu'],
      intraOpNumThreads: this.#threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 3,
    });
    this.#sessions.set(key, session);
    return session;
  }
}

/** Ties a graph's inputs and outputs to what a command says of memory. */
function bind(
  config: ModelConfig,
  command: ProductCommand,
): { readonly inputs: Places; readonly outputs: Places } {
  const { hiddenSize: h, ffnSize: f, numExperts: e, vocabSize } = config;
  const a = config.numHeads * config.headDim;
  const b = config.numKvHeads * config.headDim;
  const { rows } = command;
  switch (command.kind) {
    case 'project': {
      const { x, weights: w, q, k, v } = command;
      return {
        inputs: {
          x: [x, rows, h],
          norm: [w.inputNorm, h],
          wq: [w.q, a, h],
          wk: [w.k, b, h],
          wv: [w.v, b, h],
        },
        outputs: { q: [q, rows, a], k: [k, rows, b], v: [v, rows, b] },
      };
    }
    case 'mix': {
      const { attention, x, weights: w, y, normed, router } = command;
      const inputs: Places = {
        a: [attention, rows, a],
        wo: [w.o, h, a],
        x: [x, rows, h],
        norm: [w.postNorm, h],
      };
      const outputs: Places = { y: [y, rows, h], n: [normed, rows, h] };
      if (e === 1) return { inputs, outputs };
      return {
        inputs: { ...inputs, wr: [w.router as DeviceAddress, e, h] },
        outputs: { ...outputs, r: [router, rows, e] },
      };
    }
    case 'feed-forward': {
      const { x, weights: w, out } = command;
      return {
        inputs: { x: [x, rows, h], wg: [w.gate, f, h], wu: [w.up, f, h], wd: [w.down, h, f] },
        outputs: { y: [out, rows, h] },
      };
    }
    case 'logits': {
      const { x, weights: w, out } = command;
      return {
        inputs: { x: [x, rows, h], norm: [w.finalNorm, h], w: [w.head, vocabSize, h] },
        outputs: { y: [out, rows, vocabSize] },
      };
    }
  }
}
