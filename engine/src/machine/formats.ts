/** How many bytes a number takes on a machine, and what is kept as stored there. */

import {
  type Codec,
  codecs,
  f32,
  type MatrixLayout,
  type PlacedScales,
  queueRings,
  type WeightDtype,
  weightFormats,
} from '@specoffload/native';
import type { TensorRef } from '../model/types.js';
import { type HostReach, reaches } from './host-reach.js';

export interface Formats {
  /** Bytes of one weight in device memory, where it is not kept as stored in blocks; null: as stored. */
  readonly weightElementBytes: number | null;
  /** What is kept as stored, where not everything is, unless it lies across or its rows apart; else fp32. */
  readonly keptDtypes?: readonly WeightDtype[];
  /** Whether that goes for zero points of any width and groups of columns in any order. */
  readonly keepsEveryGrid?: boolean;
  /** The same where the host computes with it. @default as on the device */
  readonly hostWeightElementBytes?: number;
  /** Bytes of one key or value in the KV cache. */
  readonly cacheElementBytes: number;
  readonly activationElementBytes: number;
  /** The same where the host computes. @default as on the device */
  readonly hostActivationElementBytes?: number;
  /** Host memory that the device's queues take for what travels with commands, and for staging. @default none */
  readonly hostExchangeBytes?: number;
  /** Host memory that the device's kernels read where it lies. @default none, but all where memory is only imagined */
  readonly hostReach?: HostReach;
  /** Largest single piece of memory; Infinity where memory is only imagined. */
  readonly largestPieceBytes: number;
}

/** A processor that multiplies fp32, but blocks as they are stored; arenas of at most 4 GiB (an ArrayBuffer of Node 20). */
export const fp32Formats: Formats = {
  weightElementBytes: f32.bytes(1),
  cacheElementBytes: f32.bytes(1),
  activationElementBytes: f32.bytes(1),
  largestPieceBytes: 2 ** 32,
};

/** The local machine: weights as stored, and everything else in fp32. */
export const localFormats: Formats = {
  ...fp32Formats,
  weightElementBytes: null,
  hostWeightElementBytes: f32.bytes(1),
  keptDtypes: Object.keys(codecs) as WeightDtype[],
  keepsEveryGrid: true,
};

/** A GPU that computes in bf16. */
export const bf16Formats: Formats = {
  weightElementBytes: null,
  cacheElementBytes: codecs.bf16.bytes(1),
  activationElementBytes: codecs.bf16.bytes(1),
  largestPieceBytes: Number.POSITIVE_INFINITY,
};

/** The same where what computing takes is planned in memory, too, as in a run: for machines that keep caches apart. */
export const plannedBf16Formats: Formats = { ...bf16Formats, largestPieceBytes: 2 ** 40 };

/** The same beside a host that computes attention and experts in fp32. */
export const bf16BesideFp32Formats: Formats = {
  ...bf16Formats,
  hostActivationElementBytes: f32.bytes(1),
};

/** A host pool is made of arenas of 4 GiB, each imported in pieces that every driver allows. */
export const vulkanReach: HostReach = { bankBytes: 2 ** 32, pieceBytes: 2 ** 30 };

/** A GPU under Vulkan: weights as stored, everything else in fp32; a pool is made of allocations of at most 2 GiB. */
export const vulkanFormats: Formats = {
  ...localFormats,
  keptDtypes: Object.keys(weightFormats) as (keyof typeof weightFormats)[],
  keepsEveryGrid: false,
  hostExchangeBytes: 2 * (queueRings.exchangeBytes + queueRings.stagingBytes),
  largestPieceBytes: 2 ** 31,
  hostReach: vulkanReach,
};

const { hostReach: _, ...staged } = vulkanFormats;

/** The same where the driver imports no host memory. */
export const stagedVulkanFormats: Formats = staged;

/** Whether memory is only imagined, as that of machines which run other software: what computing takes is not planned there. */
export function isImagined({ largestPieceBytes }: Formats): boolean {
  return largestPieceBytes === Number.POSITIVE_INFINITY;
}

/** Whether kernels read what lies there in host memory. */
export function readsHost(formats: Formats, address: number, byteLength: number): boolean {
  return isImagined(formats) || reaches(formats.hostReach ?? null, address, byteLength);
}

interface Stored {
  readonly dtype: WeightDtype;
  /** Where its values do not simply lie one behind the other. */
  readonly layout?: Pick<MatrixLayout, 'rows' | 'columns' | 'step' | 'across'> & {
    readonly scales: PlacedScales<object> | null;
  };
}

/** How a stored tensor lies in device memory. */
export function dtypeOnDevice(formats: Formats, ref: Stored): WeightDtype {
  return isKept(formats, ref) || isKeptWithScales(formats, ref) ? ref.dtype : 'f32';
}

/** Whether device memory holds it and scales of its own, which lie behind its values there. */
export function isKeptWithScales(
  { weightElementBytes, keptDtypes, keepsEveryGrid = false }: Formats,
  { dtype, layout }: Stored,
): boolean {
  if (weightElementBytes !== null || !keptDtypes?.includes(dtype) || !layout?.scales) return false;
  const { rows, columns, step, across, scales } = layout;
  const { bytes }: Codec = codecs[dtype];
  const isInOrder = across === 0 || (inWords.includes(dtype) && across === rows);
  const isWhole = columns > 1 && step === 1 && (rows * bytes(columns)) % f32.bytes(1) === 0;
  return (
    isInOrder &&
    isWhole &&
    (keepsEveryGrid ? isInOwnGrid(rows, scales) : isGridOfKernels(dtype, rows, scales))
  );
}

/** What kernels read stored transposed. */
const inWords: readonly WeightDtype[] = ['int4', 'int4_awq', 'int8_packed'];

/** Whether scales and zero points are a matrix's own: those of a part of one lie further apart. */
function isInOwnGrid(numRows: number, { rows, groupStride = 0, zeros }: PlacedScales<object>): boolean {
  return [groupStride, zeros?.groupStride ?? 0].every(
    (stride) => stride === 0 || (stride === numRows && rows === 1),
  );
}

/** Whether kernels find a scale and a zero point for every row and group of columns: words of these start at multiples of four. */
function isGridOfKernels(dtype: WeightDtype, numRows: number, scales: PlacedScales<object>): boolean {
  if (!isInOwnGrid(numRows, scales) || !isGridRead(dtype, scales)) return false;
  return (!scales.zeros && !scales.groupOfColumn) || numRows % 8 === 0;
}

function isGridRead(dtype: WeightDtype, { rows, zeros, groupOfColumn }: PlacedScales<object>): boolean {
  if (!zeros && !groupOfColumn) return true;
  return (!zeros || zeros.codec === dtype) && rows === 1;
}

/** Whether kernels read it from there: plain numbers at multiples of their size, packed ones at those of a word. */
export function isReadAt(dtype: WeightDtype, address: number): boolean {
  const { blockElements, bytes }: Codec = codecs[dtype];
  if (dtype === 'bf16_packed') return address % f32.bytes(1) === 0;
  return blockElements > 1 || address % bytes(1) === 0;
}

/** Whether kernels find numbers with scales of their own where they lie in a file's order. */
export function isReadByKernels({
  dtype,
  layout: { across, scales },
}: Required<Pick<Stored, 'dtype' | 'layout'>>): boolean {
  return (across === 0 || inWords.includes(dtype)) && scales !== null && isGridRead(dtype, scales);
}

/** Whether device memory holds its bytes as stored: every device does where values lie in blocks with their scales. */
export function isKept({ weightElementBytes, keptDtypes }: Formats, { dtype, layout }: Stored): boolean {
  if (weightElementBytes === null && keptDtypes === undefined) return true;
  const canBeKept = weightElementBytes === null ? keptDtypes?.includes(dtype) : isInBlocks(dtype);
  return canBeKept === true && (!layout || isInRows(layout));
}

/** Whether the host computes with it where it lies: fp32 may lie at any byte there, and products take it at multiples of four. */
export function isReadInHost(ref: Stored): boolean {
  return ref.dtype !== 'f32' && isKept(localFormats, ref);
}

/** Decoding it would make several bytes of one. */
function isInBlocks(dtype: WeightDtype): boolean {
  const { blockElements, scales }: Codec = codecs[dtype];
  return blockElements > 1 && scales === undefined;
}

/** A matrix whose rows lie one behind the other, in whatever order. */
function isInRows({ columns, step, across, scales }: NonNullable<Stored['layout']>): boolean {
  return columns > 1 && step === 1 && across === 0 && scales === null;
}

/** Of a tensor in device memory. */
export function weightBytes(
  formats: Formats,
  ref: Stored & Pick<TensorRef, 'byteLength' | 'numElements'>,
): number {
  if (isKept(formats, ref) || isKeptWithScales(formats, ref)) return ref.byteLength;
  return ref.numElements * (formats.weightElementBytes ?? f32.bytes(1));
}

/** Of keys and values. */
export function cacheBytes({ cacheElementBytes }: Formats, count: number): number {
  return count * cacheElementBytes;
}

export function activationBytes({ activationElementBytes }: Formats, count: number): number {
  return count * activationElementBytes;
}

/** Of an activation in host memory. */
export function hostActivationBytes(formats: Formats, count: number): number {
  return count * (formats.hostActivationElementBytes ?? formats.activationElementBytes);
}
