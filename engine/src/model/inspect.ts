/** What a checkpoint consists of, as one plain object: the content of `specoffload model inspect`. */

import { f32, type WeightDtype } from '@specoffload/native';
import { keyWidth, type LayerSpec } from './spec.js';
import { summarise } from './summary.js';
import type { Checkpoint, TensorRole, WeightGroup } from './types.js';

export interface CheckpointReport {
  readonly name: string;
  readonly digest: string;
  readonly architecture: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numExperts: number;
  readonly expertsPerToken: number;
  readonly ffnSize: number;
  /** Of an expert that every token passes through besides, in the first layer that has one. */
  readonly sharedFfnSize?: number;
  /** A tied embedding counts once, here and in all bytes below. */
  readonly parameters: number;
  /** Parameters that one token passes through: all but the experts it is not sent to. */
  readonly activeParameters: number;
  /** As stored. */
  readonly bytes: number;
  /** Widened to fp32, as the device holds them. */
  readonly deviceBytes: number;
  /** Keys and values of one token in all layers, fp32. */
  readonly kvBytesPerToken: number;
  readonly bytesByRole: Readonly<Partial<Record<TensorRole, number>>>;
  /** Zero-based layer to bytes. */
  readonly bytesByLayer: readonly number[];
  readonly dtypes: Readonly<
    Partial<Record<WeightDtype, { readonly tensors: number; readonly bytes: number }>>
  >;
  /** At most five, largest first. */
  readonly largestGroups: readonly Pick<WeightGroup, 'id' | 'storedBytes' | 'deviceBytes'>[];
}

export function inspectCheckpoint(checkpoint: Checkpoint): CheckpointReport {
  const { spec, name, digest, parameters, bytes, layers, embedding, head } = checkpoint;
  const { architecture, vocabSize, hiddenSize, numLayers, numExperts, expertsPerToken, ffnSize } =
    summarise(spec);
  const shared = spec.layers.map(({ ffn }) => ffn.sharedWidth).find((width) => width !== null);
  const groups = [embedding, ...layers.flatMap(({ attention, experts }) => [attention, ...experts]), head];
  return {
    name,
    digest,
    ...{ architecture, vocabSize, hiddenSize, numLayers, numExperts, expertsPerToken, ffnSize },
    ...(shared && { sharedFfnSize: shared }),
    parameters,
    activeParameters: parameters - idleParameters(checkpoint),
    bytes,
    deviceBytes: f32.bytes(parameters),
    kvBytesPerToken: spec.layers.reduce((sum, { attention }) => sum + f32.bytes(2 * keyWidth(attention)), 0),
    bytesByRole: sumByRole(groups),
    bytesByLayer: layers.map(({ attention, experts }) =>
      [attention, ...experts].reduce((total, group) => total + group.storedBytes, 0),
    ),
    dtypes: sumByDtype(checkpoint),
    largestGroups: groups
      .toSorted((a, b) => b.storedBytes - a.storedBytes)
      .slice(0, 5)
      .map(({ id, storedBytes, deviceBytes }) => ({ id, storedBytes, deviceBytes })),
  };
}

function idleParameters({ spec, layers }: Checkpoint): number {
  const idleIn = ({ ffn }: LayerSpec, index: number) => {
    const all = layers[index].experts.flatMap(({ tensors }) => tensors);
    const elements = all.reduce((sum, { ref }) => sum + ref.numElements, 0);
    return (elements / ffn.numExperts) * (ffn.numExperts - ffn.expertsPerToken);
  };
  return spec.layers.reduce((sum, layer, index) => sum + idleIn(layer, index), 0);
}

function sumByRole(groups: readonly WeightGroup[]): CheckpointReport['bytesByRole'] {
  const seen = new Set<string>();
  const total: Partial<Record<TensorRole, number>> = {};
  for (const { role, ref } of groups.flatMap((group) => group.tensors)) {
    const bytes = seen.has(ref.name) ? 0 : ref.byteLength;
    total[role] = (total[role] ?? 0) + bytes;
    seen.add(ref.name);
  }
  return total;
}

function sumByDtype({ tensors }: Checkpoint): CheckpointReport['dtypes'] {
  const total: Partial<Record<WeightDtype, { tensors: number; bytes: number }>> = {};
  for (const { dtype, byteLength } of tensors.values()) {
    const before = total[dtype] ?? { tensors: 0, bytes: 0 };
    total[dtype] = { tensors: before.tensors + 1, bytes: before.bytes + byteLength };
  }
  return total;
}
