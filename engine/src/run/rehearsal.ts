/** Commands like those of a run, for a device that prepares itself before anything is measured. */

import { f32 } from '@specoffload/native';
import { largest } from '../extremes.js';
import type { AttentionWeights, Command, ExpertWeights } from '../machine/device.js';
import { keyWidth } from '../model/spec.js';
import { ffnChunkRows, headChunkRows } from '../schedule/memory-plan.js';
import { drawRows, type RowDraws } from '../speculate/row-draws.js';
import { parseSampling, type Sampling, type SamplingInput } from '../speculate/sampling.js';
import type { WorkerModel } from './lane-protocol.js';
import { passShared } from './layer-commands.js';

/** One of the layers that are alike in what they compute and in how their weights are stored. */
export interface LayerKind {
  readonly layer: number;
  readonly attention: AttentionWeights;
  /** One stands for all. */
  readonly expert: ExpertWeights;
}

/** Numbers of rows between which devices make a difference, as far as the model's buffers go. */
function rowCounts({ frames, spec }: WorkerModel): number[] {
  const rowBytes = f32.bytes(spec.hiddenSize);
  const most = largest(frames.map(({ normed }) => Math.floor(normed.byteLength / rowBytes)));
  return [1, 2, 4, 8, 16, 32, 64, 128, ffnChunkRows, most].filter((rows) => rows <= most);
}

export function rehearse(model: WorkerModel): Command[] {
  return rowCounts(model).flatMap((rows) => [
    ...model.kinds.flatMap((kind) => layerCommands(model, kind, rows)),
    { kind: 'embed' as const, model: model.role, ...model.embedding, ids: new Int32Array(rows), target: 0 },
    ...headCommands(model, Math.min(rows, headChunkRows)),
  ]);
}

function layerCommands(
  { role, frames, rope, kvCache, numPositions, spec }: WorkerModel,
  { layer, attention, expert }: LayerKind,
  rows: number,
): Command[] {
  const [{ scratch, routes }] = frames;
  const [q, k, v] = [scratch.q.byteOffset, scratch.k.byteOffset, scratch.v.byteOffset];
  const [x, y] = frames[0].hidden.map(({ byteOffset }) => byteOffset);
  const normed = frames[0].normed.byteOffset;
  const [gathered, out] = [scratch.gathered.byteOffset, scratch.ffnOut.byteOffset];
  const rotation = rope.device?.[layer];
  const common = { model: role, layer, rows } as const;
  const indices = new Int32Array(Math.min(rows, ffnChunkRows)).map((_, row) => row);
  const width = spec.hiddenSize;
  return [
    { kind: 'project', ...common, x, weights: attention, q, k, v },
    ...(rotation
      ? [
          {
            ...{ kind: 'attend' as const, ...common, q, k, v, out: scratch.attention.byteOffset },
            ...{
              cache: kvCache[layer].byteOffset,
              cacheElements: rows * keyWidth(spec.layers[layer].attention),
            },
            // A single row behind a long text, too, which is read in parts.
            ...{ sequences: Float64Array.of(0, 0, rows, rows === 1 ? 4096 : 0, rows), numPositions },
            ...{ ropeCos: rotation.cos.byteOffset, ropeSin: rotation.sin.byteOffset },
            sinks: attention.sinks ?? null,
          },
        ]
      : []),
    {
      ...{ kind: 'mix', ...common, attention: scratch.attention.byteOffset, x, weights: attention, y },
      ...{ normed, router: scratch.router.byteOffset },
    },
    { kind: 'starts-finite', source: y, rows, width },
    ...(routes && spec.layers[layer].ffn.numExperts > 1
      ? [
          {
            ...{ kind: 'route' as const, ...common, scores: scratch.router.byteOffset },
            lists: routes.byteOffset,
          },
        ]
      : []),
    ...passShared(spec, { model: role, layer, rows, weights: attention, x: normed, out: x, target: y }),
    { kind: 'gather', source: normed, indices, width, target: gathered },
    { kind: 'feed-forward', ...common, rows: indices.length, x: gathered, weights: expert, out },
    { kind: 'scatter-add', source: out, indices, scales: new Float32Array(indices.length), width, target: y },
  ];
}

function anyDraws(numRows: number, masks: SamplingInput = {}): RowDraws {
  const sampling = parseSampling({ temperature: 1, ...masks }) as Sampling;
  return drawRows(sampling, [{ noise: 0, numTokens: numRows, numRows, tokens: () => [0] }]);
}

function headCommands({ role, frames, head, spec }: WorkerModel, rows: number): Command[] {
  const [{ scratch }] = frames;
  const [x, out] = [scratch.headIn.byteOffset, scratch.logits.byteOffset];
  return [
    { kind: 'logits', model: role, x, rows, weights: head, out },
    { kind: 'argmax', source: out, rows, width: spec.vocabSize },
    { kind: 'argmax', source: out, rows, width: spec.vocabSize, draws: anyDraws(rows) },
    {
      ...{ kind: 'argmax', source: out, rows, width: spec.vocabSize },
      draws: anyDraws(rows, { topK: 1, presencePenalty: 1 }),
    },
  ];
}
