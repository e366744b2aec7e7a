/** How a weight group lies in host memory after a direct read, and in device memory after crossing the link. */

import {
  codecs,
  directIoAlignmentBytes,
  type MatrixLayout,
  type PlacedScales,
  scaleBytes,
  scaleGridSize,
  type WeightDtype,
} from '@specoffload/native';
import type { StoredTensor } from '../machine/device.js';
import type { DeviceScales } from '../machine/device-weights.js';
import { type Formats, weightBytes } from '../machine/formats.js';
import { cutTensor, type FileRange, layoutInMemory, lengthOf, rangesOf } from '../model/stored.js';
import type {
  Checkpoint,
  StoredScales,
  TensorLayout,
  TensorRef,
  TensorRole,
  WeightGroup,
} from '../model/types.js';
import { type Bundle, bundlesOf, codecOfGroups, codecOfScales, scalesOffset } from './bundles.js';

/** A range of one file, with borders that direct reads accept. */
export interface StagedRange extends FileRange {
  /** Where it starts within the staged group. */
  readonly stagedOffset: number;
}

/** What crosses at once: stored values, where they are found in the staged group, and where they go. */
export interface StagedPiece {
  readonly dtype: WeightDtype;
  readonly count: number;
  readonly stagedOffset: number;
  /** How its values lie from there on, unless one row behind the other. */
  readonly layout?: MatrixLayout;
  /** As in {@link StoredTensor}. */
  readonly runs?: StoredTensor['runs'];
  readonly deviceOffset: number;
}

/** One tensor: where it is found in the staged group, and how it lies in the device's copy. */
export interface StagedTensor extends StagedPiece {
  readonly role: TensorRole;
  readonly deviceDtype: WeightDtype;
  /** As in {@link DeviceTensor}, scales counted from the start of the group. */
  readonly devicePaired: number;
  readonly deviceStep?: number;
  readonly deviceAcross?: number;
  readonly deviceScales?: DeviceScales;
}

export interface GroupLayout {
  readonly group: WeightGroup;
  readonly ranges: readonly StagedRange[];
  /** Host bytes of the staged group; at least storedBytes, more by the alignment of its borders. */
  readonly stagedBytes: number;
  readonly tensors: readonly StagedTensor[];
  /** The same by what crosses together, and scales by themselves where they are kept. */
  readonly pieces: readonly StagedPiece[];
  /** Device bytes of the widened group, each tensor aligned. */
  readonly deviceBytes: number;
}

/** Device tensors start at multiples of this: one AVX-512 register, one cache line. */
export const tensorAlignmentBytes = 64;

/** Plans a group's reads: tensors that are neighbours in a file are read as one range. */
export function layOutGroup(group: WeightGroup, formats: Formats): GroupLayout {
  const ranges = coalesceRanges(group.tensors.map(({ ref }) => ref));
  const placed = placeBundles(group, formats);
  return {
    group,
    ranges,
    stagedBytes: lengthOf(ranges),
    deviceBytes: placed.deviceBytes,
    tensors: placed.bundles.flatMap((bundle) => tensorsOf(bundle, ranges)),
    pieces: placed.bundles.flatMap(({ bundle, deviceOffset }) => {
      return piecesOf(bundle.ref, ranges, placesOf({ bundle, deviceOffset }, 0, formats));
    }),
  };
}

interface PlacedBundle {
  readonly bundle: Bundle;
  readonly deviceOffset: number;
}

function placeBundles(group: WeightGroup, formats: Formats) {
  let deviceBytes = 0;
  const bundles = bundlesOf(group, formats).map((bundle): PlacedBundle => {
    const deviceOffset = deviceBytes;
    deviceBytes += alignUp(weightBytes(formats, bundle.ref), tensorAlignmentBytes);
    return { bundle, deviceOffset };
  });
  return { bundles, deviceBytes };
}

function tensorsOf({ bundle, deviceOffset }: PlacedBundle, ranges: readonly StagedRange[]): StagedTensor[] {
  const { isKept, members } = bundle;
  return members.map(({ role, ref }, place): StagedTensor => {
    const { dtype, numElements: count, layout } = ref;
    const rowBytes = layout ? codecs[dtype].bytes(layout.columns) : 0;
    const deviceScales = deviceScalesOf({ bundle, deviceOffset }, place);
    return {
      role,
      dtype,
      count,
      ...stagedPlace(ref, ranges),
      deviceOffset: deviceOffset + place * rowBytes,
      deviceDtype: isKept ? dtype : 'f32',
      devicePaired: isKept ? (layout?.paired ?? 1) : 1,
      ...(members.length > 1 && { deviceStep: members.length }),
      ...(isKept && layout && layout.across > 0 && { deviceAcross: layout.across }),
      ...(deviceScales && { deviceScales }),
    };
  });
}

/** Of the tensor at a place in its bundle. */
function deviceScalesOf({ bundle, deviceOffset }: PlacedBundle, place: number): DeviceScales | null {
  const offset = scalesOffset(bundle);
  const { layout } = bundle.ref;
  if (offset === null || !layout?.scales) return null;
  const [, perRow] = scaleGridSize(layout, layout.scales);
  const first = deviceOffset + offset;
  const [, zerosAt, groupsAt] = partOffsets(layout, layout.scales);
  const own = first + scaleBytes(layout.scales.dtype, place * perRow);
  return scalesAt(layout.scales, perRow, bundle.members.length, [own, first + zerosAt, first + groupsAt]);
}

/**
 * Scales by their parts' addresses: scales, zero points, groups of columns.
 * @param step rows of them from one of the tensor's to its next
 */
export function scalesAt(
  { dtype, rows, columns, groupStride = 0, zeros, groupOfColumn }: PlacedScales<object>,
  perRow: number,
  step: number,
  [address, zerosAddress, groupsAddress]: readonly [number, number, number],
): DeviceScales {
  return {
    dtype,
    rows,
    columns,
    address,
    ...(groupStride > 0 ? { across: 1, groupStride } : { across: perRow * step }),
    ...(zeros && {
      zeros: {
        codec: zeros.codec,
        address: zerosAddress,
        isLessOne: zeros.isLessOne,
        ...(zeros.groupStride > 0
          ? { across: 1, groupStride: zeros.groupStride / codecs[zeros.codec].blockElements }
          : { across: perRow, groupStride: 1 }),
      },
    }),
    ...(groupOfColumn && { groupOfColumn: groupsAddress }),
  };
}

/** Where scales, zero points and groups of columns lie that are kept, one behind the other. */
function partOffsets(
  layout: TensorLayout,
  { zeros, ...scales }: StoredScales,
): readonly [scales: number, zeros: number, groups: number] {
  const [rows, perRow] = scaleGridSize(layout, scales);
  const zerosAt = scaleBytes(scales.dtype, rows * perRow);
  return [0, zerosAt, zerosAt + (zeros ? codecs[zeros.codec].bytes(rows * perRow) : 0)];
}

/** Where in device memory the parts of a bundle go, or of what is left of it behind `first` values. */
interface PartPlaces {
  readonly values: number;
  /** Of scales, zero points and groups of columns that are kept beside values; null where none are. */
  readonly scales: number | null;
  readonly zeros: number;
  readonly groups: number;
}

function placesOf({ bundle, deviceOffset }: PlacedBundle, first: number, formats: Formats): PartPlaces {
  const { ref } = bundle;
  const offset = scalesOffset(bundle);
  if (offset === null || !ref.layout?.scales) {
    const valueBytes = weightBytes(formats, ref) / ref.numElements;
    return { values: deviceOffset + valueBytes * first, scales: null, zeros: 0, groups: 0 };
  }
  const { dtype, rows, zeros } = ref.layout.scales;
  const [, perRow] = scaleGridSize(ref.layout, ref.layout.scales);
  const before = Math.floor(first / ref.layout.columns / rows) * perRow;
  const scales = deviceOffset + offset;
  const [, zerosAt, groupsAt] = partOffsets(ref.layout, ref.layout.scales);
  return {
    values: deviceOffset + codecs[ref.dtype].bytes(first),
    scales: scales + scaleBytes(dtype, before),
    zeros: scales + zerosAt + (zeros ? codecs[zeros.codec].bytes(before) : 0),
    groups: scales + groupsAt,
  };
}

function piecesOf(ref: TensorRef, ranges: readonly StagedRange[], places: PartPlaces): StagedPiece[] {
  const { dtype, numElements: count } = ref;
  const place = stagedPlace(ref, ranges);
  const { values: deviceOffset } = places;
  if (places.scales === null || !ref.layout?.scales || !place.layout?.scales)
    return [{ dtype, count, ...place, deviceOffset }];
  const { stagedOffset } = place;
  const [rows, columns] = scaleGridSize(ref.layout, ref.layout.scales);
  const scales = {
    dtype: codecOfScales[ref.layout.scales.dtype],
    count: rows * columns,
    deviceOffset: places.scales,
    stagedOffset: stagedOffset + place.layout.scales.offset,
  };
  const values = { dtype, count, stagedOffset, deviceOffset };
  const { zeros, groupOfColumn } = place.layout.scales;
  const points = zeros && { dtype: zeros.codec, count: rows * columns, deviceOffset: places.zeros };
  const groups = groupOfColumn && {
    dtype: codecOfGroups,
    count: ref.layout.columns,
    deviceOffset: places.groups,
  };
  return [
    ...[values, scales],
    ...(points ? [{ ...points, stagedOffset: stagedOffset + zeros.offset }] : []),
    ...(groups ? [{ ...groups, stagedOffset: stagedOffset + groupOfColumn.offset }] : []),
  ];
}

/** Where a tensor's values start in the staged group, and how they lie. */
function stagedPlace(
  ref: TensorRef,
  staged: readonly StagedRange[],
): Pick<StagedTensor, 'stagedOffset' | 'layout'> {
  const [stagedOffset, ...parts] = rangesOf(ref).map(({ path, fileOffset }) => {
    const range = staged.find(
      (candidate) =>
        path === candidate.path &&
        candidate.fileOffset <= fileOffset &&
        fileOffset < candidate.fileOffset + candidate.byteLength,
    ) as StagedRange;
    return range.stagedOffset + fileOffset - range.fileOffset;
  });
  if (!ref.layout) return { stagedOffset };
  const offsets = parts.map((offset) => offset - stagedOffset);
  return { stagedOffset, layout: layoutInMemory(ref.layout, offsets) };
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
  return placeBundles(layout.group, formats).bundles.flatMap(({ bundle, deviceOffset }) => {
    const { ref } = bundle;
    const spare = 2 * directIoAlignmentBytes * rangesOf(ref).length; // at either end
    return cutTensor(ref, stagingBytes - spare).map(({ first, part }): GroupLayout => {
      const ranges = coalesceRanges([part]);
      if (lengthOf(ranges) > stagingBytes)
        throw new Error(`a staging buffer of ${stagingBytes} bytes is too small to split ${ref.name} into`);
      const pieces = piecesOf(part, ranges, placesOf({ bundle, deviceOffset }, first, formats));
      return { ...layout, ranges, stagedBytes: lengthOf(ranges), pieces };
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
