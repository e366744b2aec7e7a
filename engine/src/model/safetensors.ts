/**
 * The header of one safetensors file: read, and checked before anything believes it.
 *
 * A file is an 8-byte little-endian header length, the header (JSON: tensor name to dtype, shape and byte range), and
 * the data that the ranges point into. Source: https://github.com/huggingface/safetensors, "Format".
 */

import { type FileHandle, open } from 'node:fs/promises';
import {
  check,
  is,
  type JsonRecord,
  parseJson,
  quote,
  reasonOf,
  statFile,
  UserError,
} from '@specoffload/input';
import { codecs, type PlainCodec, plainCodecs, type WeightDtype } from '@specoffload/native';
import type { HeaderTensor, WeightFile } from './header-tensor.js';

const remedy = 'download the file again';

/** The format's own limit (`MAX_HEADER_SIZE` of the reference implementation). */
export const maxHeaderBytes = 100_000_000;

/** Bits of one element of each dtype a file may name. Only those of `weightDtypes` can be computed with. */
const bitsPerElement: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  I64: 64,
  U64: 64,
  F64: 64,
  C64: 64,
};

const weightDtypes: Readonly<Record<string, WeightDtype>> = Object.fromEntries(
  Object.entries<PlainCodec>(plainCodecs).map(([dtype, { storedName }]) => [
    storedName,
    dtype as WeightDtype,
  ]),
);

/**
 * Reads the header of `path`, and nothing else of it.
 * @throws UserError when the file is cut short, or its header contradicts itself or the file.
 */
export async function readSafetensors(path: string): Promise<WeightFile> {
  const { text, byteLength } = await readHeaderText(path);
  const header = parseHeader(text, path);
  const dataOffset = 8 + Buffer.byteLength(text);
  const tensors = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, entry]) => parseEntry(name, entry, path, dataOffset))
    .sort((a, b) => a.fileOffset - b.fileOffset || a.byteLength - b.byteLength);
  refuseOverlaps(tensors, path);
  const last = tensors.at(-1);
  const expectedBytes = last === undefined ? dataOffset : last.fileOffset + last.byteLength;
  if (expectedBytes !== byteLength) {
    throw new UserError(
      `${path} has ${byteLength} bytes where its header promises ${expectedBytes}; ${byteLength < expectedBytes ? 'it was cut short' : 'something was appended'}, download it again`,
    );
  }
  return { path, byteLength, tensors };
}

async function readHeaderText(path: string): Promise<{ text: string; byteLength: number }> {
  let file: FileHandle;
  try {
    await statFile(path);
    file = await open(path, 'r');
  } catch (error) {
    throw new UserError(
      `cannot open ${path} (${reasonOf(error)}); download the missing file or mend its permissions`,
      {
        cause: error,
      },
    );
  }
  try {
    const byteLength = (await file.stat()).size;
    const headerBytes = Number((await readExactly(file, 0, Math.min(8, byteLength), path)).readBigUInt64LE());
    const largest = Math.min(maxHeaderBytes, byteLength - 8);
    if (!(2 <= headerBytes && headerBytes <= largest)) {
      throw new UserError(
        `${path}: invalid header length: ${headerBytes}; expected 2 to ${largest} bytes in a file of ${byteLength}; it is cut short or no safetensors file, download it again`,
      );
    }
    const header = await readExactly(file, 8, headerBytes, path);
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header), byteLength };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path}: unreadable header (${reasonOf(error)}); download the file again`, {
      cause: error,
    });
  } finally {
    await file.close();
  }
}

async function readExactly(
  file: FileHandle,
  offset: number,
  byteLength: number,
  path: string,
): Promise<Buffer> {
  const buffer = Buffer.alloc(byteLength);
  const { bytesRead } = await file.read(buffer, 0, byteLength, offset);
  if (bytesRead === byteLength && byteLength > 0) return buffer;
  throw new UserError(`${path} ended after ${offset + bytesRead} bytes; it was cut short, download it again`);
}

function parseHeader(text: string, path: string): JsonRecord {
  const json = parseJson(text, `${path}: the header`, {}, remedy);
  // As in the reference implementation: nothing may come before the object.
  const atStart = is.that(is.object, () => text.startsWith('{'), 'an object, and nothing before it');
  const header = check(atStart, json, path, { whole: 'header', remedy });
  const duplicate = findDuplicateKey(text);
  check(metadataSchema, header, `${path}: the header`, { remedy });
  if (duplicate === null) return header;
  throw new UserError(
    `${path} defines ${quote(duplicate)} twice; expected every tensor once; download the file again`,
  );
}

const metadataSchema = is.picked({ __metadata__: is.orMissing(is.mapOf(is.anyText)) });

/** The first key that the outermost object of valid JSON holds twice, or null; JSON.parse would keep the last. */
function findDuplicateKey(text: string): string | null {
  const seen = new Set<string>();
  let depth = 0;
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (depth === 1 && colon !== undefined) {
      const key = JSON.parse(token.slice(0, -colon.length)) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return null;
}

const size = is.wholeFrom(0);

/** What a tensor of this dtype and shape takes. */
function bytesOf({ dtype, shape }: { readonly dtype: string; readonly shape: readonly number[] }): number {
  return (countElements(shape) * bitsPerElement[dtype]) / 8;
}

const entrySchema = is.that(
  is.that(
    is.that(
      is.picked({
        dtype: is.oneOf(Object.keys(bitsPerElement)),
        shape: is.listOf(size),
        data_offsets: is.listOf(size, { least: 2, most: 2, expected: '[begin, end]' }),
      }),
      (tensor) => Number.isSafeInteger(bytesOf(tensor)),
      'a tensor smaller than 2^53 bytes',
      'shape',
    ),
    ({ data_offsets: [, end] }) => end < 2 ** 52,
    'ends below 2^52',
    'data_offsets',
  ),
  ({ data_offsets: [begin, end], ...tensor }) => end - begin === bytesOf(tensor),
  (tensor) =>
    `[begin, end] of ${bytesOf(tensor)} bytes, which is what ${tensor.dtype} ${quote(tensor.shape)} takes`,
  'data_offsets',
);

function parseEntry(name: string, entry: unknown, path: string, dataOffset: number): HeaderTensor {
  const words = { whole: 'entry', remedy };
  const tensor = check(entrySchema, entry, `${path}, ${quote(name)}`, words);
  const { dtype, shape, data_offsets: range } = tensor;
  const codec = weightDtypes[dtype] ?? null;
  return { name, path, dtype, codec, shape, fileOffset: dataOffset + range[0], byteLength: bytesOf(tensor) };
}

/** `tensors` in the order of their bytes; empty ones cannot overlap anything. */
export function refuseOverlaps(tensors: readonly HeaderTensor[], path: string): void {
  let previous: HeaderTensor | undefined;
  for (const tensor of tensors) {
    if (tensor.byteLength === 0) continue;
    if (previous !== undefined && tensor.fileOffset < previous.fileOffset + previous.byteLength) {
      throw new UserError(
        `${path}: the bytes of ${quote(tensor.name)} overlap those of ${quote(previous.name)}; expected ranges of their own; download the file again`,
      );
    }
    previous = tensor;
  }
}

export function countElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of a tensor of this dtype and shape. */
export function tensorBytes(dtype: WeightDtype, shape: readonly number[]): number {
  return codecs[dtype].bytes(countElements(shape));
}
