/** Layers that cost the same and whose weights lie alike: those that kernels read in host memory cost otherwise. */

import type { Checkpoint, WeightGroup } from '../model/types.js';
import type { LayerCosts, ModelCosts } from '../schedule/layer-costs.js';
import type { ReadInPlace } from './layer-seconds.js';

export interface PlacedKind {
  readonly costs: LayerCosts;
  readonly numLayers: number;
  readonly inPlace: ReadInPlace;
}

/** @param isInPlace whether kernels read a group where it lies in host memory; null where they read none */
export function placedKinds(
  { layers, kinds: alike }: ModelCosts,
  checkpoint: Checkpoint,
  isInPlace: ((group: WeightGroup) => boolean) | null,
): PlacedKind[] {
  if (!isInPlace) return alike.map((kind) => ({ ...kind, inPlace: nothing }));
  const kinds = new Map<string, { -readonly [Field in keyof PlacedKind]: PlacedKind[Field] }>();
  for (const [index, costs] of layers.entries()) {
    const { attention, experts } = checkpoint.layers[index];
    const read = experts.filter(isInPlace);
    const inPlace = {
      attentionBytes: isInPlace(attention) ? attention.storedBytes : 0,
      expertBytes: read.length > 0 ? read[0].storedBytes : 0,
      expertShare: read.length / experts.length,
    };
    const key = [costs.kind, ...Object.values(inPlace)].join();
    const kind = kinds.get(key) ?? { costs, numLayers: 0, inPlace };
    kind.numLayers += 1;
    kinds.set(key, kind);
  }
  return [...kinds.values()];
}

const nothing: ReadInPlace = { attentionBytes: 0, expertBytes: 0, expertShare: 0 };
