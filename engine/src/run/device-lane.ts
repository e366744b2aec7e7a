/** The device lane: everything that is computed on the device. */

import type { Command, DeviceQueue } from '../machine/device.js';
import type { Foreseer } from './foreseer.js';
import { type Execute, outcomeOf } from './lane.js';
import type { LaneWorkerData, WorkerModel } from './lane-protocol.js';
import { LayerKernels } from './layer-kernels.js';
import { rehearse } from './rehearsal.js';
import { rotationTables } from './rotation-tables.js';

export async function createDeviceLane(
  data: LaneWorkerData,
  queue: DeviceQueue,
  foreseer: Foreseer | null,
): Promise<Execute> {
  const models = data.draft ? [data.target, data.draft] : [data.target];
  const present = data.draft && !data.isDraftLate ? models : [data.target];
  await queue.prepare?.(models.flatMap(rehearse));
  await queue.submit([
    ...data.landing.map(
      ({ byteOffset: target, byteLength }): Command => ({ kind: 'zero', target, byteLength }),
    ),
    ...present.flatMap(writeRotations),
  ]);
  const target = new LayerKernels(queue, data.target, foreseer);
  const draft = data.draft && new LayerKernels(queue, data.draft);
  return async (op, giveWay) => {
    switch (op.kind) {
      case 'embed':
        return target.embed(op.frame, op.ids);
      case 'project':
        return target.project(op, op.weights);
      case 'mix':
        return target.mix(op);
      case 'device-attention':
        return target.attend(op);
      case 'read-hidden':
        return target.readHidden(op);
      case 'adopt':
        return target.adopt(op);
      case 'expert':
        return target.expert(op);
      case 'merge':
        return target.merge(op.frame, op.layer, op.expert);
      case 'head':
        return target.head(op);
      case 'draft':
        if (draft) return draft.draftStep(op, giveWay);
        break;
      case 'write-rotations':
        if (data.draft) return outcomeOf(await queue.submit(writeRotations(data.draft)));
    }
    throw new Error(`the device lane cannot ${op.kind}`);
  };
}

/** Puts a model's rotation tables into device memory, where its attention is computed there. */
function writeRotations({ spec, rope, numPositions }: WorkerModel): Command[] {
  if (!rope.device) return [];
  return rotationTables(spec, rope.device, numPositions).flatMap(({ regions, cos, sin }): Command[] => [
    { kind: 'write', values: cos, target: regions.cos.byteOffset },
    { kind: 'write', values: sin, target: regions.sin.byteOffset },
  ]);
}
