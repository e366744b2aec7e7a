/** How a weight group lies in host memory after a direct read, and in device memory after crossing the link. */

import { directIoAlignmentBytes, type MatrixLayout, type WeightDtype } from '@specoffload/native';
import { dtypeOnDevice, type Formats, isKept, weightBytes } from '../machine/formats.js';
import { cutTensor, type FileRange, layoutInMemory, lengthOf, rangesOf } from '../model/stored.js';
import type { Checkpoint, TensorRef, TensorRole, WeightGroup } from '../model/types.js';

/** A range of one file, with borders that direct reads accept. */
export interface StagedRange extends FileRange {
  /** Where it starts within the staged group. */
  readonly stagedOffset: number;
}

/** One tensor: where it is found in the staged group, and where it goes in the device's copy. */
export interface StagedTensor {
  readonly role: TensorRole;
  readonly dtype: WeightDtype;
  readonly count: number;
  readonly stagedOffset: number;
  /** How its values lie from there on, unless one row behind the other. */
  readonly layout?: MatrixLayout;
  readonly deviceOffset: number;
  readonly deviceDtype: WeightDtype;
  /** As in {@link DeviceTensor}. */
  readonly devicePaired: number;
}

export interface GroupLayout {
  readonly group: WeightGroup;
  readonly ranges: readonly StagedRange[];
  /** Host bytes of the staged group; at least storedBytes, more by the alignment of its borders. */
  readonly stagedBytes: number;
  readonly tensors: readonly StagedTensor[];
  /** Device bytes of the widened group, each tensor aligned. */
  readonly deviceBytes: number;
}

/** Device tensors start at multiples of this: one AVX-512 register, one cache line. */
export const tensorAlignmentBytes = 64;

/** Plans a group's reads: tensors that are neighbours in a file are read as one range. */
export function layOutGroup(group: WeightGroup, formats: Formats): GroupLayout {
  const ranges = coalesceRanges(group.tensors.map(({ ref }) => ref));
  let deviceBytes = 0;
  const tensors = group.tensors.map(({ role, ref }): StagedTensor => {
    const deviceOffset = deviceBytes;
    deviceBytes += alignUp(weightBytes(formats, ref), tensorAlignmentBytes);
    return {
      ...{ role, dtype: ref.dtype, count: ref.numElements, ...stagedPlace(ref, ranges), deviceOffset },
      deviceDtype: dtypeOnDevice(formats, ref),
      devicePaired: isKept(formats, ref) ? (ref.layout?.paired ?? 1) : 1,
    };
  });
  return { group, ranges, stagedBytes: lengthOf(ranges), tensors, deviceBytes };
}

/** Where a tensor's values start in the staged group, and how they lie. */
function stagedPlace(
  ref: TensorRef,
  staged: readonly StagedRange[],
): Pick<StagedTensor, 'stagedOffset' | 'layout'> {
  const [stagedOffset, scalesOffset = stagedOffset] = rangesOf(ref).map(({ path, fileOffset }) => {
    const range = staged.find(
      (candidate) =>
        path === candidate.path &&
        candidate.fileOffset <= fileOffset &&
        fileOffset < candidate.fileOffset + candidate.byteLength,
    ) as StagedRange;
    return range.stagedOffset + fileOffset - range.fileOffset;
  });
  if (!ref.layout) return { stagedOffset };
  return { stagedOffset, layout: layoutInMemory(ref.layout, scalesOffset - stagedOffset) };
}

function coalesceRanges(refs: readonly TensorRef[]): StagedRange[] {
  const found = refs.flatMap(rangesOf);
  found.sort((a, b) => (a.path === b.path ? a.fileOffset - b.fileOffset : a.path < b.path ? -1 : 1));
  const merged: { path: string; start: number; end: number }[] = [];
  for (const { path, fileOffset, byteLength } of found) {
    const start = Math.floor(fileOffset / directIoAlignmentBytes) * directIoAlignmentBytes;
    const end = alignUp(fileOffset + byteLength, directIoAlignmentBytes);
    const last = merged.at(-1);
    if (last && last.path === path && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ path, start, end });
  }
  let stagedOffset = 0;
  return merged.map(({ path, start, end }) => {
    const range = { path, fileOffset: start, byteLength: end - start, stagedOffset };
    stagedOffset += range.byteLength;
    return range;
  });
}

export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** The layout in pieces that fit a staging buffer; one piece when it fits as it is. */
export function splitLayout(layout: GroupLayout, stagingBytes: number, formats: Formats): GroupLayout[] {
  if (layout.stagedBytes <= stagingBytes) return [layout];
  return layout.group.tensors.flatMap(({ ref }, index) => {
    const whole = layout.tensors[index];
    const spare = 2 * directIoAlignmentBytes * rangesOf(ref).length; // at either end
    return cutTensor(ref, stagingBytes - spare).map(({ first, part }): GroupLayout => {
      const ranges = coalesceRanges([part]);
      if (lengthOf(ranges) > stagingBytes)
        throw new Error(`a staging buffer of ${stagingBytes} bytes is too small to split ${ref.name} into`);
      const deviceBytes = (weightBytes(formats, ref) / ref.numElements) * first;
      const tensor = {
        ...{ role: whole.role, dtype: ref.dtype, count: part.numElements, ...stagedPlace(part, ranges) },
        ...{ deviceOffset: whole.deviceOffset + deviceBytes, deviceDtype: whole.deviceDtype },
        devicePaired: whole.devicePaired,
      };
      return { ...layout, ranges, stagedBytes: lengthOf(ranges), tensors: [tensor] };
    });
  });
}

/** Layouts never change, and a planner asks for those of the same model hundreds of times. */
const layoutsOf = new WeakMap<Checkpoint, WeakMap<Formats, ReadonlyMap<string, GroupLayout>>>();

export function layOutGroups(checkpoint: Checkpoint, formats: Formats): ReadonlyMap<string, GroupLayout> {
  const byFormats = layoutsOf.get(checkpoint) ?? new WeakMap<Formats, ReadonlyMap<string, GroupLayout>>();
  layoutsOf.set(checkpoint, byFormats);
  const known = byFormats.get(formats);
  if (known) return known;
  const groups = [checkpoint.embedding, checkpoint.head];
  for (const { attention, experts } of checkpoint.layers) groups.push(attention, ...experts);
  const layouts = new Map(groups.map((group) => [group.id, layOutGroup(group, formats)]));
  byFormats.set(formats, layouts);
  return layouts;
}

export function groupLayout(layouts: ReadonlyMap<string, GroupLayout>, group: WeightGroup): GroupLayout {
  return layouts.get(group.id) as GroupLayout;
}
