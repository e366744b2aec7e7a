/**
 * A draft that is right as often as the paper's: the shipped target itself, its weights rounded to few bits of mantissa,
 * written once into the cache folder.
 */

import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { openCheckpoint } from '@specoffload/engine';
import { displayPath } from '../paths.js';
import type { Output } from '../terminal/output.js';
import { digestFiles, maybeOpen } from './inflated-target.js';

export interface RoundedPairRequest {
  /** Stores bf16. */
  readonly sourceDirectory: string;
  readonly cacheDirectory: string;
  /** Of the seven that bf16 has. */
  readonly mantissaBits: number;
}

/** @returns the directory of the rounded checkpoint */
export async function prepareRounded(
  { sourceDirectory, cacheDirectory, mantissaBits }: RoundedPairRequest,
  output: Output,
): Promise<string> {
  const digest = (await digestFiles(sourceDirectory)).slice(0, 12);
  const directory = join(cacheDirectory, `${basename(sourceDirectory)}-${digest}-${mantissaBits}bit`);
  if (await maybeOpen(directory)) return directory;
  output.note(
    `rounding: ${basename(sourceDirectory)} to ${mantissaBits} of 7 bits in ${displayPath(directory)}, once`,
  );
  const partial = `${directory}.${randomBytes(6).toString('hex')}`;
  await mkdir(partial, { recursive: true });
  try {
    for (const name of await readdir(sourceDirectory))
      await copyFile(join(sourceDirectory, name), join(partial, name));
    const matrices = await matricesOf(sourceDirectory);
    for (const path of new Set(matrices.map((matrix) => matrix.path))) {
      const bytes = await readFile(path);
      for (const matrix of matrices)
        if (matrix.path === path)
          roundBf16(bytes.subarray(matrix.fileOffset, matrix.fileOffset + matrix.byteLength), mantissaBits);
      await writeFile(join(partial, basename(path)), bytes);
    }
    await rename(partial, directory);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return directory;
}

/** Norms stay as they are. */
async function matricesOf(directory: string) {
  const { tensors } = await openCheckpoint(directory);
  return [...tensors.values()].filter(({ shape, dtype }) => shape.length > 1 && dtype === 'bf16');
}

/** To the nearest that has so many bits, halves away from zero; a carry goes on into the exponent. Mutates `bytes`. */
export function roundBf16(bytes: Buffer, mantissaBits: number): void {
  const dropped = 7 - mantissaBits;
  for (let offset = 0; offset < bytes.length; offset += 2) {
    const value = bytes.readUInt16LE(offset);
    const magnitude = (value & 0x7fff) + ((1 << dropped) >> 1);
    bytes.writeUInt16LE((value & 0x8000) | ((magnitude >> dropped) << dropped), offset);
  }
}
