/** A layer's work as commands on the frames of a placement. */

import { f32 } from '@specoffload/native';
import type {
  AttentionWeights,
  Command,
  DeviceAddress,
  ExpertWeights,
  ModelRole,
} from '../machine/device.js';
import { sharedExpert } from '../machine/device-weights.js';
import type { Region } from '../machine/pool.js';
import { stretch } from '../machine/stretches.js';
import type { ModelSpec } from '../model/spec.js';
import type { DeviceAttentionOp } from '../schedule/ops.js';
import { type ExpertRows, everyRow, type FrameRows, inChunks, inChunksOfFrames } from './expert-rows.js';
import type { WorkerModel } from './lane-protocol.js';

/** A frame's rows on their way through a layer. */
export interface FramePart {
  readonly frame: number;
  readonly layer: number;
  readonly rows: number;
}

export class LayerCommands {
  readonly #model: WorkerModel;

  constructor(model: WorkerModel) {
    this.#model = model;
  }

  attending(op: DeviceAttentionOp): Command[] {
    const { weights, wantsRouting } = op;
    return [this.projections(op, weights), this.#attention(op), ...this.mixing(op, weights, wantsRouting)];
  }

  /** An expert for the rows of one frame or several: its weights are read once for as many as the scratch memory holds. */
  feedingForward(
    routed: readonly Pick<FrameRows, 'frame' | 'rows'>[],
    layer: number,
    weights: ExpertWeights,
    width?: number,
  ): Command[] {
    const { frames, spec, role } = this.#model;
    const { scratch } = frames[routed[0].frame];
    const [x, out] = [scratch.gathered.byteOffset, scratch.ffnOut.byteOffset];
    const commands: Command[] = [];
    for (const chunk of inChunksOfFrames(routed)) {
      let rows = 0;
      for (const {
        frame,
        first,
        rows: { indices },
      } of chunk) {
        const source = frames[frame].normed.byteOffset;
        const target = x + this.#rowBytes(first);
        commands.push({ kind: 'gather', source, indices, width: spec.hiddenSize, target });
        rows += indices.length;
      }
      commands.push({ kind: 'feed-forward', model: role, layer, x, rows, weights, width, out });
      for (const { frame, first, rows: those } of chunk)
        commands.push(this.addition(frame, layer, those, first));
    }
    return commands;
  }

  #rowBytes(rows: number): number {
    return f32.bytes(rows * this.#model.spec.hiddenSize);
  }

  embedding(frame: number, ids: Int32Array): Command {
    const { embedding, frames, role } = this.#model;
    return {
      ...{ kind: 'embed', model: role, ...embedding, ids },
      target: frames[frame].hidden[0].byteOffset,
    };
  }

  /** q, k and v of a frame's rows, to scratch. */
  projections({ frame, layer, rows }: FramePart, weights: AttentionWeights): Command {
    const { role, frames } = this.#model;
    const { scratch } = frames[frame];
    return {
      ...{ kind: 'project', model: role, layer, x: this.hidden(frame, layer), rows, weights },
      ...{ q: scratch.q.byteOffset, k: scratch.k.byteOffset, v: scratch.v.byteOffset },
    };
  }

  /** Attention of the projected rows in scratch; its output stays there too. */
  #attention(op: DeviceAttentionOp): Command {
    const { frame, layer, rows, weights, cache, cacheElements, sequences, shared } = op;
    const { frames, rope, numPositions, role } = this.#model;
    const { scratch } = frames[frame];
    const rotation = rope.device?.[layer];
    if (!rotation) throw new Error('attention on the device needs rotation tables there');
    return {
      ...{ kind: 'attend', model: role, layer, rows, cache, cacheElements, sequences, shared },
      numPositions,
      ...{ q: scratch.q.byteOffset, k: scratch.k.byteOffset, v: scratch.v.byteOffset },
      out: scratch.attention.byteOffset,
      ...{ ropeCos: rotation.cos.byteOffset, ropeSin: rotation.sin.byteOffset },
      sinks: weights.sinks ?? null,
    };
  }

  /** From the attention's output in scratch to normed rows, and what the host has to know of them. */
  mixing({ frame, layer, rows }: FramePart, weights: AttentionWeights, wantsRouting: boolean): Command[] {
    const { frames, spec, role } = this.#model;
    const { normed, hostExperts, scratch, routes } = frames[frame];
    const [x, y] = [this.hidden(frame, layer), this.hidden(frame, layer + 1)];
    const router = scratch.router.byteOffset;
    const commands: Command[] = [
      {
        ...{ kind: 'mix', model: role, layer, attention: scratch.attention.byteOffset, x, rows, weights },
        ...{ y, normed: normed.byteOffset, router },
      },
      // One value stands for its row: a product with o and a norm have spread whatever is not finite over all of it.
      { kind: 'starts-finite', source: y, rows, width: spec.hiddenSize },
      // Nobody reads the layer's input again.
      ...passShared(spec, { model: role, layer, rows, weights, x: normed.byteOffset, out: x, target: y }),
    ];
    if (spec.layers[layer].ffn.numExperts > 1 && routes)
      commands.push({
        ...{ kind: 'route', model: role, layer, scores: router, rows, lists: routes.byteOffset },
      });
    if (!wantsRouting) return commands;
    if (!hostExperts) throw new Error('a frame without host buffers has nowhere to read back to');
    return [...commands, copy('read-back', hostExperts.normed, normed, rows * spec.hiddenSize)];
  }

  /** Where {@link mixing} has a frame's rows listed by expert. */
  routed(frame: number, numChoices: number): ExpertRows {
    const lists = this.#model.frames[frame].routes?.byteOffset as number;
    const [indices, scales] = [lists, lists + f32.bytes(numChoices)];
    return {
      indices: { address: indices, length: numChoices },
      scales: { address: scales, length: numChoices },
    };
  }

  /** Adds what an expert has computed of some rows, which lies in scratch behind that of `first` others. */
  addition(frame: number, layer: number, { indices, scales }: ExpertRows, first = 0): Command {
    const { frames, spec } = this.#model;
    const { scratch } = frames[frame];
    return {
      kind: 'scatter-add',
      source: scratch.ffnOut.byteOffset + this.#rowBytes(first),
      indices,
      scales,
      width: spec.hiddenSize,
      target: this.hidden(frame, layer + 1),
    };
  }

  hostBuffers(frame: number) {
    const { host } = this.#model.frames[frame];
    if (host) return host;
    throw new Error('a frame without host buffers has nothing to exchange with the host');
  }

  hostLayer(frame: number) {
    const { hostLayer } = this.#model.frames[frame];
    if (hostLayer) return hostLayer;
    throw new Error('a frame without host buffers has no attention on the host');
  }

  hidden(frame: number, layer: number): number {
    // Layers alternate between two buffers: `mix` reads one while it writes the other. Layer N's output is layer
    // N + 1's input.
    return this.#model.frames[frame].hidden[layer % 2].byteOffset;
  }
}

interface SharedPass {
  readonly model: ModelRole;
  readonly layer: number;
  readonly rows: number;
  readonly weights: AttentionWeights;
  readonly x: DeviceAddress; // (row, hidden), normed
  readonly out: DeviceAddress; // (row, hidden), scratch
  readonly target: DeviceAddress; // (row, hidden)
}

/** Adds to `target` what a shared expert makes of `x`, where the layer has one. */
export function passShared(
  { hiddenSize, layers }: ModelSpec,
  { model, layer, rows, weights: ofLayer, x, out, target }: SharedPass,
): Command[] {
  const weights = sharedExpert(ofLayer);
  if (!weights) return [];
  const width = layers[layer].ffn.sharedWidth ?? undefined;
  let first = 0;
  return inChunks(everyRow(rows)).flatMap(({ indices, scales }): Command[] => {
    const from = f32.bytes(first * hiddenSize);
    first += indices.length;
    return [
      {
        ...{ kind: 'feed-forward', model, layer, rows: indices.length, weights, width },
        ...{ x: x + from, out },
      },
      { kind: 'scatter-add', source: out, indices, scales, width: hiddenSize, target },
    ];
  });
}

type Place = Pick<Region, 'byteOffset'>;

export function copy(kind: 'upload' | 'read-back', host: Place, device: Place, count: number): Command {
  return { kind, host: host.byteOffset, device: device.byteOffset, stretches: stretch(count) };
}
