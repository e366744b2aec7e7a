/** Tensors that cross to the device in one piece: each by itself, or those together whose rows lie by turns in their file. */

import { codecs, type ScaleDtype, scaleBytes, scaleGridSize, type WeightDtype } from '@specoffload/native';
import { type Formats, isKept, isKeptWithScales } from '../machine/formats.js';
import type { TensorRef, TensorRole, WeightGroup } from '../model/types.js';

interface Member {
  readonly role: TensorRole;
  readonly ref: TensorRef;
}

export interface Bundle {
  /** All of it, its rows one behind the other. */
  readonly ref: TensorRef;
  /** In the order of their first rows. */
  readonly members: readonly Member[];
  readonly isKept: boolean;
}

/** Rows by turns stay so where the device keeps them: nobody could copy every second row as fast. */
export function bundlesOf({ tensors }: WeightGroup, formats: Formats): readonly Bundle[] {
  const bundled = new Set<Member>();
  return tensors.flatMap((member): Bundle[] => {
    if (bundled.has(member)) return [];
    const isApart = (member.ref.layout?.step ?? 1) > 1 && formats.keptDtypes !== undefined;
    const woven = isApart ? weave(tensors.filter((other) => areAlike(member, other))) : null;
    const whole = woven && keeps(formats, woven.ref) ? woven : null;
    for (const each of whole?.members ?? []) bundled.add(each);
    return [whole ?? { ref: member.ref, members: [member], isKept: keeps(formats, member.ref) }];
  });
}

function keeps(formats: Formats, ref: TensorRef): boolean {
  return isKept(formats, ref) || isKeptWithScales(formats, ref);
}

function areAlike({ ref: one }: Member, { ref: other }: Member): boolean {
  return (
    one.path === other.path &&
    one.dtype === other.dtype &&
    one.layout?.rows === other.layout?.rows &&
    one.layout?.columns === other.layout?.columns &&
    one.layout?.step === other.layout?.step
  );
}

/** @returns null for vectors, and where they are not all that lie between each other's rows */
function weave(alike: readonly Member[]): Bundle | null {
  const members = [...alike].sort((a, b) => a.ref.fileOffset - b.ref.fileOffset);
  const [{ ref: first }] = members;
  const { layout } = first;
  if (!layout || layout.step === 1 || layout.step !== members.length) return null;
  const { rows, columns, step, paired, across, scales } = layout;
  if (columns === 1 || paired > 1 || across > 0 || (scales && scales.rows > 1)) return null;
  if (scales?.zeros || scales?.groupOfColumn || scales?.groupStride) return null;
  const rowBytes = codecs[first.dtype].bytes(columns);
  const scaleRowBytes = scales ? scaleBytes(scales.dtype, scaleGridSize(layout, scales)[1]) : 0;
  const isNext = ({ ref }: Member, place: number) =>
    ref.fileOffset === first.fileOffset + place * rowBytes &&
    ref.layout?.scales?.path === scales?.path &&
    ref.layout?.scales?.dtype === scales?.dtype &&
    ref.layout?.scales?.columns === scales?.columns &&
    ref.layout?.scales?.fileOffset === (scales ? scales.fileOffset + place * scaleRowBytes : undefined);
  if (!members.every(isNext)) return null;
  const sum = (amountOf: (ref: TensorRef) => number) =>
    members.reduce((all, { ref }) => all + amountOf(ref), 0);
  const together = { ...layout, rows: rows * step, step: 1 };
  const isPlain = scales === null;
  const { layout: _, ...rest } = first;
  const ref: TensorRef = {
    ...rest,
    shape: [rows * step, columns],
    numElements: sum(({ numElements }) => numElements),
    byteLength: sum(({ byteLength }) => byteLength),
    ...(!isPlain && { layout: together }),
  };
  return { ref, members, isKept: true };
}

/** Where the scales of a bundle that is kept begin behind its values; null where none lie apart. */
export function scalesOffset({ isKept, ref }: Bundle): number | null {
  return isKept && ref.layout?.scales ? codecs[ref.dtype].bytes(ref.numElements) : null;
}

/** A codec with as many bytes a value: scales cross as bytes, which nobody decodes on the way. */
export const codecOfScales: Readonly<Record<ScaleDtype, WeightDtype>> = {
  f32: 'f32',
  bf16: 'bf16',
  f16: 'f16',
  e8m0: 'fp8',
};

/** The same of the groups of columns. */
export const codecOfGroups: WeightDtype = 'f32';
