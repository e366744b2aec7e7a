/** How a weight group lies in host memory after a direct read, and in device memory after crossing the link. */

import { directIoAlignmentBytes, type WeightDtype } from '@specoffload/native';
import { type Formats, weightBytes } from '../machine/formats.js';
import type { Checkpoint, TensorRole, WeightGroup } from '../model/types.js';

/** A range of one file, with borders that direct reads accept. */
export interface StagedRange {
  readonly path: string;
  readonly fileOffset: number;
  readonly byteLength: number;
  /** Where it starts within the staged group. */
  readonly stagedOffset: number;
}

/** One tensor: where it is found in the staged group, and where it goes in the device's copy. */
export interface StagedTensor {
  readonly role: TensorRole;
  readonly dtype: WeightDtype;
  readonly count: number;
  readonly stagedOffset: number;
  readonly deviceOffset: number;
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
  const ranges = coalesceRanges(group);
  let deviceBytes = 0;
  const tensors = group.tensors.map(({ role, ref }): StagedTensor => {
    const range = ranges.find(
      ({ path, fileOffset, byteLength }) =>
        path === ref.path && fileOffset <= ref.fileOffset && ref.fileOffset < fileOffset + byteLength,
    ) as StagedRange;
    const deviceOffset = deviceBytes;
    deviceBytes += alignUp(weightBytes(formats, ref.dtype, ref.numElements), tensorAlignmentBytes);
    return {
      ...{ role, dtype: ref.dtype, count: ref.numElements, deviceOffset },
      stagedOffset: range.stagedOffset + ref.fileOffset - range.fileOffset,
    };
  });
  const stagedBytes = ranges.reduce((sum, range) => sum + range.byteLength, 0);
  return { group, ranges, stagedBytes, tensors, deviceBytes };
}

function coalesceRanges(group: WeightGroup): StagedRange[] {
  const refs = group.tensors.map(({ ref }) => ref);
  refs.sort((a, b) => (a.path === b.path ? a.fileOffset - b.fileOffset : a.path < b.path ? -1 : 1));
  const merged: { path: string; start: number; end: number }[] = [];
  for (const { path, fileOffset, byteLength } of refs) {
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
