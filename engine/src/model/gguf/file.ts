/** GGUF files on disk: the header of one, or of all parts of a split one. */

import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { quote, reasonOf, statFile, UserError } from '@specoffload/input';
import { sum } from '../../extremes.js';
import type { WeightFile } from '../header-tensor.js';
import { refuseOverlaps } from '../safetensors.js';
import { NeedsMoreBytes } from './cursor.js';
import { type GgufHeader, parseGguf, type Value } from './header.js';

/** Ten times the largest vocabulary that is published, with its merges. */
const mostHeaderBytes = 256 * 2 ** 20;
const firstBytes = 2 ** 20;
const mostParts = 1024;

export interface Gguf {
  /** The path that was opened. */
  readonly path: string;
  /** Of the first part. */
  readonly header: GgufHeader;
  readonly metadata: ReadonlyMap<string, Value>;
  readonly files: readonly WeightFile[];
}

export function isGgufPath(path: string): boolean {
  return path.endsWith('.gguf');
}

/** Reads the headers and nothing else. @throws UserError when a file is missing, cut short or contradicts itself. */
export async function readGguf(path: string): Promise<Gguf> {
  const { header, byteLength } = await readHeader(path);
  const parts = partsOf(path, header.metadata.get('split.count') ?? 1);
  const files = [{ path, byteLength, tensors: header.tensors }];
  for (const part of parts.slice(1)) {
    const { header: next, byteLength: length } = await readHeader(part);
    files.push({ path: part, byteLength: length, tensors: next.tensors });
  }
  for (const file of files) refuseOverlaps(file.tensors, file.path);
  refuseTwice(files);
  refuseOtherCount(header, files, path);
  return { path, header, metadata: header.metadata, files };
}

/** The first so many bytes of a file. */
export async function readFirst(path: string, length: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    return await readStart(file, length);
  } finally {
    await file.close();
  }
}

async function readHeader(path: string): Promise<{ header: GgufHeader; byteLength: number }> {
  let file: FileHandle;
  try {
    await statFile(path);
    file = await open(path, 'r');
  } catch (error) {
    throw new UserError(`cannot open ${path} (${reasonOf(error)}); check the path or download the file`, {
      cause: error,
    });
  }
  try {
    const byteLength = (await file.stat()).size;
    for (let length = firstBytes; ; length *= 4) {
      const bytes = await readStart(file, Math.min(length, byteLength, mostHeaderBytes));
      try {
        return { header: parseGguf(bytes, path, byteLength), byteLength };
      } catch (error) {
        if (!(error instanceof NeedsMoreBytes)) throw error;
        if (bytes.length < Math.min(byteLength, mostHeaderBytes)) continue;
        throw new UserError(
          bytes.length === byteLength
            ? `${path} ended inside its header, after ${byteLength} bytes; it was cut short, download it again`
            : `${path}: invalid header: more than ${mostHeaderBytes} bytes; expected a file that llama.cpp wrote; download it again`,
        );
      }
    }
  } finally {
    await file.close();
  }
}

async function readStart(file: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, 0);
  return bytes.subarray(0, bytesRead);
}

/** `name-00001-of-00003.gguf` and those after it, which lie beside it. */
function partsOf(path: string, count: Value): readonly string[] {
  if (count === 1 || count === 0) return [path];
  const named = /^(.*-)00001-of-(\d{5})\.gguf$/.exec(basename(path));
  if (!named || !(typeof count === 'number' && count <= mostParts && Number(named[2]) === count))
    throw new UserError(
      `${path} is a part of a file split into ${quote(count)}; expected the first part, under the name it was published with (…-00001-of-….gguf)`,
    );
  return Array.from({ length: count }, (_, index) =>
    join(dirname(path), `${named[1]}${String(index + 1).padStart(5, '0')}-of-${named[2]}.gguf`),
  );
}

/** The first part says how many there are in all. */
function refuseOtherCount({ metadata }: GgufHeader, files: readonly WeightFile[], path: string): void {
  const [promised, held] = [
    metadata.get('split.tensors.count'),
    sum(files.map(({ tensors }) => tensors.length)),
  ];
  if (promised !== undefined && promised !== held)
    throw new UserError(
      `${path} promises ${quote(promised)} tensors in all its parts, which hold ${held}; expected parts of one file; download them again`,
    );
}

function refuseTwice(files: readonly WeightFile[]): void {
  const seen = new Set<string>();
  for (const { name, path } of files.flatMap(({ tensors }) => tensors)) {
    if (seen.has(name))
      throw new UserError(
        `${path} holds ${quote(name)} a second time; expected every tensor once; download it again`,
      );
    seen.add(name);
  }
}
