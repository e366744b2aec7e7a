/** The matrix products of the processor with weights as stored, by the native core; everything between them is fp32. */

import {
  codecs,
  decodeWeights,
  type MatrixLayout,
  type NativeCore,
  type PlainWeights,
  reachBytes,
} from '@specoffload/native';
import {
  clampedSwiglu,
  type FfnSpec,
  keyWidth,
  type LayerSpec,
  type ModelSpec,
  type NormSpec,
  queryWidth,
} from '../model/spec.js';
import { clipValues, scaleValues } from './cpu-rows.js';
import type {
  DeviceTensor,
  ExpertWeights,
  FeedForwardCommand,
  LogitsCommand,
  MixCommand,
  ProductCommand,
  ProjectCommand,
} from './device.js';
import type { DeviceAddress, DeviceZeros } from './device-weights.js';
import type { PoolMemory } from './pool.js';
import type { Disturb } from './product-noise.js';

export interface StoredProductsOptions {
  readonly core: NativeCore;
  readonly memory: PoolMemory;
  readonly threads: number;
}

interface Product {
  readonly weights: DeviceTensor;
  readonly bias?: DeviceTensor | undefined;
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly rows: number;
  readonly depth: number;
  readonly width: number;
  readonly addend?: Float32Array;
}

interface Normalisation {
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly weight: DeviceTensor;
  readonly width: number;
  readonly norm: NormSpec;
  readonly addend?: Float32Array;
}

/** Whether any of a command's tensors lies otherwise than in fp32. */
export function hasStoredWeights({ weights }: ProductCommand): boolean {
  const tensors = weights as object as Readonly<Record<string, DeviceTensor | undefined>>;
  for (const role in tensors) {
    const tensor = tensors[role];
    if (tensor && tensor.dtype !== 'f32') return true;
  }
  return false;
}

/** Whether it lies row behind row, without scales of its own. */
function isPlain({ scales, across = 0 }: DeviceTensor): boolean {
  return !scales && across === 0;
}

/** How a matrix lies from its address on. */
function layoutOf(
  { address, paired = 1, step = 1, across = 0, scales }: DeviceTensor,
  rows: number,
  columns: number,
) {
  const { zeros, groupOfColumn: groups } = scales ?? {};
  return {
    rows,
    columns,
    paired,
    step,
    across,
    scales: scales
      ? {
          ...{ dtype: scales.dtype, rows: scales.rows, columns: scales.columns },
          ...{ groupStride: scales.groupStride ?? 0, offset: scales.address - address },
          ...(zeros && { zeros: zeroPointsOf(zeros, address) }),
          ...(groups !== undefined && { groupOfColumn: { offset: groups - address } }),
        }
      : null,
  } satisfies MatrixLayout;
}

function zeroPointsOf(
  { codec, address, across, groupStride, isLessOne }: DeviceZeros,
  values: DeviceAddress,
) {
  const isTransposed = across === 1;
  return {
    ...{ codec, isLessOne, offset: address - values },
    groupStride: isTransposed ? codecs[codec].blockElements * groupStride : 0,
  };
}

/** A bias, sinks or the weight of a norm in fp32. */
export function vectorOf(memory: PoolMemory, { address, dtype }: DeviceTensor, count: number): Float32Array {
  if (dtype === 'f32') return memory.floats(address, count);
  return decodeWeights(memory.bytes(address, codecs[dtype].bytes(count)), dtype);
}

export class StoredProducts {
  readonly #core: NativeCore;
  readonly #memory: PoolMemory;
  readonly #threads: number;
  /** What lies between the products of one command; grows to what the largest needs. */
  #scratch = new Float32Array();
  /** Of the command at hand. */
  #disturb: Disturb | null = null;

  constructor({ core, memory, threads }: StoredProductsOptions) {
    this.#core = core;
    this.#memory = memory;
    this.#threads = threads;
  }

  /** @param disturb told of every product but the router's, which is digital wherever the others are */
  run(spec: ModelSpec, command: ProductCommand, disturb: Disturb | null = null): void {
    this.#disturb = disturb;
    switch (command.kind) {
      case 'project':
        this.#project(spec, spec.layers[command.layer], command);
        break;
      case 'mix':
        this.#mix(spec, spec.layers[command.layer], command);
        break;
      case 'feed-forward':
        this.#feedForward(spec, spec.layers[command.layer], command);
        break;
      case 'logits':
        this.#logits(spec, command);
    }
  }

  #project({ hiddenSize: h }: ModelSpec, { attention, norms }: LayerSpec, command: ProjectCommand): void {
    const { rows, weights: w } = command;
    const { numHeads, numKvHeads, qkNorm, clip } = attention;
    const [queries, keys] = [queryWidth(attention), keyWidth(attention)];
    const [q, k, v] = [
      this.#memory.floats(command.q, rows * queries),
      this.#memory.floats(command.k, rows * keys),
      this.#memory.floats(command.v, rows * keys),
    ];
    const [normed] = this.#room(rows * h);
    const x = this.#memory.floats(command.x, rows * h);
    this.#normalise({ x, y: normed, weight: w.inputNorm, width: h, norm: norms.beforeAttention });
    this.#multiply({ weights: w.q, bias: w.qBias, x: normed, y: q, rows, depth: h, width: queries });
    this.#multiply({ weights: w.k, bias: w.kBias, x: normed, y: k, rows, depth: h, width: keys });
    this.#multiply({ weights: w.v, bias: w.vBias, x: normed, y: v, rows, depth: h, width: keys });
    if (qkNorm && w.qNorm && w.kNorm) {
      const [queryParts, keyParts] = qkNorm.over === 'head' ? [numHeads, numKvHeads] : [1, 1];
      this.#normalise({ x: q, y: q, weight: w.qNorm, width: queries / queryParts, norm: qkNorm.norm });
      this.#normalise({ x: k, y: k, weight: w.kNorm, width: keys / keyParts, norm: qkNorm.norm });
    }
    if (clip !== undefined) for (const values of [q, k, v]) clipValues(values, clip);
  }

  #mix({ hiddenSize: h }: ModelSpec, { attention, norms, ffn }: LayerSpec, command: MixCommand): void {
    const { rows, weights: w } = command;
    const depth = queryWidth(attention);
    const x = this.#memory.floats(command.x, rows * h);
    const y = this.#memory.floats(command.y, rows * h);
    const normed = this.#memory.floats(command.normed, rows * h);
    const output = {
      ...{ x: this.#memory.floats(command.attention, rows * depth), rows, depth, width: h },
      ...{ weights: w.o, bias: w.oBias },
    };
    if (norms.afterAttention && w.afterAttentionNorm) {
      const [added] = this.#room(rows * h);
      this.#multiply({ ...output, y: added });
      const [weight, norm] = [w.afterAttentionNorm, norms.afterAttention];
      this.#normalise({ x: added, y, weight, width: h, norm, addend: x });
    } else this.#multiply({ ...output, y, addend: x });
    this.#normalise({ x: y, y: normed, weight: w.postNorm, width: h, norm: norms.beforeFfn });
    if (ffn.numExperts === 1 || !w.router) return;
    this.#disturb = null;
    const [router, width] = [this.#memory.floats(command.router, rows * ffn.numExperts), ffn.numExperts];
    this.#multiply({ weights: w.router, bias: w.routerBias, x: normed, y: router, rows, depth: h, width });
  }

  #feedForward({ hiddenSize: h }: ModelSpec, { ffn, norms }: LayerSpec, command: FeedForwardCommand): void {
    const { rows, weights: w, width = ffn.width } = command;
    const from = { x: this.#memory.floats(command.x, rows * h), rows, depth: h, width };
    const y = this.#memory.floats(command.out, rows * h);
    if (!this.#feedForwardAtOnce(ffn, w, from, y)) {
      const { activation } = ffn;
      const count = rows * width;
      const [gate, up] = this.#room(count, count);
      this.#multiply({ ...from, weights: w.gate, bias: w.gateBias, y: gate });
      this.#multiply({ ...from, weights: w.up, bias: w.upBias, y: up });
      this.#core.activate({ activation, gate, up, count, ...clampedSwiglu });
      this.#multiply({ weights: w.down, bias: w.downBias, x: gate, y, rows, depth: width, width: h });
    }
    if (w.outputGate) this.#scaleRows(y, w.outputGate, { x: from.x, rows, depth: h });
    if (!norms.afterFfn || !w.afterFfnNorm) return;
    this.#normalise({ x: y, y, weight: w.afterFfnNorm, width: h, norm: norms.afterFfn });
  }

  /** False where it is to be done product by product. */
  #feedForwardAtOnce(
    { activation }: FfnSpec,
    { gate, up, down, gateBias, upBias, downBias }: ExpertWeights,
    from: Pick<Product, 'x' | 'rows' | 'depth' | 'width'>,
    y: Float32Array,
  ): boolean {
    const arePlain = isPlain(gate) && isPlain(up) && isPlain(down);
    if (this.#disturb || !arePlain || gateBias || upBias || downBias) return false;
    const { x, rows, depth, width } = from;
    return this.#core.feedForward({
      activation,
      limit: clampedSwiglu.limit,
      alpha: clampedSwiglu.alpha,
      x,
      y,
      rows,
      depth,
      width,
      gate: this.#plain(gate, width, depth),
      up: this.#plain(up, width, depth),
      down: this.#plain(down, depth, width),
      threads: this.#threads,
    });
  }

  #plain(tensor: DeviceTensor, rows: number, columns: number): PlainWeights {
    const { address, dtype } = tensor;
    const layout = layoutOf(tensor, rows, columns);
    const weights = this.#memory.bytes(address, reachBytes(dtype, layout));
    return { dtype, paired: layout.paired, step: layout.step, weights };
  }

  /** Multiplies each row by sigmoid(weights · x), which is digital as a router is. Mutates `values`. */
  #scaleRows(values: Float32Array, weights: DeviceTensor, from: Pick<Product, 'x' | 'rows' | 'depth'>): void {
    this.#disturb = null;
    const [scores] = this.#room(from.rows);
    this.#multiply({ ...from, weights, y: scores, width: 1 });
    const width = values.length / from.rows;
    for (let row = 0; row < from.rows; row += 1)
      scaleValues(values.subarray(row * width, (row + 1) * width), 1 / (1 + Math.exp(-scores[row])));
  }

  #logits({ hiddenSize: h, vocabSize, finalNorm: norm }: ModelSpec, command: LogitsCommand): void {
    const { rows, weights: w } = command;
    const x = this.#memory.floats(command.x, rows * h);
    const y = this.#memory.floats(command.out, rows * vocabSize);
    const [normed] = this.#room(rows * h);
    this.#normalise({ x, y: normed, weight: w.finalNorm, width: h, norm });
    this.#multiply({ weights: w.head, x: normed, y, rows, depth: h, width: vocabSize });
  }

  /** Field by field: what is left of an object over takes longer to copy than a small product to multiply. */
  #multiply({ weights, bias, addend, x, y, rows, depth, width }: Product): void {
    const { address, dtype } = weights;
    const layout = layoutOf(weights, width, depth);
    this.#core.multiply({
      dtype,
      weights: this.#memory.bytes(address, reachBytes(dtype, layout)),
      paired: layout.paired,
      step: layout.step,
      across: layout.across,
      scales: layout.scales,
      x,
      y,
      rows,
      depth,
      width,
      bias: bias ? vectorOf(this.#memory, bias, width) : null,
      addend: addend ?? null,
      threads: this.#threads,
    });
    this.#disturb?.(y.subarray(0, rows * width), rows, addend);
  }

  #normalise({ x, y, weight, width, norm, addend }: Normalisation): void {
    this.#core.normalise({
      x,
      weight: vectorOf(this.#memory, weight, width),
      addend: addend ?? null,
      y,
      rows: x.length / width,
      width,
      eps: norm.eps,
      offset: norm.offset,
    });
  }

  #room(...counts: number[]): Float32Array[] {
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (this.#scratch.length < total) this.#scratch = new Float32Array(total);
    let end = 0;
    return counts.map((count) => {
      end += count;
      return this.#scratch.subarray(end - count, end);
    });
  }
}
