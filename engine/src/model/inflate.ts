/**
 * Function-preserving inflation: a checkpoint of any size that computes exactly what its small source computes.
 *
 * It costs the bytes and the arithmetic of a model of its size, so offloading can be measured on it, and emits the
 * source's tokens, so acceptance rates stay real. Three ways to grow, which combine:
 *
 * - *More layers.* Extra layers stand evenly between the source's. Their o and down projections and the biases behind
 *   them are zero, so they add exactly nothing to the residual stream, normalised or not.
 * - *Wider FFN.* Extra gate and up rows are random; the down columns that read them are zero.
 * - *More experts, where there are some.* Each expert is divided into m adjacent parts: its FFN rows are shared out, its router row
 *   is repeated for every part, m times as many experts are chosen per token, and down columns are multiplied by m.
 *   The parts of one expert have equal logits, so the top k * m are the parts of the source's top k; each part's
 *   weight, renormalised or not, is its expert's divided by m, which the multiplied columns undo, and m equal biases
 *   behind them. An FFN is a sum over its
 *   rows, so the parts add up to their expert. Where two *experts* tie, the lower index wins in both models, and a
 *   tie between parts cannot separate them, because they are adjacent and all of them fit.
 *
 * A quantised source grows by layers, whose stored bytes are copied (`inflate-stored.ts`), and by dividing its experts; a
 * GGUF file by layers alone, to another (`gguf/inflate.ts`).
 */

import { join } from 'node:path';
import { type JsonRecord, maybeReadText, parseJson, withJsonFields } from '@specoffload/input';
import { openCheckpoint } from './checkpoint.js';
import { familyOfSpec, parseModelSpec } from './config.js';
import { maxConfigBytes } from './configuration.js';
import { isFused } from './fused-experts.js';
import { isGgufPath } from './gguf/file.js';
import { inflateGguf } from './gguf/inflate.js';
import {
  copyRows,
  NormalPool,
  type Range,
  repeatRows,
  repeatValue,
  TensorReader,
  widenColumns,
} from './inflate-bytes.js';
import {
  type GroupPair,
  type InflationPlan,
  type InflationRequest,
  isSourceLayer,
  pairGroups,
  planInflation,
  requireAtLeast,
} from './inflate-plan.js';
import { isQuantised, layersAlone, storedGrowth, storedSections } from './inflate-stored.js';
import { joinStacks, type PromisedTensor } from './join-stacks.js';
import { createRandom } from './random.js';
import type { GroupSpec, TensorSpec } from './roles.js';
import { readSidecars } from './sidecars.js';
import type { ModelSpec } from './spec.js';
import type { Checkpoint, TensorRef } from './types.js';
import { type Disk, type TensorSource, type WriteProgress, writeCheckpoint } from './write.js';

export interface InflationOptions extends InflationRequest {
  readonly source: Checkpoint;
  /** Must not exist yet; it appears complete or not at all. A file's name where the source is one. */
  readonly targetDirectory: string;
  /** Equal seeds give equal files. */
  readonly seed: number;
  readonly onProgress?: (progress: WriteProgress) => void;
  readonly signal?: AbortSignal;
  /** What a test puts in place of the disk. */
  readonly disk?: Disk;
}

/**
 * Writes the inflated checkpoint, streamed: memory stays at a few chunks whatever the size. Weights keep the source's
 * dtype, copied ones every bit; a quantised source is given more layers and divided experts only.
 *
 * @example await inflateCheckpoint({ source, targetDirectory: 'models/big', bytes: 2e9, seed: 1 })
 * @throws UserError when the request or the disk does not fit; then nothing is left behind.
 */
export async function inflateCheckpoint(options: InflationOptions): Promise<Checkpoint> {
  const { source, targetDirectory, seed, bytes, layers, experts, ffnSize } = options;
  const request = { bytes, layers, experts, ffnSize };
  if (isGgufPath(source.directory)) return growGguf(options, layersAlone(source, request));
  const copies = isQuantised(source);
  const planned = planInflation(source, copies ? storedGrowth(source, request) : request);
  const { sidecars, spec } = await collectSidecars(source, planned, seed);
  // Experts of another width lie elsewhere: each is written by itself.
  const plan = isFused(source.spec)
    ? { ...planned, spec: { ...planned.spec, tensors: spec.tensors } }
    : planned;
  const reader = new TensorReader();
  try {
    const sections = copies
      ? await storedSections(source, plan, reader)
      : createSections(source, plan, reader, seed);
    const { onProgress, signal, disk } = options;
    await writeCheckpoint({ targetDirectory, sections, sidecars, onProgress, signal, disk });
  } finally {
    await reader.close();
  }
  return openCheckpoint(targetDirectory);
}

async function growGguf(options: InflationOptions, { layers }: InflationRequest): Promise<Checkpoint> {
  const { source, targetDirectory } = options;
  requireAtLeast('layers', layers, source.layers.length);
  const reader = new TensorReader();
  try {
    await inflateGguf(source, targetDirectory, layers ?? source.layers.length, reader, options);
  } finally {
    await reader.close();
  }
  return openCheckpoint(targetDirectory);
}

async function collectSidecars(
  { directory, name, digest }: Checkpoint,
  { spec, parts }: InflationPlan,
  seed: number,
): Promise<{ readonly sidecars: ReadonlyMap<string, string | Uint8Array>; readonly spec: ModelSpec }> {
  const path = join(directory, 'config.json');
  const original = (await maybeReadText(path, maxConfigBytes)) ?? '{}';
  const inflated = withJsonFields(
    original,
    {
      ...familyOfSpec(spec).sizeFields(spec, parseJson(original, path) as JsonRecord),
      tie_word_embeddings: spec.embedding.tied,
      inflated_from: { name, digest, parts, seed },
    },
    path,
  );
  // A size that no reader here accepts is refused before it is written.
  const written = parseModelSpec(parseJson(inflated, path), path);
  const sidecars = [['config.json', inflated] as const, ...(await readSidecars(directory))];
  return { sidecars: new Map<string, string | Uint8Array>(sidecars), spec: written };
}

/** The tensors to write, per layer: attention, then each expert's gate, up and down. */
function createSections(
  source: Checkpoint,
  plan: InflationPlan,
  reader: TensorReader,
  seed: number,
): TensorSource[][] {
  const { spec: inflated } = plan;
  const normOffset = inflated.finalNorm.offset;
  const fill = createFiller(inflated.hiddenSize, seed);
  const toSource = (
    spec: TensorSpec,
    ref: TensorRef,
    { spec: group, parts }: GroupPair,
  ): PromisedTensor['source'] => {
    const extra =
      group.layer >= 0 && !isSourceLayer(group.layer, source.layers.length, inflated.layers.length);
    return {
      name: spec.name,
      dtype: ref.dtype,
      shape: spec.shape,
      chunks: () =>
        extra
          ? extraTensor(spec, ref, normOffset, fill)
          : sourceTensor(spec, ref, group, parts, reader, fill),
    };
  };
  const written = new Set<string>(); // a tied head is the embedding, written before
  return pairGroups(source, inflated).map((section) =>
    joinStacks(
      section.flatMap((pair) =>
        pair.spec.tensors
          .map((spec, i) => ({ spec, source: toSource(spec, pair.from.tensors[i].ref, pair) }))
          .filter(({ spec: { name } }) => !written.has(name) && written.add(name)),
      ),
    ),
  );
}

/** Random weights for the named tensor, drawn in an order of its own so that no tensor depends on another's size. */
type Filler = (spec: TensorSpec, ref: TensorRef, count: number) => AsyncGenerator<Uint8Array>;

/** All random weights read the normalised stream, (hidden) numbers of size 1, and shall yield numbers of size 1. */
function createFiller(hiddenSize: number, seed: number): Filler {
  const pools = new Map<string, NormalPool>();
  return ({ name }, { dtype }, count) => {
    const pool =
      pools.get(dtype) ?? new NormalPool(dtype, hiddenSize ** -0.5, createRandom(seed, `pool ${dtype}`));
    pools.set(dtype, pool);
    return pool.draw(count, createRandom(seed, name));
  };
}

/** A tensor of a layer that the source does not have. */
function extraTensor(
  spec: TensorSpec,
  ref: TensorRef,
  normOffset: number,
  fill: Filler,
): AsyncGenerator<Uint8Array> {
  const count = spec.shape.reduce((product, size) => product * size, 1);
  switch (spec.role) {
    case 'inputNorm':
    case 'postNorm':
    case 'qNorm':
    case 'kNorm':
    case 'afterAttentionNorm':
    case 'afterFfnNorm':
      return repeatValue(1 - normOffset, ref.dtype, count);
    case 'o':
    case 'oBias':
    case 'down':
    case 'downBias':
    case 'sharedDown':
      return repeatValue(0, ref.dtype, count);
    default:
      return fill(spec, ref, count);
  }
}

/** A tensor of the source's own: copied, or divided among parts and widened. */
function sourceTensor(
  spec: TensorSpec,
  ref: TensorRef,
  group: GroupSpec,
  parts: number,
  reader: TensorReader,
  fill: Filler,
): AsyncGenerator<Uint8Array> {
  switch (spec.role) {
    case 'router':
    case 'routerBias':
      return repeatRows(reader, ref, parts);
    case 'gate':
    case 'up':
    case 'gateBias':
    case 'upBias':
      return widenRows(spec, ref, rowsOfPart(ref.shape[0], group.expert % parts, parts), reader, fill);
    case 'down':
      return widenColumns(
        reader,
        ref,
        rowsOfPart(ref.shape[1], group.expert % parts, parts),
        parts,
        spec.shape[1],
      );
    default:
      return copyRows(reader, ref, { begin: 0, end: ref.shape[0] });
  }
}

/** Some of the source's rows, followed by random ones. */
async function* widenRows(
  spec: TensorSpec,
  ref: TensorRef,
  rows: Range,
  reader: TensorReader,
  fill: Filler,
): AsyncGenerator<Uint8Array> {
  yield* copyRows(reader, ref, rows);
  const [numRows, numColumns = 1] = spec.shape as [number, number?];
  yield* fill(spec, ref, (numRows - (rows.end - rows.begin)) * numColumns);
}

/** The share of an FFN's `ffnSize` rows that part `part` of `parts` holds; shares differ by at most one. */
function rowsOfPart(ffnSize: number, part: number, parts: number): Range {
  return { begin: Math.floor((part * ffnSize) / parts), end: Math.floor(((part + 1) * ffnSize) / parts) };
}
