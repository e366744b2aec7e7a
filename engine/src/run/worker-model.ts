/** A placement as the lanes' threads see it. */

import type { DeviceAddress } from '../machine/device.js';
import type { GroupLayout } from '../schedule/group-layout.js';
import type { ModelPlacement } from '../schedule/memory-plan.js';
import { attentionWeights, expertWeights, headWeights } from '../schedule/work.js';
import type { WorkerModel } from './lane-protocol.js';
import type { LayerKind } from './rehearsal.js';

/** The part of a placement that workers need. */
export function describeModel(placement: ModelPlacement, isOnDevice: boolean): WorkerModel {
  const { checkpoint, layouts, pinned, formats, frames, hostScratch, hostSinks } = placement;
  const { kvCache, rope, numPositions, routers } = placement;
  const layoutOf = (id: string) => layouts.get(id) as NonNullable<ReturnType<typeof layouts.get>>;
  const base = (id: string) => (pinned.get(id) as { byteOffset: DeviceAddress }).byteOffset;
  const [embedding] = layoutOf('embedding').tensors;
  const head = headWeights(layoutOf('head'), placement.head.byteOffset);
  return {
    ...{ formats, frames, hostScratch, hostSinks, kvCache, rope, numPositions, routers },
    role: isOnDevice ? 'draft' : 'target',
    spec: checkpoint.spec,
    embedding: {
      ...{ table: placement.embedding.byteOffset + embedding.stagedOffset, dtype: embedding.dtype },
      onDevice: checkpoint.spec.embedding.tied ? head.head : undefined,
    },
    head,
    kinds: kindsOf(placement),
    layers: isOnDevice
      ? checkpoint.layers.map(({ attention, experts }) => ({
          attention: attentionWeights(layoutOf(attention.id), base(attention.id)),
          experts: experts.map(({ id }) => expertWeights(layoutOf(id), base(id))),
        }))
      : [],
  };
}

/** Weights are wherever the run has them; how they are aligned and stored is what counts. */
function kindsOf({ checkpoint: { spec, layers }, layouts }: ModelPlacement): LayerKind[] {
  const kinds = new Map<string, LayerKind>();
  for (const [layer, { attention, experts }] of layers.entries()) {
    const kind = {
      attention: attentionWeights(layouts.get(attention.id) as GroupLayout, 0),
      expert: expertWeights(layouts.get(experts[0].id) as GroupLayout, 0),
    };
    const key = JSON.stringify([kind, spec.layers.indexOf(spec.layers[layer])]);
    if (!kinds.has(key)) kinds.set(key, { layer, ...kind });
  }
  return [...kinds.values()];
}
