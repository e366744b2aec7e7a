/** What tasks are made of besides their graph: numbering, and where a task's weights will be when it starts. */

import type {
  AttentionWeights,
  DeviceAddress,
  DeviceTensor,
  ExpertWeights,
  HeadWeights,
  HostAddress,
} from '../machine/device.js';
import type { TensorRole } from '../model/types.js';
import type { GroupLayout } from './group-layout.js';
import type { StoredWeights } from './ops.js';

/** Numbers tasks; later tasks have higher numbers. */
export class TaskIds {
  #last = -1;

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

/** A group's tensors in device memory, the group lying at `base`. */
function tensorsAt({ tensors }: GroupLayout, base: DeviceAddress): Partial<Record<TensorRole, DeviceTensor>> {
  return Object.fromEntries(
    tensors.map(
      ({ role, deviceOffset, deviceDtype: dtype, devicePaired: paired, deviceStep, deviceScales }) => [
        role,
        {
          ...{ address: base + deviceOffset, dtype, paired, step: deviceStep },
          scales: deviceScales && { ...deviceScales, address: base + deviceScales.address },
        },
      ],
    ),
  );
}

export function attentionWeights(layout: GroupLayout, base: DeviceAddress): AttentionWeights {
  return tensorsAt(layout, base) as unknown as AttentionWeights;
}

export function expertWeights(layout: GroupLayout, base: DeviceAddress): ExpertWeights {
  return tensorsAt(layout, base) as unknown as ExpertWeights;
}

export function headWeights(layout: GroupLayout, base: DeviceAddress): HeadWeights {
  return tensorsAt(layout, base) as unknown as HeadWeights;
}

/** A group's tensors as stored, the group lying at `base` in host memory. */
export function storedWeights<Weights>({ tensors }: GroupLayout, base: HostAddress): StoredWeights<Weights> {
  const roles = tensors.map(({ role, dtype, count, layout, stagedOffset }) => [
    role,
    { dtype, count, layout, source: base + stagedOffset },
  ]);
  return Object.fromEntries(roles) as StoredWeights<Weights>;
}
