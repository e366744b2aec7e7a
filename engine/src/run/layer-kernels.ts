/**
 * One model's layers on a device: tasks turned into commands on the frames and scratch of a placement, one submission
 * each, and what their answers say.
 */

import { f32 } from '@specoffload/native';
import {
  type AttentionWeights,
  type Command,
  type DeviceQueue,
  type ExpertWeights,
  stretch,
} from '../machine/device.js';
import type { Region } from '../machine/pool.js';
import { keyWidth, queryWidth } from '../model/spec.js';
import { headChunkRows } from '../schedule/memory-plan.js';
import type {
  DeviceAttentionOp,
  DraftOp,
  DraftResult,
  HeadOp,
  HeadResult,
  MixResult,
} from '../schedule/ops.js';
import { sliceDraws } from '../speculate/row-draws.js';
import { joined } from './joined.js';
import { type Outcome, outcomeOf } from './lane.js';
import type { WorkerModel } from './lane-protocol.js';
import type { GiveWay } from './lane-queue.js';
import { NotFiniteError } from './not-finite.js';
import { chooseExperts, type ExpertRows, everyRow, inChunks } from './routing.js';
import { Window } from './window.js';

/** A frame's rows on their way through a layer. */
export interface FramePart {
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
}

/** What `mix` found out about a frame's rows and the experts and the head need. */
interface FrameState {
  expertRows: readonly ExpertRows[];
  readonly routerMargins: Float32Array; // (row), smallest over the layers so far
}

export class LayerKernels {
  readonly #queue: DeviceQueue;
  readonly #model: WorkerModel;
  readonly #frames: readonly FrameState[];

  constructor(queue: DeviceQueue, model: WorkerModel) {
    this.#queue = queue;
    this.#model = model;
    const rowBytes = model.spec.hiddenSize * model.formats.activationElementBytes;
    this.#frames = model.frames.map(({ normed }) => ({
      expertRows: [],
      routerMargins: new Float32Array(normed.byteLength / rowBytes),
    }));
  }

  /** Starts a frame: its rows' embeddings become the hidden state of layer 0. */
  async embed(frame: number, ids: Int32Array): Promise<Outcome<null>> {
    return outcomeOf(await this.#queue.submit([this.#embedding(frame, ids)]));
  }

  /** Norm and projections, which go to the frame's host buffers. */
  async project(part: FramePart, weights: AttentionWeights): Promise<Outcome<null>> {
    const { scratch, spec } = this.#model;
    const { attention } = spec.layers[part.layer];
    const { rows } = part;
    const host = this.#hostBuffers(part.frame);
    const numQueries = rows * queryWidth(attention);
    const numKeys = rows * keyWidth(attention);
    return outcomeOf(
      await this.#queue.submit([
        this.#projections(part, weights),
        copy('read-back', host.q, scratch.q, numQueries),
        copy('read-back', host.k, scratch.k, numKeys),
        copy('read-back', host.v, scratch.v, numKeys),
      ]),
    );
  }

  /** What follows the host's attention: brings its output, then as {@link attend} goes on. */
  mix(part: FramePart, weights: AttentionWeights, wantsRouting: boolean): Promise<Outcome<MixResult>> {
    const { scratch, spec } = this.#model;
    const count = part.rows * queryWidth(spec.layers[part.layer].attention);
    const upload = copy('upload', this.#hostBuffers(part.frame).out, scratch.attention, count);
    return this.#route(part, [upload, ...this.#mixing(part, weights, wantsRouting)], wantsRouting);
  }

  /**
   * Projections, attention over a cache in device memory, output projection, residual, norm and routing. With
   * `wantsRouting` the normed rows go to the frame's host buffer, and which rows chose each expert is returned too.
   */
  attend(op: DeviceAttentionOp): Promise<Outcome<MixResult>> {
    return this.#route(op, this.#attending(op), op.wantsRouting);
  }

  /** Adds one expert's output to the rows that chose it. */
  async expert(frame: number, layer: number, expert: number, weights: ExpertWeights): Promise<Outcome<null>> {
    const rows = this.#frames[frame].expertRows[expert];
    return outcomeOf(await this.#queue.submit(this.#feedingForward(frame, layer, rows, weights)));
  }

  /** Brings what the host has computed of one expert, and adds it to the rows that chose it. */
  async merge(frame: number, layer: number, expert: number): Promise<Outcome<null>> {
    const { scratch, frames, spec } = this.#model;
    const { hostExperts } = frames[frame];
    if (!hostExperts) throw new Error('a frame without host buffers has nothing to merge');
    const commands: Command[] = [];
    let host = hostExperts.out.byteOffset;
    for (const chunk of inChunks(this.#frames[frame].expertRows[expert])) {
      const count = chunk.indices.length * spec.hiddenSize;
      commands.push(
        { kind: 'upload', host, device: scratch.ffnOut.byteOffset, stretches: stretch(count) },
        this.#addition(frame, layer, chunk),
      );
      host += f32.bytes(count);
    }
    return outcomeOf(await this.#queue.submit(commands));
  }

  /** The target's choice after each of the given rows. */
  async head(op: Omit<HeadOp, 'kind'>, fromAll = false): Promise<Outcome<HeadResult>> {
    const { frame, rowIndices, wantsLogits, draws } = op;
    const { scratch, head, spec, role } = this.#model;
    const [x, out] = [scratch.headIn.byteOffset, scratch.logits.byteOffset];
    const source = this.#hidden(frame, spec.layers.length);
    const commands: Command[] = [];
    for (let start = 0; start < rowIndices.length; start += headChunkRows) {
      const indices = rowIndices.slice(start, start + headChunkRows);
      const rows = indices.length;
      commands.push(
        { kind: 'gather', source, indices, width: spec.hiddenSize, target: x },
        { kind: 'logits', model: role, x, rows, weights: head, out },
        {
          ...{ kind: 'argmax', source: out, rows, width: spec.vocabSize },
          ...{ draws: draws && sliceDraws(draws, start, start + rows), fromAll },
        },
      );
      if (wantsLogits) commands.push({ kind: 'read', source: out, count: rows * spec.vocabSize });
    }
    const completion = await this.#queue.submit(commands);
    if (completion.maxima.some(({ isPartial }) => isPartial)) return this.head(op, true);
    const margins = joined(
      completion.maxima.map((maxima) => maxima.margins),
      Float32Array,
    );
    if (margins.some(Number.isNaN)) throw this.#notFinite(spec.layers.length, 'logits');
    return outcomeOf(completion, {
      ids: joined(
        completion.maxima.map(({ ids }) => ids),
        Int32Array,
      ),
      margins,
      routerMargins: this.#frames[frame].routerMargins.slice(0, (rowIndices.at(-1) ?? -1) + 1),
      logits: wantsLogits ? joined(completion.values, Float32Array) : null,
      shares: draws && completion.maxima.flatMap(({ shares }) => shares ?? []),
    });
  }

  /** A whole forward pass of a model that lives on the device, attention included. */
  async draftStep(op: DraftOp, giveWay: GiveWay): Promise<Outcome<DraftResult>> {
    const { startSeconds } = await this.embed(0, op.ids);
    const submitted = new Window(this.#queue.depth);
    for (const layer of this.#model.layers.keys()) {
      await giveWay();
      if (this.#isOnePiece(layer)) await submitted.add(this.#draftLayerAtOnce(layer, op));
      else {
        await submitted.drain();
        await this.#draftLayerInPieces(layer, op, giveWay);
      }
    }
    await submitted.drain();
    await giveWay();
    const { endSeconds, result } = await this.head({
      ...{ frame: 0, rowIndices: op.rowIndices, wantsLogits: false, draws: op.draws },
    });
    return { startSeconds, endSeconds, result: { ids: result.ids, shares: result.shares } };
  }

  /**
   * With one expert there is no routing to wait for: the next layer can be on its way behind it. Yet where the lane's own
   * thread computes, shorter pieces let urgent work in between.
   */
  #isOnePiece(layer: number): boolean {
    return this.#model.layers[layer].experts.length === 1 && this.#queue.depth > 1;
  }

  #draftLayerAtOnce(layer: number, op: DraftOp): Promise<unknown> {
    const attention = this.#draftAttention(layer, op);
    const [expert] = this.#model.layers[layer].experts;
    const feedForward = this.#feedingForward(0, layer, everyRow(attention.rows), expert);
    return this.#route(attention, [...this.#attending(attention), ...feedForward], false);
  }

  async #draftLayerInPieces(layer: number, op: DraftOp, giveWay: GiveWay): Promise<void> {
    const { result } = await this.attend(this.#draftAttention(layer, op));
    for (const [expert, weights] of this.#model.layers[layer].experts.entries())
      if (result.rowsPerExpert[expert] > 0) {
        await giveWay();
        await this.expert(0, layer, expert, weights);
      }
  }

  #draftAttention(layer: number, { ids, sequences }: DraftOp): DeviceAttentionOp {
    const { layers, kvCache, formats } = this.#model;
    const { byteOffset: cache, byteLength } = kvCache[layer];
    return {
      ...{ kind: 'device-attention', frame: 0, layer, rows: ids.length },
      ...{ weights: layers[layer].attention, wantsRouting: false },
      ...{ cache, cacheElements: byteLength / formats.cacheElementBytes, sequences: sequences[layer] },
    };
  }

  /** Submits all up to the router, and finds out which rows go to which expert. */
  async #route(
    { frame, layer, rows }: FramePart,
    commands: readonly Command[],
    wantsRouting: boolean,
  ): Promise<Outcome<MixResult>> {
    const { numExperts, expertsPerToken, router } = this.#model.spec.layers[layer].ffn;
    const completion = await this.#queue.submit(commands);
    const [areFinite] = completion.areFinite;
    const [scores] = completion.values;
    if (!areFinite) throw this.#notFinite(layer, 'hidden states');
    if (scores && !scores.every(Number.isFinite)) throw this.#notFinite(layer, 'router scores');
    const state = this.#frames[frame];
    const margins = state.routerMargins.subarray(0, rows);
    state.expertRows =
      scores && router
        ? chooseExperts(scores, numExperts, expertsPerToken, router.weights, margins)
        : [everyRow(rows)];
    const expertRows = state.expertRows.map(({ indices }) => indices);
    const rowsPerExpert = expertRows.map(({ length }) => length);
    return outcomeOf(completion, wantsRouting ? { rowsPerExpert, expertRows } : { rowsPerExpert });
  }

  #attending(op: DeviceAttentionOp): Command[] {
    const { weights, wantsRouting } = op;
    return [this.#projections(op, weights), this.#attention(op), ...this.#mixing(op, weights, wantsRouting)];
  }

  #feedingForward(frame: number, layer: number, expertRows: ExpertRows, weights: ExpertWeights): Command[] {
    const { scratch, frames, spec, role } = this.#model;
    const [x, out] = [scratch.gathered.byteOffset, scratch.ffnOut.byteOffset];
    const commands: Command[] = [];
    for (const chunk of inChunks(expertRows)) {
      const { indices } = chunk;
      commands.push(
        {
          ...{ kind: 'gather', source: frames[frame].normed.byteOffset, indices },
          ...{ width: spec.hiddenSize, target: x },
        },
        { kind: 'feed-forward', model: role, layer, x, rows: indices.length, weights, out },
        this.#addition(frame, layer, chunk),
      );
    }
    return commands;
  }

  #embedding(frame: number, ids: Int32Array): Command {
    const { embedding, frames, role } = this.#model;
    this.#frames[frame].routerMargins.fill(Number.POSITIVE_INFINITY);
    return {
      ...{ kind: 'embed', model: role, ...embedding, ids },
      target: frames[frame].hidden[0].byteOffset,
    };
  }

  /** q, k and v of a frame's rows, to scratch. */
  #projections({ frame, layer, rows }: FramePart, weights: AttentionWeights): Command {
    const { scratch, role } = this.#model;
    return {
      ...{ kind: 'project', model: role, layer, x: this.#hidden(frame, layer), rows, weights },
      ...{ q: scratch.q.byteOffset, k: scratch.k.byteOffset, v: scratch.v.byteOffset },
    };
  }

  /** Attention of the projected rows in scratch; its output stays there too. */
  #attention({ layer, rows, weights, cache, cacheElements, sequences }: DeviceAttentionOp): Command {
    const { scratch, rope, numPositions, role } = this.#model;
    const rotation = rope.device?.[layer];
    if (!rotation) throw new Error('attention on the device needs rotation tables there');
    return {
      ...{ kind: 'attend', model: role, layer, rows, cache, cacheElements, sequences, numPositions },
      ...{ q: scratch.q.byteOffset, k: scratch.k.byteOffset, v: scratch.v.byteOffset },
      out: scratch.attention.byteOffset,
      ...{ ropeCos: rotation.cos.byteOffset, ropeSin: rotation.sin.byteOffset },
      sinks: weights.sinks ?? null,
    };
  }

  /** From the attention's output in scratch to normed rows, and what the host has to know of them. */
  #mixing({ frame, layer, rows }: FramePart, weights: AttentionWeights, wantsRouting: boolean): Command[] {
    const { scratch, frames, spec, role } = this.#model;
    const { normed, hostExperts } = frames[frame];
    const [x, y] = [this.#hidden(frame, layer), this.#hidden(frame, layer + 1)];
    const router = scratch.router.byteOffset;
    const commands: Command[] = [
      {
        ...{ kind: 'mix', model: role, layer, attention: scratch.attention.byteOffset, x, rows, weights },
        ...{ y, normed: normed.byteOffset, router },
      },
      // One value stands for its row: a product with o and a norm have spread whatever is not finite over all of it.
      { kind: 'starts-finite', source: y, rows, width: spec.hiddenSize },
    ];
    const { numExperts } = spec.layers[layer].ffn;
    if (numExperts > 1) commands.push({ kind: 'read', source: router, count: rows * numExperts });
    if (!wantsRouting) return commands;
    if (!hostExperts) throw new Error('a frame without host buffers has nowhere to read back to');
    return [...commands, copy('read-back', hostExperts.normed, normed, rows * spec.hiddenSize)];
  }

  /** Adds what an expert has computed of some rows, which lies in scratch. */
  #addition(frame: number, layer: number, { indices, weights: scales }: ExpertRows): Command {
    const { scratch, spec } = this.#model;
    return {
      ...{ kind: 'scatter-add', source: scratch.ffnOut.byteOffset, indices, scales },
      ...{ width: spec.hiddenSize, target: this.#hidden(frame, layer + 1) },
    };
  }

  #hostBuffers(frame: number) {
    const { host } = this.#model.frames[frame];
    if (host) return host;
    throw new Error('a frame without host buffers has nothing to exchange with the host');
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

function copy(kind: 'upload' | 'read-back', host: Region, device: Region, count: number): Command {
  return { kind, host: host.byteOffset, device: device.byteOffset, stretches: stretch(count) };
}
