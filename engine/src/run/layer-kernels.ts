/**
 * One model's layers on a device: tasks turned into commands on the frames and scratch of a placement, one submission
 * each, and what their answers say.
 */

import { f32 } from '@specoffload/native';
import type { AttentionWeights, Command, DeviceQueue } from '../machine/device.js';
import { countRows, listRows, splitRows } from '../machine/routing.js';
import { stretch } from '../machine/stretches.js';
import { keyWidth, queryWidth } from '../model/spec.js';
import { headChunkRows } from '../schedule/memory-plan.js';
import type {
  AdoptOp,
  DeviceAttentionOp,
  DraftOp,
  DraftResult,
  ExpertOp,
  HeadOp,
  HeadResult,
  MixOp,
  MixResult,
} from '../schedule/ops.js';
import { leadersOf } from '../speculate/leaders.js';
import { sliceDraws } from '../speculate/row-draws.js';
import { everyRow, inChunks, type RowsByExpert, rowsOf } from './expert-rows.js';
import type { Foreseer } from './foreseer.js';
import { joined } from './joined.js';
import { type Outcome, outcomeOf } from './lane.js';
import type { WorkerModel } from './lane-protocol.js';
import type { GiveWay } from './lane-queue.js';
import { copy, type FramePart, LayerCommands } from './layer-commands.js';
import { NotFiniteError } from './not-finite.js';
import { Window } from './window.js';

type ExpertPart = Pick<ExpertOp, 'frames' | 'layer' | 'expert' | 'weights' | 'width'>;

/** What `mix` found out about a frame's rows and the experts and the head need. */
interface FrameState {
  rows: RowsByExpert;
  readonly routerMargins: Float32Array; // (row), smallest over the layers so far
}

export class LayerKernels {
  readonly #foreseer: Foreseer | null;
  readonly #queue: DeviceQueue;
  readonly #model: WorkerModel;
  readonly #commands: LayerCommands;
  readonly #frames: readonly FrameState[];

  /** @param foreseer asked for the next layer's experts, where ops want to know */
  constructor(queue: DeviceQueue, model: WorkerModel, foreseer: Foreseer | null = null) {
    this.#foreseer = foreseer;
    this.#queue = queue;
    this.#model = model;
    this.#commands = new LayerCommands(model);
    const rowBytes = model.spec.hiddenSize * model.formats.activationElementBytes;
    this.#frames = model.frames.map(({ normed }) => ({
      rows: everyRow(0),
      routerMargins: new Float32Array(normed.byteLength / rowBytes),
    }));
  }

  /** Starts a frame: its rows' embeddings become the hidden state of layer 0. */
  async embed(frame: number, ids: Int32Array): Promise<Outcome<null>> {
    this.#frames[frame].routerMargins.fill(Number.POSITIVE_INFINITY);
    return outcomeOf(await this.#queue.submit([this.#commands.embedding(frame, ids)]));
  }

  /** Norm and projections, which go to the frame's host buffers. */
  async project(part: FramePart, weights: AttentionWeights): Promise<Outcome<null>> {
    const { spec, frames } = this.#model;
    const { scratch } = frames[part.frame];
    const { attention } = spec.layers[part.layer];
    const { rows } = part;
    const host = this.#commands.hostBuffers(part.frame);
    const numQueries = rows * queryWidth(attention);
    const numKeys = rows * keyWidth(attention);
    return outcomeOf(
      await this.#queue.submit([
        this.#commands.projections(part, weights),
        copy('read-back', host.q, scratch.q, numQueries),
        copy('read-back', host.k, scratch.k, numKeys),
        copy('read-back', host.v, scratch.v, numKeys),
      ]),
    );
  }

  /** What follows the host's attention: brings its output, then as {@link attend} goes on. */
  mix(op: MixOp): Promise<Outcome<MixResult>> {
    const { weights, wantsRouting, ...part } = op;
    const { spec, frames } = this.#model;
    const { scratch } = frames[part.frame];
    const count = part.rows * queryWidth(spec.layers[part.layer].attention);
    const upload = copy('upload', this.#commands.hostBuffers(part.frame).out, scratch.attention, count);
    return this.#route(op, [upload, ...this.#commands.mixing(part, weights, wantsRouting)]);
  }

  /**
   * Projections, attention over a cache in device memory, output projection, residual, norm and routing. With
   * `wantsRouting` the normed rows go to the frame's host buffer, and which rows chose each expert is returned too.
   */
  attend(op: DeviceAttentionOp): Promise<Outcome<MixResult>> {
    return this.#route(op, this.#commands.attending(op));
  }

  /** Brings hidden states to the host, whose attention is all computed there. */
  async readHidden({ frame, layer, rows }: FramePart): Promise<Outcome<null>> {
    const { x } = this.#commands.hostLayer(frame);
    const count = rows * this.#model.spec.hiddenSize;
    const hidden = { byteOffset: this.#commands.hidden(frame, layer) };
    return outcomeOf(await this.#queue.submit([copy('read-back', x, hidden, count)]));
  }

  /** What follows it: brings what the host has made of them, and remembers what its router chose. */
  async adopt({ frame, layer, rows, found }: AdoptOp): Promise<Outcome<null>> {
    const { y, normed } = this.#commands.hostLayer(frame);
    const count = rows * this.#model.spec.hiddenSize;
    const hidden = { byteOffset: this.#commands.hidden(frame, layer + 1) };
    const completion = await this.#queue.submit([
      copy('upload', y, hidden, count),
      copy('upload', normed, this.#model.frames[frame].normed, count),
    ]);
    const state = this.#frames[frame];
    const { rowsPerExpert: counts, indices, scales } = found;
    state.rows = { counts, indices, scales };
    lowerMargins(state.routerMargins, found.routerMargins);
    return outcomeOf(completion);
  }

  /** Adds one expert's output to the rows that chose it, or what some of its neurons make of that. */
  async expert({ frames, layer, expert, weights, width }: ExpertPart): Promise<Outcome<null>> {
    const routed = frames.map((frame) => ({ frame, rows: rowsOf(this.#frames[frame].rows, expert) }));
    const commands = this.#commands.feedingForward(routed, layer, weights, width);
    return outcomeOf(await this.#queue.submit(commands));
  }

  /** Brings what the host has computed of one expert, and adds it to the rows that chose it. */
  async merge(frame: number, layer: number, expert: number): Promise<Outcome<null>> {
    const { frames, spec } = this.#model;
    const { scratch, hostExperts } = frames[frame];
    if (!hostExperts) throw new Error('a frame without host buffers has nothing to merge');
    const commands: Command[] = [];
    let host = hostExperts.out.byteOffset;
    for (const chunk of inChunks(rowsOf(this.#frames[frame].rows, expert))) {
      const count = chunk.indices.length * spec.hiddenSize;
      commands.push(
        { kind: 'upload', host, device: scratch.ffnOut.byteOffset, stretches: stretch(count) },
        this.#commands.addition(frame, layer, chunk),
      );
      host += f32.bytes(count);
    }
    return outcomeOf(await this.#queue.submit(commands));
  }

  /** The target's choice after each of the given rows. */
  async head(op: Omit<HeadOp, 'kind'>, fromAll = false): Promise<Outcome<HeadResult>> {
    const { frame, rowIndices, wantsLogits, draws } = op;
    const { frames, head, spec, role } = this.#model;
    const { scratch } = frames[frame];
    const [x, out] = [scratch.headIn.byteOffset, scratch.logits.byteOffset];
    const source = this.#commands.hidden(frame, spec.layers.length);
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
    const { rowIndices, draws, numLeaders } = op;
    const { endSeconds, result } = await this.head({
      ...{ frame: 0, rowIndices, wantsLogits: numLeaders > 0, draws },
    });
    const { ids, shares, logits } = result;
    const { vocabSize } = this.#model.spec;
    const leaders =
      logits &&
      Array.from(rowIndices, (_, row) =>
        leadersOf(logits.subarray(row * vocabSize, (row + 1) * vocabSize), numLeaders, draws, row),
      );
    return { startSeconds, endSeconds, result: { ids, shares, leaders: leaders ?? undefined } };
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
    const feedForward = this.#commands.feedingForward(
      [{ frame: 0, rows: everyRow(attention.rows) }],
      layer,
      expert,
    );
    return this.#route(attention, [...this.#commands.attending(attention), ...feedForward]);
  }

  async #draftLayerInPieces(layer: number, op: DraftOp, giveWay: GiveWay): Promise<void> {
    const { result } = await this.attend(this.#draftAttention(layer, op));
    for (const [expert, weights] of this.#model.layers[layer].experts.entries())
      if (result.rowsPerExpert[expert] > 0) {
        await giveWay();
        await this.expert({ frames: [0], layer, expert, weights });
      }
  }

  #draftAttention(layer: number, { ids, sequences, shared }: DraftOp): DeviceAttentionOp {
    const { layers, kvCache, formats } = this.#model;
    const { byteOffset: cache, byteLength } = kvCache[layer];
    return {
      ...{ kind: 'device-attention', frame: 0, layer, rows: ids.length },
      ...{ weights: layers[layer].attention, wantsRouting: false, foresees: [] },
      ...{ cache, cacheElements: byteLength / formats.cacheElementBytes, sequences: sequences[layer] },
      shared: shared?.[layer],
    };
  }

  /** Submits all up to the router, and finds out which rows go to which expert. */
  async #route(
    { frame, layer, rows, wantsRouting, foresees }: FramePart & Pick<MixOp, 'wantsRouting' | 'foresees'>,
    commands: readonly Command[],
  ): Promise<Outcome<MixResult>> {
    const { spec } = this.#model;
    const source = this.#commands.hidden(frame, layer + 1);
    const completion = await this.#queue.submit(
      foresees.length > 0 ? [...commands, { kind: 'read', source, count: rows * spec.hiddenSize }] : commands,
    );
    const foreseen = foresees.map((to) => (this.#foreseer as Foreseer).foresee(to, completion.values[0]));
    const [areFinite] = completion.areFinite;
    const [choices] = completion.choices;
    if (!areFinite) throw this.#notFinite(layer, 'hidden states');
    const state = this.#frames[frame];
    if (!choices) {
      state.rows = everyRow(rows);
      const rowsPerExpert = [rows];
      const expertRows = [state.rows.indices as Int32Array];
      return outcomeOf(completion, { rowsPerExpert, foreseen, ...(wantsRouting && { expertRows }) });
    }
    const { experts, margins } = choices;
    if (margins.some(Number.isNaN)) throw this.#notFinite(layer, 'router scores');
    const { ffn } = spec.layers[layer];
    const counts = countRows(ffn.numExperts, experts);
    lowerMargins(state.routerMargins, margins);
    state.rows = { counts, ...this.#commands.routed(frame, experts.length) };
    const expertRows = wantsRouting ? splitRows(counts, listRows(ffn, experts).indices) : undefined;
    return outcomeOf(completion, { rowsPerExpert: counts, foreseen, ...(expertRows && { expertRows }) });
  }

  #notFinite(layer: number, what: string): NotFiniteError {
    return new NotFiniteError({ model: this.#model.role, layer, what });
  }
}

/** Mutates `least`. */
function lowerMargins(least: Float32Array, margins: Float32Array): void {
  for (const [row, margin] of margins.entries()) least[row] = Math.min(least[row], margin);
}
