/**
 * The header of a GGUF file, checked before anything believes it: metadata, and what tensors lie where.
 *
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
 */

import { quote, UserError } from '@specoffload/input';
import { type Codec, codecs, type WeightDtype } from '@specoffload/native';
import type { HeaderTensor } from '../header-tensor.js';
import { Cursor } from './cursor.js';

export type Value = number | boolean | string | readonly Value[];

/** Where in the file an entry of its metadata lies, and its value behind key and type. */
export interface EntryPlace {
  readonly key: string;
  readonly type: number;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, Value>;
  readonly entries: readonly EntryPlace[];
  /** In the order of their bytes. */
  readonly tensors: readonly HeaderTensor[];
}

const most = {
  entries: 2 ** 16,
  tensors: 2 ** 17,
  keyBytes: 2 ** 16,
  textBytes: 2 ** 24,
  elements: 2 ** 24,
  dimensions: 4,
  depth: 2,
};

/**
 * @param bytes the file's first, as many as its header has, or more
 * @param byteLength of the file
 * @throws NeedsMoreBytes where the header goes on, UserError where it contradicts itself or the file
 */
export function parseGguf(bytes: Buffer, path: string, byteLength: number): GgufHeader {
  const cursor = new Cursor(bytes, path);
  const version = readVersion(cursor, path);
  const numTensors = cursor.count('number of tensors', most.tensors);
  const numEntries = cursor.count('number of metadata entries', most.entries);
  const metadata = new Map<string, Value>();
  const entries: EntryPlace[] = [];
  for (let i = 0; i < numEntries; i += 1) {
    const start = cursor.at;
    const key = cursor.text('length of a key', most.keyBytes);
    if (metadata.has(key)) throw damaged(path, `${quote(key)} stands twice in its metadata`);
    const type = cursor.u32();
    const valueStart = cursor.at;
    metadata.set(key, readValue(cursor, type, key, path, 0));
    entries.push({ key, type, start, valueStart, end: cursor.at });
  }
  const places = Array.from({ length: numTensors }, () => readTensorEntry(cursor, path));
  const alignment = alignmentOf(metadata, path);
  const dataOffset = Math.ceil(cursor.at / alignment) * alignment;
  const tensors = places
    .map((entry) => placeTensor(entry, dataOffset, path, byteLength))
    .sort((a, b) => a.fileOffset - b.fileOffset || a.byteLength - b.byteLength);
  return { version, metadata, entries, tensors };
}

/** Tensors start at multiples of it. */
export function alignmentOf(metadata: GgufHeader['metadata'], path: string): number {
  const alignment = metadata.get('general.alignment') ?? 32;
  const isPower = typeof alignment === 'number' && Number.isInteger(Math.log2(alignment));
  if (isPower && 1 <= alignment && alignment <= 2 ** 20) return alignment;
  throw damaged(path, `its alignment is ${quote(alignment)}`);
}

function damaged(path: string, what: string): UserError {
  return new UserError(`${path} is damaged: ${what}; download the file again`);
}

function readVersion(cursor: Cursor, path: string): number {
  const magic = cursor.u32();
  if (magic !== 0x46554747) throw new UserError(`${path} is no GGUF file; download it again`); // "GGUF"
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  throw new UserError(
    `${path}: unsupported GGUF version: ${version}; expected 2 or 3, little-endian; convert it with llama.cpp's current tools`,
  );
}

const stringType = 8;
export const arrayType = 9;

/** By the number that the file gives a type. */
const readers: Readonly<Record<number, (cursor: Cursor) => Value>> = {
  0: (cursor) => cursor.u8(),
  1: (cursor) => cursor.i8(),
  2: (cursor) => cursor.u16(),
  3: (cursor) => cursor.i16(),
  4: (cursor) => cursor.u32(),
  5: (cursor) => cursor.i32(),
  6: (cursor) => cursor.f32(),
  7: (cursor) => cursor.u8() !== 0,
  [stringType]: (cursor) => cursor.text('length of a text', most.textBytes),
  10: (cursor) => cursor.u64(),
  11: (cursor) => cursor.i64(),
  12: (cursor) => cursor.f64(),
};

function readValue(cursor: Cursor, type: number, key: string, path: string, depth: number): Value {
  if (type !== arrayType) {
    if (!Object.hasOwn(readers, type)) throw damaged(path, `${quote(key)} has the unknown type ${type}`);
    return readers[type](cursor);
  }
  if (depth >= most.depth) throw damaged(path, `${quote(key)} is a list of lists of lists`);
  const elementType = cursor.u32();
  const count = cursor.count(`length of ${quote(key)}`, most.elements);
  // Grows with what is read, so that a length alone takes no memory.
  const values: Value[] = [];
  for (let i = 0; i < count; i += 1) values.push(readValue(cursor, elementType, key, path, depth + 1));
  return values;
}

/** By the number that the file gives a type; names as llama.cpp writes them. */
const typeNames: Readonly<Record<number, string>> = {
  ...{ 0: 'F32', 1: 'F16', 2: 'Q4_0', 3: 'Q4_1', 6: 'Q5_0', 7: 'Q5_1', 8: 'Q8_0', 9: 'Q8_1' },
  ...{ 10: 'Q2_K', 11: 'Q3_K', 12: 'Q4_K', 13: 'Q5_K', 14: 'Q6_K', 15: 'Q8_K', 16: 'IQ2_XXS', 17: 'IQ2_XS' },
  ...{
    18: 'IQ3_XXS',
    19: 'IQ1_S',
    20: 'IQ4_NL',
    21: 'IQ3_S',
    22: 'IQ2_S',
    23: 'IQ4_XS',
    24: 'I8',
    25: 'I16',
  },
  ...{ 26: 'I32', 27: 'I64', 28: 'F64', 29: 'IQ1_M', 30: 'BF16', 34: 'TQ1_0', 35: 'TQ2_0', 39: 'MXFP4' },
  ...{ 40: 'NVFP4' },
};

/** @param dtype as `HeaderTensor` has it */
export function typeNumberOf(dtype: string): number {
  return Number(Object.keys(typeNames).find((number) => typeNames[Number(number)] === dtype));
}

const readable = [
  'F32',
  'F16',
  'BF16',
  'Q8_0',
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'MXFP4',
];

interface TensorEntry {
  readonly name: string;
  readonly type: number;
  /** The outermost first, as elsewhere; the file has them the other way. */
  readonly shape: readonly number[];
  readonly offset: number;
}

function readTensorEntry(cursor: Cursor, path: string): TensorEntry {
  const name = cursor.text('length of a name', most.keyBytes);
  const numDimensions = cursor.u32();
  if (!(1 <= numDimensions && numDimensions <= most.dimensions))
    throw damaged(path, `${quote(name)} has ${numDimensions} dimensions`);
  const shape = Array.from({ length: numDimensions }, () => cursor.u64()).reverse();
  return { name, shape, type: cursor.u32(), offset: cursor.u64() };
}

function placeTensor(
  { name, shape, type, offset }: TensorEntry,
  dataOffset: number,
  path: string,
  fileLength: number,
): HeaderTensor {
  const dtype = Object.hasOwn(typeNames, type) ? typeNames[type] : `type ${type}`;
  if (!readable.includes(dtype))
    throw new UserError(
      `${path}: unsupported type of ${quote(name)}: ${dtype}; expected one of ${readable.join(', ')}; use a file that is quantised to one of them`,
    );
  const codec = dtype.toLowerCase() as WeightDtype;
  const { blockElements, bytes }: Codec = codecs[codec];
  const numElements = shape.reduce((product, size) => product * size, 1);
  const columns = shape[shape.length - 1];
  if (
    !shape.every((size) => size >= 1) ||
    !Number.isSafeInteger(numElements) ||
    columns % blockElements !== 0
  )
    throw damaged(
      path,
      `${quote(name)} has the shape ${quote(shape)}, which ${dtype} cannot have (blocks of ${blockElements})`,
    );
  const fileOffset = dataOffset + offset;
  const byteLength = bytes(numElements);
  if (!(fileOffset + byteLength <= fileLength))
    throw new UserError(
      `${path} has ${fileLength} bytes, and ${quote(name)} would end at ${fileOffset + byteLength}; it was cut short, download it again`,
    );
  return { name, path, dtype, codec, shape, fileOffset, byteLength };
}
