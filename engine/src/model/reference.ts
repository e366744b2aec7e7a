/**
 * The oracle: a forward pass without batches, caches or threads, written to be compared with a textbook.
 *
 * Weights and activations are fp32, sums are taken in double precision. Source: transformers 5.18, the `modeling_*.py`
 * of the families in `families/`, with eager attention.
 */

import { UserError } from '@specoffload/input';
import { createRopeTables, type RopeTables } from './rope.js';
import {
  type Activation,
  clampedSwiglu,
  keyWidth,
  type LayerSpec,
  type ModelSpec,
  type NormSpec,
  queryWidth,
} from './spec.js';
import { readTensor } from './stored.js';
import type { Checkpoint, TensorRole, WeightGroup } from './types.js';

/** The tensors of one group, by role, widened to fp32. */
export type ReferenceGroup = Readonly<Partial<Record<TensorRole, Float32Array>>>;

/** A whole model in memory: 4 bytes per parameter. */
export interface ReferenceWeights {
  readonly spec: ModelSpec;
  readonly embedding: ReferenceGroup;
  readonly head: ReferenceGroup;
  readonly layers: readonly {
    readonly attention: ReferenceGroup;
    readonly experts: readonly ReferenceGroup[];
  }[];
}

/** Where the router sent one token in one layer. */
export interface RouterChoice {
  readonly layer: number;
  /** Position in the sequence, zero-based. */
  readonly position: number;
  /** Best first, (expertsPerToken). */
  readonly experts: readonly number[];
  /** What their outputs are multiplied with, (expertsPerToken). */
  readonly weights: readonly number[];
  /** (expert) */
  readonly logits: Float32Array;
}

export interface ReferenceOptions {
  /** Positions to compute logits for. @default 'all' */
  readonly positions?: 'all' | 'last';
  /** Called for every token in every layer with experts. */
  readonly onRoute?: (choice: RouterChoice) => void;
}

export async function loadReferenceWeights(checkpoint: Checkpoint): Promise<ReferenceWeights> {
  const loaded = new Map<string, Float32Array>();
  const loadGroup = async (group: WeightGroup): Promise<ReferenceGroup> => {
    const tensors: Partial<Record<TensorRole, Float32Array>> = {};
    for (const { role, ref } of group.tensors) {
      const values = loaded.get(ref.name) ?? (await readTensor(ref));
      loaded.set(ref.name, values); // a tied head finds the embedding here
      tensors[role] = values;
    }
    return tensors;
  };
  const layers = [];
  for (const { attention, experts } of checkpoint.layers) {
    const loadedExperts = [];
    for (const expert of experts) loadedExperts.push(await loadGroup(expert));
    layers.push({ attention: await loadGroup(attention), experts: loadedExperts });
  }
  return {
    spec: checkpoint.spec,
    embedding: await loadGroup(checkpoint.embedding),
    layers,
    head: await loadGroup(checkpoint.head),
  };
}

/**
 * Logits at every position of `ids`, or at the last only: (position, vocab).
 * @throws UserError when one of them is not finite
 */
export function referenceLogits(
  weights: ReferenceWeights,
  ids: readonly number[],
  options: ReferenceOptions = {},
): Float32Array[] {
  const { spec } = weights;
  let stream = ids.map((id) => embed(weights, id)); // (position, hidden)
  for (const [index, layer] of spec.layers.entries()) {
    const { attention, experts } = weights.layers[index];
    const mixed = attend(layer, attention, stream);
    stream = stream.map((x, position) => add(x, mixed[position]));
    stream = stream.map((x, position) => {
      const normed = rmsNorm(x, attention.postNorm!, layer.norms.beforeFfn);
      if (attention.router === undefined) return add(x, gatedFfn(layer, experts[0], normed));
      const choice = route(layer, attention, normed, index, position);
      options.onRoute?.(choice);
      const mixed = mixExperts(layer, experts, choice, normed);
      return add(
        x,
        layer.ffn.sharedWidth === null ? mixed : add(mixed, sharedExpert(layer, attention, normed)),
      );
    });
  }
  const wanted = options.positions === 'last' ? stream.slice(-1) : stream;
  const logits = wanted.map((x) =>
    project(weights.head.head!, rmsNorm(x, weights.head.finalNorm!, spec.finalNorm), spec.vocabSize),
  );
  if (logits.every((row) => row.every(Number.isFinite))) return logits;
  throw new UserError(
    'the logits are not finite; expected finite weights; look for NaN in the checkpoint and download it again',
  );
}

export interface GreedyResult {
  /** New tokens only. */
  readonly ids: readonly number[];
  /** Best minus second-best logit at each new token: how much arithmetic noise it survives. */
  readonly margins: readonly number[];
}

/**
 * Greedy continuation, every step from scratch; ties go to the lowest id. Ends after `maxNewTokens`, or after an
 * end-of-sequence token, which is then the last of `ids`.
 */
export function referenceGreedy(
  weights: ReferenceWeights,
  prompt: readonly number[],
  maxNewTokens: number,
): GreedyResult {
  const ids: number[] = [];
  const margins: number[] = [];
  while (ids.length < maxNewTokens && !weights.spec.eosTokenIds.includes(ids.at(-1) ?? -1)) {
    const [logits] = referenceLogits(weights, [...prompt, ...ids], { positions: 'last' });
    const [best, second] = topIndices(logits!, 2) as [number, number];
    ids.push(best);
    margins.push(logits![best] - logits![second]);
  }
  return { ids, margins };
}

function embed({ spec, embedding }: ReferenceWeights, id: number): Float32Array {
  const { vocabSize, hiddenSize } = spec;
  const { scale } = spec.embedding;
  if (!(Number.isInteger(id) && 0 <= id && id < vocabSize)) {
    throw new RangeError(`invalid token id: ${id}; expected an integer from 0 to ${vocabSize - 1}`);
  }
  return embedding.embedding!.slice(id * hiddenSize, (id + 1) * hiddenSize).map((value) => value * scale);
}

/** Causal grouped-query attention over the whole sequence: (position, hidden) to (position, hidden). */
function attend(
  { attention, norms }: LayerSpec,
  weights: ReferenceGroup,
  stream: readonly Float32Array[],
): Float32Array[] {
  const { numHeads, numKvHeads, headDim, window, scale, qkNorm, clip } = attention;
  const [queryLength, keyLength] = [queryWidth(attention), keyWidth(attention)];
  const rope = createRopeTables(attention, stream.length);
  const normed = stream.map((x) => rmsNorm(x, weights.inputNorm!, norms.beforeAttention));
  const normHeads = (x: Float32Array, weight: Float32Array | undefined) =>
    qkNorm && weight ? normEach(x, weight, qkNorm.norm) : x;
  const queries = normed.map((x, position) => {
    const q = biased(project(weights.q!, x, queryLength), weights.qBias);
    return rotate(clipped(normHeads(q, weights.qNorm), clip), rope, position, headDim);
  }); // (position, head * headDim)
  const keys = normed.map((x, position) => {
    const k = biased(project(weights.k!, x, keyLength), weights.kBias);
    return rotate(clipped(normHeads(k, weights.kNorm), clip), rope, position, headDim);
  }); // (position, kvHead * headDim)
  const values = normed.map((x) => clipped(biased(project(weights.v!, x, keyLength), weights.vBias), clip)); // (position, kvHead * headDim)

  return queries.map((query, position) => {
    const first = window === null ? 0 : Math.max(0, position - window + 1);
    const out = new Float32Array(queryLength);
    for (let head = 0; head < numHeads; head++) {
      const kvBase = Math.floor(head / (numHeads / numKvHeads)) * headDim;
      const scores = new Float32Array(position - first + 1); // (seen)
      for (let j = 0; j < scores.length; j++) {
        scores[j] = dot(query, head * headDim, keys[first + j], kvBase, headDim) * scale;
      }
      const probabilities = softmax(scores, weights.sinks?.[head]);
      for (let c = 0; c < headDim; c++) {
        let total = 0;
        for (let j = 0; j < scores.length; j++) total += probabilities[j] * values[first + j][kvBase + c];
        out[head * headDim + c] = total;
      }
    }
    const added = biased(project(weights.o!, out, stream[position].length), weights.oBias);
    return maybeNorm(added, weights.afterAttentionNorm, norms.afterAttention);
  });
}

function clipped(x: Float32Array, clip: number | undefined): Float32Array {
  return clip === undefined ? x : x.map((value) => Math.min(clip, Math.max(-clip, value)));
}

function biased(x: Float32Array, bias: Float32Array | undefined): Float32Array {
  return bias ? add(x, bias) : x;
}

/** RMS norm of each stretch of `x` that is as long as `weight`. */
function normEach(x: Float32Array, weight: Float32Array, norm: NormSpec): Float32Array {
  const out = new Float32Array(x.length);
  for (let base = 0; base < x.length; base += weight.length)
    out.set(rmsNorm(x.subarray(base, base + weight.length), weight, norm), base);
  return out;
}

/** Rotates channel pairs (i, i + headDim / 2) of every head by the angles of `position`. Mutates and returns `x`. */
function rotate(x: Float32Array, rope: RopeTables, position: number, headDim: number): Float32Array {
  const half = headDim / 2;
  for (let base = 0; base < x.length; base += headDim) {
    for (let i = 0; i < half; i++) {
      const cos = rope.cos[position * half + i];
      const sin = rope.sin[position * half + i];
      const first = x[base + i];
      const second = x[base + half + i];
      x[base + i] = first * cos - second * sin;
      x[base + half + i] = second * cos + first * sin;
    }
  }
  return x;
}

/** Softmax over all experts, and the best `expertsPerToken` of them, whose weights are made to sum to one or left. */
function route(
  { ffn }: LayerSpec,
  { router, routerBias }: ReferenceGroup,
  normed: Float32Array,
  layer: number,
  position: number,
): RouterChoice {
  const logits = biased(project(router!, normed, ffn.numExperts), routerBias); // (expert)
  const probabilities = softmax(logits);
  const experts = topIndices(probabilities, ffn.expertsPerToken);
  const chosen = experts.reduce((sum, expert) => sum + probabilities[expert], 0);
  const total = ffn.router?.weights === 'as-is' ? 1 : chosen;
  return {
    layer,
    position,
    experts,
    weights: experts.map((expert) => probabilities[expert] / total),
    logits,
  };
}

function mixExperts(
  layer: LayerSpec,
  experts: readonly ReferenceGroup[],
  choice: RouterChoice,
  normed: Float32Array,
): Float32Array {
  const out = new Float32Array(normed.length);
  for (const [rank, expert] of choice.experts.entries()) {
    const weight = choice.weights[rank];
    for (const [c, value] of gatedFfn(layer, experts[expert], normed).entries()) out[c] += weight * value;
  }
  return out;
}

/** What every token passes through, times what its own router says. */
function sharedExpert(layer: LayerSpec, weights: ReferenceGroup, x: Float32Array): Float32Array {
  const { sharedGate: gate, sharedUp: up, sharedDown: down, sharedRouter } = weights;
  const [score] = project(sharedRouter!, x, 1);
  return gatedFfn(layer, { gate, up, down }, x).map((value) => value * sigmoid(score));
}

/** down(activate(gate x, up x)), (hidden) to (hidden). */
function gatedFfn({ ffn, norms }: LayerSpec, weights: ReferenceGroup, x: Float32Array): Float32Array {
  const { gate, up, down, gateBias, upBias, downBias, afterFfnNorm } = weights;
  const width = gate!.length / x.length;
  const gates = biased(project(gate!, x, width), gateBias); // (ffn)
  const ups = biased(project(up!, x, width), upBias); // (ffn)
  const inner = gates.map((value, i) => activate(ffn.activation, value, ups[i])); // (ffn)
  return maybeNorm(biased(project(down!, inner, x.length), downBias), afterFfnNorm, norms.afterFfn);
}

function activate(activation: Activation, gate: number, up: number): number {
  switch (activation) {
    case 'silu':
      return gate * sigmoid(gate) * up;
    case 'gelu-tanh':
      return 0.5 * gate * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3))) * up;
    case 'clamped-swiglu': {
      const { limit, alpha } = clampedSwiglu;
      const clamped = Math.min(gate, limit);
      return clamped * sigmoid(alpha * clamped) * (Math.min(Math.max(up, -limit), limit) + 1);
    }
  }
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** `matrix` (out, in) times `x` (in): (out). */
function project(matrix: Float32Array, x: Float32Array, outSize: number): Float32Array {
  const out = new Float32Array(outSize);
  for (let row = 0; row < outSize; row++) out[row] = dot(matrix, row * x.length, x, 0, x.length);
  return out;
}

function dot(a: Float32Array, aOffset: number, b: Float32Array, bOffset: number, length: number): number {
  let total = 0;
  for (let i = 0; i < length; i++) total += a[aOffset + i] * b[bOffset + i];
  return total;
}

function add(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value + b[i]);
}

function rmsNorm(x: Float32Array, weight: Float32Array, { eps, offset }: NormSpec): Float32Array {
  const scale = 1 / Math.sqrt(dot(x, 0, x, 0, x.length) / x.length + eps);
  return x.map((value, i) => Math.fround(value * scale) * (offset + weight[i]));
}

function maybeNorm(x: Float32Array, weight: Float32Array | undefined, norm: NormSpec | null): Float32Array {
  return norm && weight ? rmsNorm(x, weight, norm) : x;
}

/** @param sink one more score, which has a share and no place in the result */
function softmax(x: Float32Array, sink = Number.NEGATIVE_INFINITY): Float32Array {
  const max = x.reduce((a, b) => Math.max(a, b), sink);
  const exponentials = x.map((value) => Math.exp(value - max));
  const total = exponentials.reduce((sum, value) => sum + value, Math.exp(sink - max));
  return exponentials.map((value) => value / total);
}

/** Indices of the `count` largest values, largest first; of equal values the lowest index comes first. */
function topIndices(values: Float32Array, count: number): number[] {
  return [...values.keys()].sort((a, b) => values[b] - values[a] || a - b).slice(0, count);
}
