/** The rotation tables of a model, and where each lies: layers that rotate alike share theirs. */

import { createRopeTables, type RopeTables } from '../model/rope.js';
import type { ModelSpec } from '../model/spec.js';
import type { RopeRegions } from '../schedule/memory-plan.js';

export interface PlacedTables extends RopeTables {
  readonly regions: RopeRegions;
}

/** @param regions by layer */
export function rotationTables(
  { layers }: ModelSpec,
  regions: readonly RopeRegions[],
  numPositions: number,
): PlacedTables[] {
  const attentionOf = new Map(regions.map((own, layer) => [own, layers[layer].attention]));
  return [...attentionOf].map(([own, attention]) => ({
    regions: own,
    ...createRopeTables(attention, numPositions),
  }));
}
