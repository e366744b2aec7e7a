/** One model's layers on a device: the steps that tasks are made of, on the frames and scratch of a placement. */

import type { AttentionWeights, Device, DeviceModel, ExpertWeights } from '../machine/device.js';
import type { DraftOp, HeadResult } from '../schedule/ops.js';
import { ffnChunkRows, headChunkRows } from '../schedule/placement.js';
import type { WorkerModel } from './lane-protocol.js';
import { chooseExperts, type ExpertRows } from './routing.js';

/** What `mix` found out about a frame's rows and the experts and the head need. */
interface FrameState {
  expertRows: readonly ExpertRows[];
  readonly routerMargins: Float32Array; // (row), smallest over the layers so far
}

export class LayerKernels {
  readonly #device: Device;
  readonly #ops: DeviceModel;
  readonly #model: WorkerModel;
  readonly #frames: FrameState[];

  constructor(device: Device, ops: DeviceModel, model: WorkerModel) {
    this.#device = device;
    this.#ops = ops;
    this.#model = model;
    this.#frames = model.frames.map(({ normed }) => ({
      expertRows: [],
      routerMargins: new Float32Array(normed.byteLength / 4 / model.config.hiddenSize),
    }));
  }

  /** Starts a frame: its rows' embeddings become the hidden state of layer 0. */
  embed(frame: number, ids: Int32Array): void {
    const { embedding, config, frames } = this.#model;
    const { address, dtype } = embedding;
    const storedRowBytes = config.hiddenSize * (dtype === 'f32' ? 4 : 2);
    const target = frames[frame].hidden[0].byteOffset;
    for (let row = 0; row < ids.length; row += 1)
      this.#device.widen(
        address + ids[row] * storedRowBytes,
        dtype,
        config.hiddenSize,
        target + row * config.hiddenSize * 4,
      );
    this.#frames[frame].routerMargins.fill(Number.POSITIVE_INFINITY);
  }

  /** Norm and projections; q, k and v stay in scratch. */
  async project(frame: number, layer: number, rows: number, weights: AttentionWeights): Promise<void> {
    const { q, k, v } = this.#model.scratch;
    await this.#ops.project(this.#hidden(frame, layer), rows, weights, {
      q: q.byteOffset,
      k: k.byteOffset,
      v: v.byteOffset,
    });
  }

  /** Brings the projected rows to the frame's host buffers. */
  readBackProjections(frame: number, rows: number): void {
    const { scratch, frames, config } = this.#model;
    const host = frames[frame].host;
    if (!host) throw new Error('a frame without host buffers has nowhere to read back to');
    const keys = rows * config.numKvHeads * config.headDim;
    this.#device.readBack(scratch.q.byteOffset, host.q.byteOffset, rows * config.numHeads * config.headDim);
    this.#device.readBack(scratch.k.byteOffset, host.k.byteOffset, keys);
    this.#device.readBack(scratch.v.byteOffset, host.v.byteOffset, keys);
  }

  /** Brings the host's attention output to scratch. */
  uploadAttention(frame: number, rows: number): void {
    const { scratch, frames, config } = this.#model;
    const host = frames[frame].host;
    if (!host) throw new Error('a frame without host buffers has nothing to upload');
    const count = rows * config.numHeads * config.headDim;
    this.#device.upload(host.out.byteOffset, scratch.attention.byteOffset, count);
  }

  /** Output projection, residual, norm and routing; returns how many rows chose each expert. */
  async mix(frame: number, layer: number, rows: number, weights: AttentionWeights): Promise<number[]> {
    const { scratch, frames, config } = this.#model;
    await this.#ops.mix(scratch.attention.byteOffset, this.#hidden(frame, layer), rows, weights, {
      y: this.#hidden(frame, layer + 1),
      normed: frames[frame].normed.byteOffset,
      router: scratch.router.byteOffset,
    });
    if (config.numExperts === 1) return [rows];
    const logits = this.#device.read(scratch.router.byteOffset, rows * config.numExperts);
    const state = this.#frames[frame];
    state.expertRows = chooseExperts(
      logits,
      config.numExperts,
      config.expertsPerToken,
      state.routerMargins.subarray(0, rows),
    );
    return state.expertRows.map(({ indices }) => indices.length);
  }

  /** Adds one expert's output to the rows that chose it; a dense FFN serves all `rows`. */
  async expert(
    frame: number,
    layer: number,
    rows: number,
    expert: number,
    weights: ExpertWeights,
  ): Promise<void> {
    const { config } = this.#model;
    const chosen =
      config.numExperts === 1
        ? {
            indices: Int32Array.from({ length: rows }, (_, row) => row),
            weights: new Float32Array(rows).fill(1),
          }
        : this.#frames[frame].expertRows[expert];
    for (let start = 0; start < chosen.indices.length; start += ffnChunkRows)
      await this.#expertChunk(frame, layer, weights, {
        indices: chosen.indices.subarray(start, start + ffnChunkRows),
        weights: chosen.weights.subarray(start, start + ffnChunkRows),
      });
  }

  async #expertChunk(
    frame: number,
    layer: number,
    weights: ExpertWeights,
    { indices, weights: scales }: ExpertRows,
  ): Promise<void> {
    const { scratch, frames, config } = this.#model;
    const { gathered, ffnOut } = scratch;
    this.#device.gatherRows(frames[frame].normed.byteOffset, indices, config.hiddenSize, gathered.byteOffset);
    await this.#ops.feedForward(gathered.byteOffset, indices.length, weights, ffnOut.byteOffset);
    const target = this.#hidden(frame, layer + 1);
    this.#device.scatterAddRows(ffnOut.byteOffset, indices, scales, config.hiddenSize, target);
  }

  /** The target's choice after each of the given rows. */
  async head(frame: number, rowIndices: Int32Array, wantsLogits: boolean): Promise<HeadResult> {
    const { scratch, head, config } = this.#model;
    const source = this.#hidden(frame, config.numLayers);
    const numRows = rowIndices.length;
    const ids = new Int32Array(numRows);
    const margins = new Float32Array(numRows);
    const logits = wantsLogits ? new Float32Array(numRows * config.vocabSize) : null;
    for (let start = 0; start < numRows; start += headChunkRows) {
      const indices = rowIndices.subarray(start, start + headChunkRows);
      this.#device.gatherRows(source, indices, config.hiddenSize, scratch.headIn.byteOffset);
      await this.#ops.logits(scratch.headIn.byteOffset, indices.length, head, scratch.logits.byteOffset);
      const chosen = this.#device.argmaxRows(scratch.logits.byteOffset, indices.length, config.vocabSize);
      ids.set(chosen.ids, start);
      margins.set(chosen.margins, start);
      logits?.set(
        this.#device.read(scratch.logits.byteOffset, indices.length * config.vocabSize),
        start * config.vocabSize,
      );
    }
    const { routerMargins } = this.#frames[frame];
    return {
      ids,
      margins,
      routerMargins: routerMargins.slice(0, (rowIndices.at(-1) ?? -1) + 1),
      logits,
    };
  }

  /** A whole forward pass of a model that lives on the device, attention included. */
  async draftStep({ ids, sequences, rowIndices }: DraftOp): Promise<Int32Array> {
    const { scratch, layers, kvCache, rope, numPositions } = this.#model;
    if (!rope.device) throw new Error('attention on the device needs rotation tables there');
    const rows = ids.length;
    this.embed(0, ids);
    for (const [layer, { attention, experts }] of layers.entries()) {
      await this.project(0, layer, rows, attention);
      this.#ops.attend({
        q: scratch.q.byteOffset,
        k: scratch.k.byteOffset,
        v: scratch.v.byteOffset,
        out: scratch.attention.byteOffset,
        rows,
        cache: kvCache[layer].byteOffset,
        cacheElements: kvCache[layer].byteLength / 4,
        sequences,
        ropeCos: rope.device.cos.byteOffset,
        ropeSin: rope.device.sin.byteOffset,
        numPositions,
      });
      const rowsPerExpert = await this.mix(0, layer, rows, attention);
      for (const [expert, weights] of experts.entries())
        if (rowsPerExpert[expert] > 0) await this.expert(0, layer, rows, expert, weights);
    }
    return (await this.head(0, rowIndices, false)).ids;
  }

  #hidden(frame: number, layer: number): number {
    // Layers alternate between two buffers: `mix` reads one while it writes the other. Layer N's output is layer
    // N + 1's input.
    return this.#model.frames[frame].hidden[layer % 2].byteOffset;
  }
}
