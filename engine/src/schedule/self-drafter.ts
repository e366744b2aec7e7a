/**
 * The target as its own draft: its pinned layers, or some of them, with its own embedding, norm and head, all other layers
 * skipped. The weights are there already; what it needs besides is a cache and activations.
 * Source: Zhang et al., Draft & Verify, arXiv 2309.08168.
 */

import { UserError } from '@specoffload/input';
import type { Region } from '../machine/pool.js';
import { partOfLayers } from '../model/part-of-layers.js';
import type { Checkpoint, WeightGroup } from '../model/types.js';
import { laneOfDraft } from './draft-sizes.js';
import type { Drafter, DraftNeeds, PlaceDraft } from './drafter.js';
import type { GroupLayout } from './group-layout.js';
import { besidesWeights, draftWith } from './model-drafter.js';
import { draftFieldNames } from './policy.js';
import { spreadToEnds } from './resident-layers.js';

export const selfDrafter = {
  name: 'self',
  checkpoint: null,
  heeds: draftFieldNames,
  laneIn: laneOfDraft,
  leastPinned: ({ draftLayers }) => Math.max(1, draftLayers),
  reserve: placeBesideTarget,
  standIn: (target, { draftLayers, pinnedLayers }) => {
    const pinned = spreadToEnds(Math.min(pinnedLayers, target.layers.length), [...target.layers.keys()]);
    return partOfLayers(target, pickDrafted(target, [...pinned], draftLayers));
  },
  // Wherever it takes its place, its weights are there.
  begin: (run) => draftWith(run, () => []),
} as const satisfies Drafter;

function placeBesideTarget(needs: DraftNeeds): PlaceDraft {
  const { memory } = needs.routes.drafting;
  if (memory !== 'device')
    throw new UserError(
      `the drafter self computes with layers of the target, which stay in device memory, but drafts are computed in ${memory} memory on this machine; choose another drafter`,
    );
  const placeBesides = besidesWeights(needs);
  return ({ device }, { checkpoint: target, layouts, embedding, head, pinned, pinnedLayers }) => {
    const part = layersOf(target, layouts, pickDrafted(target, pinnedLayers, needs.policy.draftLayers));
    return {
      ...{ ...part, embedding, head },
      pinned: new Map(groupsOf(part.checkpoint).map(({ id }) => [id, pinned.get(id) as Region])),
      ...placeBesides(part.checkpoint.spec, device),
    };
  };
}

/** @param count as the policy's `draftLayers`: 0 for all that are pinned, but no more than half of the model */
function pickDrafted(
  { layers }: Checkpoint,
  pinnedLayers: readonly number[],
  count: number,
): readonly number[] {
  const number = count > 0 ? count : Math.min(pinnedLayers.length, Math.ceil(layers.length / 2));
  return [...spreadToEnds(number, pinnedLayers)];
}

interface Part {
  readonly checkpoint: Checkpoint;
  readonly layouts: ReadonlyMap<string, GroupLayout>;
}

/** By the target's layouts and the layers: a planner asks for the same ones hundreds of times. */
const known = new WeakMap<ReadonlyMap<string, GroupLayout>, Map<string, Part>>();

function layersOf(
  target: Checkpoint,
  layouts: ReadonlyMap<string, GroupLayout>,
  layers: readonly number[],
): Part {
  const parts = known.get(layouts) ?? new Map<string, Part>();
  known.set(layouts, parts);
  const key = layers.join();
  let part = parts.get(key);
  if (!part) {
    const checkpoint = partOfLayers(target, layers);
    const groups = [checkpoint.embedding, checkpoint.head, ...groupsOf(checkpoint)];
    part = { checkpoint, layouts: new Map(groups.map(({ id }) => [id, layouts.get(id) as GroupLayout])) };
    parts.set(key, part);
  }
  return part;
}

function groupsOf({ layers }: Checkpoint): WeightGroup[] {
  return layers.flatMap(({ attention, experts }) => [attention, ...experts]);
}
