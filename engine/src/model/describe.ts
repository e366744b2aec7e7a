/**
 * A model known by its configuration alone: the same groups and sizes as an opened checkpoint, and no files. Enough
 * to place, schedule and predict; nothing can be read from it.
 */

import { createHash } from 'node:crypto';
import { type Codec, codecs, f32, type WeightDtype } from '@specoffload/native';
import { type GroupSpec, modelGroups, type TensorSpec } from './roles.js';
import { countElements } from './safetensors.js';
import type { ModelSpec } from './spec.js';
import { identityOf } from './summary.js';
import { bytesInCodec, codecInFormat, type TargetFormat } from './target-format.js';
import type { Checkpoint, TensorRef, WeightGroup } from './types.js';

export interface ModelDescription {
  readonly name: string;
  readonly spec: ModelSpec;
  /**
   * What moves at once: single experts, as this engine reads them, or a layer's whole FFN, as most systems do; the
   * latter is also much faster to predict. @default ffn
   */
  readonly unit?: 'expert' | 'ffn';
  /** What records name it by. @default a digest of the spec */
  readonly digest?: string;
  /** How weights are stored of which the configuration says nothing else. @default bf16, as most models are published */
  readonly dtype?: WeightDtype;
  /** How all matrices are published, where that is in another format than `dtype`. */
  readonly published?: TargetFormat;
  /** How all matrices are stored instead, whatever the configuration says. */
  readonly format?: TargetFormat;
}

export function describeModel(description: ModelDescription): Checkpoint {
  const { name, spec, unit = 'ffn', digest, dtype = 'bf16', published, format } = description;
  const whole = format ?? published;
  const codec: Codec = codecs[dtype];
  const groups = modelGroups(spec);
  const codecOf = (tensor: TensorSpec) => (whole ? codecInFormat(whole, tensor) : (tensor.codec ?? dtype));
  const describeGroup = (group: GroupSpec) => placeGroup(group, codecOf);
  const layers = groups.layers.map(({ attention, experts }, layer) => ({
    attention: describeGroup(attention),
    experts: (unit === 'expert' ? experts : [mergeExperts(experts, layer)]).map(describeGroup),
  }));
  const embedding = describeGroup(groups.embedding);
  const head = describeGroup(groups.head);
  const tensors = new Map<string, TensorRef>();
  for (const { tensors: parts } of [embedding, head, ...layers.flatMap((l) => [l.attention, ...l.experts])])
    for (const { ref } of parts) tensors.set(ref.name, ref); // tied embeddings count once
  let parameters = 0;
  let bytes = 0;
  for (const { numElements, byteLength } of tensors.values()) {
    parameters += numElements;
    bytes += byteLength;
  }
  return {
    directory: '',
    name,
    spec,
    tensors,
    embedding,
    head,
    layers,
    parameters,
    bytes,
    digest: digestOfFormat(digest ?? digestOf(spec, codec), whole),
    ...(format && { format }),
  };
}

/** Whether a model is known by its configuration alone: there are no weights to read. */
export function isDescribed({ embedding }: Checkpoint): boolean {
  return embedding.tensors.some(({ ref }) => ref.path === '');
}

/** A model in another format is another one. */
function digestOfFormat(digest: string, format: TargetFormat | undefined): string {
  if (!format) return digest;
  return createHash('sha256').update(JSON.stringify({ digest, format })).digest('hex');
}

function digestOf(spec: ModelSpec, codec: Codec): string {
  const described = identityOf(spec);
  const others = Object.entries(spec.tensors).flatMap(([role, place]) =>
    place.codec ? [[role, place.codec]] : [],
  );
  const stored = others.length > 0 ? { codecs: others } : {};
  const identity = JSON.stringify({ described, elementBytes: codec.bytes(1), ...stored });
  return createHash('sha256').update(identity).digest('hex');
}

/** One group for a layer's experts; its single expert stands for all of them. */
function mergeExperts(experts: readonly GroupSpec[], layer: number): GroupSpec {
  return {
    id: `layer.${layer}.ffn`,
    kind: 'expert',
    layer,
    expert: 0,
    tensors: experts.flatMap(({ tensors }) => tensors),
  };
}

/** Tensors lie one behind the other in a file that does not exist. */
function placeGroup(
  { id, kind, layer, expert, tensors }: GroupSpec,
  codecOf: (tensor: TensorSpec) => WeightDtype,
): WeightGroup {
  let fileOffset = 0;
  let deviceBytes = 0;
  const described = tensors.map((tensor) => {
    const { role, name, shape } = tensor;
    const dtype = codecOf(tensor);
    const numElements = countElements(shape);
    const byteLength = bytesInCodec(dtype, shape);
    const ref: TensorRef = {
      name,
      path: '',
      dtype,
      shape,
      fileOffset,
      byteLength,
      numElements,
    };
    fileOffset += byteLength;
    deviceBytes += f32.bytes(numElements);
    return { role, ref };
  });
  return {
    id,
    kind,
    layer,
    expert,
    tensors: described,
    storedBytes: fileOffset,
    deviceBytes,
  };
}
