/** One model's layers on a device: the steps that tasks are made of, on the frames and scratch of a placement. */

import type { AttentionWeights, Device, DeviceModel, ExpertWeights } from '../machine/device.js';
import { headChunkRows } from '../schedule/memory-plan.js';
import type { DeviceAttentionOp, DraftOp, HeadResult, MixResult } from '../schedule/ops.js';
import type { WorkerModel } from './lane-protocol.js';
import type { GiveWay } from './lane-queue.js';
import { NotFiniteError } from './not-finite.js';
import { chooseExperts, type ExpertRows, everyRow, inChunks } from './routing.js';

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

  /** Projections, attention over a cache in device memory, then as {@link mix}. */
  async attend(op: DeviceAttentionOp): Promise<MixResult> {
    const { frame, layer, rows, weights, wantsRouting } = op;
    await this.project(frame, layer, rows, weights);
    this.#attend(op);
    return this.mix(frame, layer, rows, weights, wantsRouting);
  }

  /**
   * Output projection, residual, norm and routing. With `wantsRouting` the normed rows go to the frame's host
   * buffer, and which rows chose each expert is returned too.
   */
  async mix(
    frame: number,
    layer: number,
    rows: number,
    weights: AttentionWeights,
    wantsRouting: boolean,
  ): Promise<MixResult> {
    const { scratch, frames, config } = this.#model;
    const state = this.#frames[frame];
    await this.#ops.mix(scratch.attention.byteOffset, this.#hidden(frame, layer), rows, weights, {
      y: this.#hidden(frame, layer + 1),
      normed: frames[frame].normed.byteOffset,
      router: scratch.router.byteOffset,
    });
    // One value stands for its row: a product with o and a norm have spread whatever is not finite over all of it.
    if (!this.#device.startsFinite(this.#hidden(frame, layer + 1), rows, config.hiddenSize))
      throw this.#notFinite(layer, 'hidden states');
    state.expertRows = config.numExperts === 1 ? [everyRow(rows)] : this.#route(frame, layer, rows);
    const rowsPerExpert = state.expertRows.map(({ indices }) => indices.length);
    if (!wantsRouting) return { rowsPerExpert };
    const { normed, hostExperts } = frames[frame];
    if (!hostExperts) throw new Error('a frame without host buffers has nowhere to read back to');
    this.#device.readBack(normed.byteOffset, hostExperts.normed.byteOffset, rows * config.hiddenSize);
    return { rowsPerExpert, expertRows: state.expertRows.map(({ indices }) => indices) };
  }

  #route(frame: number, layer: number, rows: number): readonly ExpertRows[] {
    const { scratch, config } = this.#model;
    const scores = this.#device.read(scratch.router.byteOffset, rows * config.numExperts);
    if (!scores.every(Number.isFinite)) throw this.#notFinite(layer, 'router scores');
    const margins = this.#frames[frame].routerMargins.subarray(0, rows);
    return chooseExperts(scores, config.numExperts, config.expertsPerToken, margins);
  }

  /** Adds one expert's output to the rows that chose it. */
  async expert(frame: number, layer: number, expert: number, weights: ExpertWeights): Promise<void> {
    const { scratch, frames, config } = this.#model;
    const { gathered, ffnOut } = scratch;
    const normed = frames[frame].normed.byteOffset;
    for (const { indices, weights: scales } of inChunks(this.#frames[frame].expertRows[expert])) {
      this.#device.gatherRows(normed, indices, config.hiddenSize, gathered.byteOffset);
      await this.#ops.feedForward(gathered.byteOffset, indices.length, weights, ffnOut.byteOffset);
      this.#addFeedForward(frame, layer, indices, scales);
    }
  }

  /** Brings what the host has computed of one expert, and adds it to the rows that chose it. */
  merge(frame: number, layer: number, expert: number): void {
    const { scratch, frames, config } = this.#model;
    const { hostExperts } = frames[frame];
    if (!hostExperts) throw new Error('a frame without host buffers has nothing to merge');
    let source = hostExperts.out.byteOffset;
    for (const { indices, weights: scales } of inChunks(this.#frames[frame].expertRows[expert])) {
      const count = indices.length * config.hiddenSize;
      this.#device.upload(source, scratch.ffnOut.byteOffset, count);
      this.#addFeedForward(frame, layer, indices, scales);
      source += count * 4;
    }
  }

  #addFeedForward(frame: number, layer: number, indices: Int32Array, scales: Float32Array): void {
    const { scratch, config } = this.#model;
    const target = this.#hidden(frame, layer + 1);
    this.#device.scatterAddRows(scratch.ffnOut.byteOffset, indices, scales, config.hiddenSize, target);
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
      if (chosen.margins.some(Number.isNaN)) throw this.#notFinite(config.numLayers, 'logits');
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
  async draftStep({ ids, sequences, rowIndices }: DraftOp, giveWay: GiveWay): Promise<Int32Array> {
    const { layers, kvCache } = this.#model;
    const rows = ids.length;
    this.embed(0, ids);
    for (const [layer, { attention, experts }] of layers.entries()) {
      const { byteOffset: cache, byteLength } = kvCache[layer];
      await giveWay();
      const { rowsPerExpert } = await this.attend({
        ...{ kind: 'device-attention', frame: 0, layer, rows, weights: attention, wantsRouting: false },
        ...{ cache, cacheElements: byteLength / 4, sequences },
      });
      for (const [expert, weights] of experts.entries())
        if (rowsPerExpert[expert] > 0) {
          await giveWay();
          await this.expert(0, layer, expert, weights);
        }
    }
    await giveWay();
    return (await this.head(0, rowIndices, false)).ids;
  }

  /** Attention of the projected rows in scratch; its output stays there too. */
  #attend({ rows, cache, cacheElements, sequences }: DeviceAttentionOp): void {
    const { scratch, rope, numPositions } = this.#model;
    if (!rope.device) throw new Error('attention on the device needs rotation tables there');
    this.#ops.attend({
      q: scratch.q.byteOffset,
      k: scratch.k.byteOffset,
      v: scratch.v.byteOffset,
      out: scratch.attention.byteOffset,
      ...{ rows, cache, cacheElements, sequences, numPositions },
      ropeCos: rope.device.cos.byteOffset,
      ropeSin: rope.device.sin.byteOffset,
    });
  }

  #notFinite(layer: number, what: string): NotFiniteError {
    return new NotFiniteError({ model: this.#model.role, layer, what });
  }

  #hidden(frame: number, layer: number): number {
    // Layers alternate between two buffers: `mix` reads one while it writes the other. Layer N's output is layer
    // N + 1's input.
    return this.#model.frames[frame].hidden[layer % 2].byteOffset;
  }
}
