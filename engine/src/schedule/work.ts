/** What tasks are made of besides their graph: numbering, and where a task's weights will be when it starts. */

import { scaleBytes, scaleGridSize, weightFormats } from '@specoffload/native';
import type {
  AttentionWeights,
  DeviceAddress,
  DeviceTensor,
  ExpertWeights,
  HeadWeights,
  HostAddress,
  StoredTensor,
} from '../machine/device.js';
import { isReadAt, isReadByKernels } from '../machine/formats.js';
import type { TensorRole } from '../model/types.js';
import { type GroupLayout, type StagedPiece, type StagedTensor, scalesAt } from './group-layout.js';
import type { StoredWeights } from './ops.js';

/** Numbers tasks; later tasks have higher numbers. */
export class TaskIds {
  #last = -1;

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

type Tensors = GroupLayout['tensors'];

/** Of one group, and of all together: a cache of thousands of experts has hundreds of places for each. */
const [mostPlaces, mostPlacesInAll] = [64, 4096];

/**
 * Remembers what a group is at each of its places: it comes to the same ones pass after pass, and lanes know by its being
 * the same object what they have been sent.
 */
export function remembered<Placed>(place: (base: number) => Placed): (base: number) => Placed {
  const known = new Map<number, Placed>();
  return (base) => {
    let placed = known.get(base);
    if (placed === undefined) {
      if (known.size === mostPlaces) known.clear();
      placed = place(base);
      known.set(base, placed);
    }
    return placed;
  };
}

/** The same of every group. */
function byPlace<Placed>(place: (tensors: Tensors, base: number) => Placed) {
  let known = new WeakMap<Tensors, (base: number) => Placed>();
  let numPlaces = 0;
  const make = (tensors: Tensors, base: number): Placed => {
    numPlaces += 1;
    return place(tensors, base);
  };
  return ({ tensors }: Pick<GroupLayout, 'tensors'>, base: number): Placed => {
    if (numPlaces >= mostPlacesInAll) [known, numPlaces] = [new WeakMap(), 0];
    let placed = known.get(tensors);
    if (!placed) {
      placed = remembered((at) => make(tensors, at));
      known.set(tensors, placed);
    }
    return placed(base);
  };
}

/** A group's tensors in device memory, the group lying at `base`. */
const tensorsAt = byPlace(
  (tensors, base: DeviceAddress): Partial<Record<TensorRole, DeviceTensor>> =>
    Object.fromEntries(tensors.map((tensor) => [tensor.role, tensorAt(tensor, base)])),
);

function tensorAt(
  {
    deviceOffset,
    deviceDtype: dtype,
    devicePaired: paired,
    deviceStep,
    deviceAcross,
    deviceScales,
  }: StagedTensor,
  base: DeviceAddress,
): DeviceTensor {
  const { zeros, groupOfColumn } = deviceScales ?? {};
  return {
    ...{ address: base + deviceOffset, dtype, paired, step: deviceStep, across: deviceAcross },
    scales: deviceScales && {
      ...{ ...deviceScales, address: base + deviceScales.address },
      ...(zeros && { zeros: { ...zeros, address: base + zeros.address } }),
      ...(groupOfColumn !== undefined && { groupOfColumn: base + groupOfColumn }),
    },
  };
}

export function attentionWeights(
  layout: Pick<GroupLayout, 'tensors'>,
  base: DeviceAddress,
): AttentionWeights {
  return tensorsAt(layout, base) as unknown as AttentionWeights;
}

export function expertWeights(layout: Pick<GroupLayout, 'tensors'>, base: DeviceAddress): ExpertWeights {
  return tensorsAt(layout, base) as unknown as ExpertWeights;
}

/**
 * The same for kernels that read a group as stored, which lies at `base` in host memory.
 * @returns null where they cannot: what lies transposed, or one value in every so many
 */
export function weightsInHost(
  { tensors }: GroupLayout,
  base: HostAddress,
): (AttentionWeights & ExpertWeights) | null {
  const places = tensors.map(({ role, ...tensor }) => [role, tensorInHost(tensor, base)] as const);
  if (places.some(([, tensor]) => tensor === null)) return null;
  return Object.fromEntries(places) as unknown as AttentionWeights & ExpertWeights;
}

function tensorInHost({ dtype, stagedOffset, layout }: StagedPiece, base: HostAddress): DeviceTensor | null {
  const place = { address: base + stagedOffset, isInHost: true, dtype };
  if (!(dtype in weightFormats) || !isReadAt(dtype, place.address)) return null;
  if (!layout) return place;
  const { columns, step, paired, across, scales } = layout;
  if ((across > 0 && !scales) || (columns === 1 && step > 1)) return null;
  const tensor = { ...place, paired, step, ...(across > 0 && { across }) };
  if (!scales) return tensor;
  if (!isReadByKernels({ dtype, layout })) return null;
  const addressOf = (part?: { readonly offset: number }) => place.address + (part?.offset ?? 0);
  if ((scales.rows > 1 && step > 1) || addressOf(scales) % scaleBytes(scales.dtype, 1) !== 0) return null;
  const [, perRow] = scaleGridSize(layout, scales);
  const { zeros, groupOfColumn } = scales;
  return {
    ...tensor,
    scales: scalesAt(scales, perRow, step, [addressOf(scales), addressOf(zeros), addressOf(groupOfColumn)]),
  };
}

export function headWeights(layout: GroupLayout, base: DeviceAddress): HeadWeights {
  return tensorsAt(layout, base) as unknown as HeadWeights;
}

const storedAt = byPlace((tensors, base: HostAddress): Partial<Record<TensorRole, StoredTensor>> => {
  const roles = tensors.map(({ role, dtype, count, layout, stagedOffset }) => [
    role,
    { dtype, count, layout, source: base + stagedOffset },
  ]);
  return Object.fromEntries(roles);
});

/** A group's tensors as stored, the group lying at `base` in host memory. */
export function storedWeights<Weights>(layout: GroupLayout, base: HostAddress): StoredWeights<Weights> {
  return storedAt(layout, base) as StoredWeights<Weights>;
}
