/** Matrix products and what goes with them, as dispatches: in pieces of rows, so that what lies in between fits. */

import {
  activate,
  type CooperativeMatrices,
  clipValues,
  codecs,
  cooperativeMatmul,
  type Dispatch,
  f32,
  fewRows,
  type KernelLimits,
  type Matmul,
  matmul,
  norm,
  plainCodecs,
  type StoredFormat,
  type StoredVector,
  spaces,
  type WeightDtype,
  weightFormats,
} from '@specoffload/native';
import { keyWidth, type LayerSpec, type ModelSpec, type NormSpec, queryWidth } from '../model/spec.js';
import type {
  DeviceTensor,
  FeedForwardCommand,
  LogitsCommand,
  MixCommand,
  ProductCommand,
  ProjectCommand,
} from './device.js';
import type { OperationList, VulkanAddress } from './vulkan-list.js';

/** Where what lies between the dispatches of one command goes; the next one may use it again. */
export interface Scratch {
  readonly address: VulkanAddress;
  readonly byteLength: number;
}

/** Factors are rounded to bf16, many rows of them multiplied by the matrices that the device has. */
export interface Rounding {
  readonly matrices: CooperativeMatrices | null;
}

/** Values of one row between the dispatches of a command, at most. */
export function scratchWidth({ hiddenSize, layers }: ModelSpec): number {
  return Math.max(
    hiddenSize,
    ...layers.map(({ ffn }) => 2 * ffn.width),
    ...layers.map(({ ffn }) => 2 * (ffn.sharedWidth ?? 0) + 1),
  );
}

export class VulkanProducts {
  readonly #limits: KernelLimits;
  readonly #scratch: Scratch;
  readonly #rounding: Rounding | null;

  /** @param rounding null: in fp32 */
  constructor(limits: KernelLimits, scratch: Scratch, rounding: Rounding | null) {
    this.#limits = limits;
    this.#scratch = scratch;
    this.#rounding = rounding;
  }

  add(list: OperationList, spec: ModelSpec, command: ProductCommand): void {
    const mostRows = Math.floor(this.#scratch.byteLength / f32.bytes(scratchWidth(spec)));
    for (let first = 0; first < command.rows; first += mostRows) {
      const rows = Math.min(mostRows, command.rows - first);
      if (first > 0) list.barrier();
      switch (command.kind) {
        case 'project':
          this.#project(list, spec, command, first, rows);
          break;
        case 'mix':
          this.#mix(list, spec, command, first, rows);
          break;
        case 'feed-forward':
          this.#feedForward(list, spec, command, first, rows);
          break;
        case 'logits':
          this.#logits(list, spec, command, first, rows);
      }
    }
  }

  #project(list: OperationList, spec: ModelSpec, command: ProjectCommand, first: number, rows: number): void {
    const { attention, norms } = spec.layers[command.layer];
    const { weights: w, x } = command;
    const h = spec.hiddenSize;
    const normed = this.#scratch.address;
    const [queries, keys] = [queryWidth(attention), keyWidth(attention)];
    const [q, k, v] = [
      command.q + f32.bytes(first * queries),
      command.k + f32.bytes(first * keys),
      command.v + f32.bytes(first * keys),
    ];
    list.dispatch(this.#norm(x + f32.bytes(first * h), w.inputNorm, normed, rows, h, norms.beforeAttention));
    list.barrier();
    list.dispatch(
      this.#matmul({ weights: w.q, x: normed, y: q, rows, depth: h, width: queries, bias: w.qBias }),
      this.#matmul({ weights: w.k, x: normed, y: k, rows, depth: h, width: keys, bias: w.kBias }),
      this.#matmul({ weights: w.v, x: normed, y: v, rows, depth: h, width: keys, bias: w.vBias }),
    );
    const { qkNorm, clip, numHeads, numKvHeads } = attention;
    if (qkNorm && w.qNorm && w.kNorm) {
      const [queryParts, keyParts] = qkNorm.over === 'head' ? [numHeads, numKvHeads] : [1, 1];
      list.barrier();
      list.dispatch(
        this.#norm(q, w.qNorm, q, rows * queryParts, queries / queryParts, qkNorm.norm),
        this.#norm(k, w.kNorm, k, rows * keyParts, keys / keyParts, qkNorm.norm),
      );
    }
    if (clip === undefined) return;
    list.barrier();
    list.dispatch(
      clipValues({ values: q, count: rows * queries, clip }, this.#limits),
      clipValues({ values: k, count: rows * keys, clip }, this.#limits),
      clipValues({ values: v, count: rows * keys, clip }, this.#limits),
    );
  }

  #mix(list: OperationList, spec: ModelSpec, command: MixCommand, first: number, rows: number): void {
    const { attention, norms, ffn }: LayerSpec = spec.layers[command.layer];
    const { weights: w } = command;
    const h = spec.hiddenSize;
    const depth = queryWidth(attention);
    const input = command.attention + f32.bytes(first * depth);
    const [x, y, normed] = [command.x, command.y, command.normed].map((base) => base + f32.bytes(first * h));
    if (norms.afterAttention && w.afterAttentionNorm) {
      const added = this.#scratch.address;
      list.dispatch(this.#matmul({ weights: w.o, x: input, y: added, rows, depth, width: h, bias: w.oBias }));
      list.barrier();
      list.dispatch(this.#norm(added, w.afterAttentionNorm, y, rows, h, norms.afterAttention, x));
    } else {
      list.dispatch(
        this.#matmul({ weights: w.o, x: input, y, rows, depth, width: h, bias: w.oBias, addend: x }),
      );
    }
    list.barrier();
    list.dispatch(this.#norm(y, w.postNorm, normed, rows, h, norms.beforeFfn));
    if (ffn.numExperts === 1 || !w.router) return;
    const { router: weights, routerBias: bias } = w;
    const router = command.router + f32.bytes(first * ffn.numExperts);
    list.barrier();
    list.dispatch(
      this.#matmul({ weights, x: normed, y: router, rows, depth: h, width: ffn.numExperts, bias }),
    );
  }

  #feedForward(
    list: OperationList,
    spec: ModelSpec,
    command: FeedForwardCommand,
    first: number,
    rows: number,
  ) {
    const { ffn, norms } = spec.layers[command.layer];
    const { weights: w, width = ffn.width } = command;
    const h = spec.hiddenSize;
    const x = command.x + f32.bytes(first * h);
    const out = command.out + f32.bytes(first * h);
    const gate = this.#scratch.address;
    const up = gate + f32.bytes(rows * width);
    list.dispatch(
      this.#matmul({ weights: w.gate, x, y: gate, rows, depth: h, width, bias: w.gateBias }),
      this.#matmul({ weights: w.up, x, y: up, rows, depth: h, width, bias: w.upBias }),
    );
    const [count, shares] = [rows * width, up + f32.bytes(rows * width)];
    if (w.outputGate)
      list.dispatch(this.#matmul({ weights: w.outputGate, x, y: shares, rows, depth: h, width: 1 }));
    list.barrier();
    const activation = { gate, up, out: gate, count, activation: ffn.activation };
    list.dispatch(activate({ ...activation, byRow: w.outputGate && { shares, width } }, this.#limits));
    list.barrier();
    const depth = width;
    list.dispatch(
      this.#matmul({ weights: w.down, x: gate, y: out, rows, depth, width: h, bias: w.downBias }),
    );
    if (!norms.afterFfn || !w.afterFfnNorm) return;
    list.barrier();
    list.dispatch(this.#norm(out, w.afterFfnNorm, out, rows, h, norms.afterFfn));
  }

  #logits(list: OperationList, spec: ModelSpec, command: LogitsCommand, first: number, rows: number): void {
    const { hiddenSize: h, vocabSize } = spec;
    const { finalNorm, head } = command.weights;
    const normed = this.#scratch.address;
    const y = command.out + f32.bytes(first * vocabSize);
    list.dispatch(this.#norm(command.x + f32.bytes(first * h), finalNorm, normed, rows, h, spec.finalNorm));
    list.barrier();
    list.dispatch(this.#matmul({ weights: head, x: normed, y, rows, depth: h, width: vocabSize }));
  }

  #norm(
    x: VulkanAddress,
    weight: DeviceTensor,
    y: VulkanAddress,
    rows: number,
    width: number,
    { eps, offset }: NormSpec,
    addend?: VulkanAddress,
  ): Dispatch<VulkanAddress> {
    return norm({ x, weight: vectorOf(weight), y, rows, width, eps, offset, addend }, this.#limits);
  }

  #matmul({ weights, bias, x, y, rows, depth, width, addend }: Product): Dispatch<VulkanAddress> {
    const { isInHost = false, dtype, paired = 1, step = 1, across } = weights;
    const address = placeOf(weights);
    const { scales: stored } = weights;
    const at = (place: number) => placeOf({ address: place, isInHost });
    const scales = stored && {
      ...{ ...stored, address: at(stored.address) },
      zeros: stored.zeros && { ...stored.zeros, address: at(stored.zeros.address) },
      groupOfColumn: stored.groupOfColumn === undefined ? undefined : at(stored.groupOfColumn),
    };
    const rowBytes = step * codecs[dtype].bytes(depth);
    const areEights = address % 16 === 0 || !Object.hasOwn(plainCodecs, dtype); // blocks are read from any byte on
    const product: Matmul<VulkanAddress> = {
      x,
      y,
      rows,
      depth,
      width,
      addend,
      weights: { address, format: formatOf(weights), rowBytes, paired, across, scales },
      bias: bias && vectorOf(bias),
      isAligned: areEights && x % 16 === 0,
      roundsInputs: this.#rounding !== null,
    };
    const matrices = rows > fewRows ? this.#rounding?.matrices : null;
    const byMatrices = matrices ? cooperativeMatmul(product, matrices, this.#limits) : null;
    return byMatrices ?? matmul(product, this.#limits);
  }
}

type Product = Omit<Matmul<VulkanAddress>, 'weights' | 'bias' | 'isAligned'> & {
  readonly weights: DeviceTensor;
  readonly bias?: DeviceTensor | undefined;
};

export function vectorOf(tensor: DeviceTensor): StoredVector<VulkanAddress> {
  return { address: placeOf(tensor), format: formatOf(tensor) };
}

function placeOf({ address, isInHost = false }: Pick<DeviceTensor, 'address' | 'isInHost'>): VulkanAddress {
  return isInHost ? spaces.host + address : address;
}

export function isStoredFormat(dtype: WeightDtype): dtype is StoredFormat {
  return dtype in weightFormats;
}

function formatOf({ dtype }: DeviceTensor): StoredFormat {
  if (isStoredFormat(dtype)) return dtype;
  throw new Error(`no kernel reads ${dtype}`); // the plan has it decoded
}
