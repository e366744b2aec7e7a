/** A model of some of another's layers, with the same weights: what skipping layers comes to. */

import { sum } from '../extremes.js';
import type { Checkpoint, WeightGroup } from './types.js';

/** @param layers of the original, ascending; embedding, final norm and head are its own */
export function partOfLayers(whole: Checkpoint, layers: readonly number[]): Checkpoint {
  const { spec, name, embedding, head } = whole;
  const own = layers.map((layer) => whole.layers[layer]);
  const groups = [embedding, head, ...own.flatMap(({ attention, experts }) => [attention, ...experts])];
  const { embedding: kind } = spec;
  // A tied head is the embedding's tensor, which counts once.
  const counted = kind.tied ? groups.filter((group) => group !== embedding) : groups;
  return {
    ...whole,
    name: `${layers.length} of ${spec.layers.length} layers of ${name}`,
    spec: { ...spec, layers: layers.map((layer) => spec.layers[layer]) },
    layers: own,
    parameters: sum(counted.map(elementsOf)),
    bytes: sum(counted.map(({ storedBytes }) => storedBytes)),
  };
}

function elementsOf({ tensors }: WeightGroup): number {
  return sum(tensors.map(({ ref }) => ref.numElements));
}
