/** Which tensors a model consists of, by role: names and shapes, derived from its spec. */

import type { WeightDtype } from '@specoffload/native';
import {
  type AttentionSpec,
  keyWidth,
  type LayerSpec,
  type ModelSpec,
  queryWidth,
  type TensorSlice,
} from './spec.js';
import type { GroupKind, TensorRole } from './types.js';

/** A tensor as the spec promises it. */
export interface TensorSpec {
  readonly role: TensorRole;
  /** Of its own; also where several share a stored tensor. */
  readonly name: string;
  readonly shape: readonly number[];
  /** See `TensorPlace.codec`. */
  readonly codec?: WeightDtype;
  /** The stored tensor that it is a part of, and which; missing: it is a stored tensor by itself. */
  readonly within?: {
    readonly name: string;
    readonly slice: TensorSlice;
    /** Zero-based, of as many as the layer has. */
    readonly expert: number;
    readonly numExperts: number;
    /** Rows of one head. */
    readonly headDim: number;
  };
}

/** A group as the spec promises it; fields as in `WeightGroup`. */
export interface GroupSpec {
  readonly id: string;
  readonly kind: GroupKind;
  readonly layer: number;
  readonly expert: number;
  readonly tensors: readonly TensorSpec[];
}

export interface ModelGroups {
  readonly embedding: GroupSpec;
  readonly layers: readonly { readonly attention: GroupSpec; readonly experts: readonly GroupSpec[] }[];
  readonly head: GroupSpec;
}

export function modelGroups(spec: ModelSpec): ModelGroups {
  return {
    embedding: outerGroup(spec, 'embedding', [['embedding', embeddingShape(spec)]]),
    layers: spec.layers.map((layer, index) => ({
      attention: layerGroup(spec, 'attention', index, -1, attentionShapes(spec, layer)),
      experts: Array.from({ length: layer.ffn.numExperts }, (_, expert) =>
        layerGroup(spec, 'expert', index, expert, expertShapes(spec, layer)),
      ),
    })),
    head: outerGroup(spec, 'head', [
      ['finalNorm', [spec.hiddenSize]],
      ['head', embeddingShape(spec)],
    ]),
  };
}

/** Tied embeddings: the head's tensor is the embedding's, whether or not the file has one of its own as well. */
export function tensorName(spec: ModelSpec, role: TensorRole, layer = -1, expert = -1): string {
  return placeOf(spec, role, layer, expert).name;
}

function placeOf(
  spec: ModelSpec,
  role: TensorRole,
  layer: number,
  expert: number,
): Pick<TensorSpec, 'name' | 'codec' | 'within'> {
  const place = spec.tensors[role === 'head' && spec.embedding.tied ? 'embedding' : role];
  if (!place) throw new Error(`${spec.architecture} does not say where ${role} lies`);
  const { slice, dense, codec } = place;
  const isDense = dense !== undefined && layer >= 0 && spec.layers[layer].ffn.router === null;
  const name = (isDense ? dense : place.name).replace('{layer}', `${layer}`).replace('{expert}', `${expert}`);
  if (!slice || isDense) return { name, codec };
  const { ffn, attention } = spec.layers[layer];
  return {
    name: `${name}${slice.isStackOfExperts ? `[${expert}]` : ''}${slice.rows ? `.${role}` : ''}`,
    codec,
    within: { name, slice, expert, numExperts: ffn.numExperts, headDim: attention.headDim },
  };
}

type Shapes = readonly (readonly [role: TensorRole, shape: readonly number[]])[];

function embeddingShape({ vocabSize, hiddenSize }: ModelSpec): readonly number[] {
  return [vocabSize, hiddenSize];
}

function attentionShapes({ hiddenSize }: ModelSpec, { attention, norms, ffn }: LayerSpec): Shapes {
  const [queries, keys] = [queryWidth(attention), keyWidth(attention)];
  const { biases, qkNorm } = attention;
  return [
    ['inputNorm', [hiddenSize]],
    ['q', [queries, hiddenSize]],
    ['k', [keys, hiddenSize]],
    ['v', [keys, hiddenSize]],
    ['o', [hiddenSize, queries]],
    ...maybe(biases.q, 'qBias', queries),
    ...maybe(biases.k, 'kBias', keys),
    ...maybe(biases.v, 'vBias', keys),
    ...maybe(biases.o, 'oBias', hiddenSize),
    ...maybe(qkNorm !== null, 'qNorm', normWidth(attention, queries)),
    ...maybe(qkNorm !== null, 'kNorm', normWidth(attention, keys)),
    ...maybe(attention.sinks, 'sinks', attention.numHeads),
    ...maybe(norms.afterAttention !== null, 'afterAttentionNorm', hiddenSize),
    ['postNorm', [hiddenSize]],
    ...(ffn.router ? ([['router', [ffn.numExperts, hiddenSize]]] as const) : []),
    ...maybe(ffn.router?.biases ?? false, 'routerBias', ffn.numExperts),
    ...(ffn.sharedWidth === null ? [] : sharedShapes(hiddenSize, ffn.sharedWidth)),
  ];
}

function sharedShapes(hiddenSize: number, width: number): Shapes {
  return [
    ['sharedGate', [width, hiddenSize]],
    ['sharedUp', [width, hiddenSize]],
    ['sharedDown', [hiddenSize, width]],
    ['sharedRouter', [1, hiddenSize]],
  ];
}

function normWidth({ qkNorm, headDim }: AttentionSpec, projection: number): number {
  return qkNorm?.over === 'projection' ? projection : headDim;
}

function maybe(isThere: boolean, role: TensorRole, length: number): Shapes {
  return isThere ? [[role, [length]]] : [];
}

function expertShapes({ hiddenSize }: ModelSpec, { norms, ffn: { width, biases } }: LayerSpec): Shapes {
  return [
    ['gate', [width, hiddenSize]],
    ['up', [width, hiddenSize]],
    ['down', [hiddenSize, width]],
    ...maybe(biases, 'gateBias', width),
    ...maybe(biases, 'upBias', width),
    ...maybe(biases, 'downBias', hiddenSize),
    ...maybe(norms.afterFfn !== null, 'afterFfnNorm', hiddenSize),
  ];
}

function outerGroup(spec: ModelSpec, kind: 'embedding' | 'head', shapes: Shapes): GroupSpec {
  const tensors = shapes.map(([role, shape]) => ({ role, name: tensorName(spec, role), shape }));
  return { id: kind, kind, layer: -1, expert: -1, tensors };
}

function layerGroup(
  spec: ModelSpec,
  kind: 'attention' | 'expert',
  layer: number,
  expert: number,
  shapes: Shapes,
): GroupSpec {
  const id = kind === 'attention' ? `layer.${layer}.attention` : `layer.${layer}.expert.${expert}`;
  const tensors = shapes.map(([role, shape]) => ({ role, ...placeOf(spec, role, layer, expert), shape }));
  return { id, kind, layer, expert, tensors };
}
