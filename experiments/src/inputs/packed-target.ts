/** A target with its weights packed without loss: made once, into the cache folder. */

import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type Checkpoint,
  formatOf,
  type PackingOptions,
  packCheckpoint,
  type TargetFormat,
  UserError,
} from '@specoffload/engine';
import { cacheDirectory, displayPath } from '../paths.js';
import { withBytesDone } from '../terminal/bytes-done.js';
import { formatBytes, formatSeconds } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import { maybeOpen } from './inflated-target.js';

/** In what a run can store its target: what bf16 becomes without loss. */
export const runFormats = ['bf16_packed'] as const satisfies readonly TargetFormat[];
export type RunFormat = (typeof runFormats)[number];

/** @throws UserError for a format that weights would have to be rounded to */
export function assertRunFormat(name: string, format: string): asserts format is RunFormat {
  if ((runFormats as readonly string[]).includes(format)) return;
  throw new UserError(
    `${name}: ${format} can be predicted only, by simulate and plan; expected ${runFormats.join(', ')}, which a run makes of bf16 without loss: take it, or give a checkpoint that is stored so`,
  );
}

/**
 * Opens the packed form of a target in the cache folder, under the target's name; packs when it is not there yet, or was
 * packed from other weights. What is packed already is left as it is.
 * @throws UserError when nothing of it can be packed, or the disk does not fit
 */
export async function preparePackedTarget(
  source: Checkpoint,
  output: Output,
  signal: AbortSignal,
  directory: string = cacheDirectory,
): Promise<Checkpoint> {
  if (formatOf(source) === 'bf16_packed') return source;
  const targetDirectory = packedDirectoryOf(source, directory);
  const cached = await maybeOpen(targetDirectory);
  const packed =
    cached?.packedFrom === source.digest
      ? cached
      : await pack(source.directory, targetDirectory, output, signal);
  return { ...packed, name: source.name };
}

async function pack(
  sourceDirectory: string,
  targetDirectory: string,
  output: Output,
  signal: AbortSignal,
): Promise<Checkpoint> {
  await rm(targetDirectory, { recursive: true, force: true });
  output.note(`pack: ${displayPath(sourceDirectory)} in ${displayPath(targetDirectory)}, once`);
  const startMs = performance.now();
  const { source, target } = await withPackingProgress(
    { sourceDirectory, targetDirectory, signal },
    packCheckpoint,
    output,
  );
  const seconds = formatSeconds((performance.now() - startMs) / 1000);
  output.note(`pack: ${formatBytes(source.bytes)} became ${formatBytes(target.bytes)} in ${seconds}`);
  return target;
}

/**
 * Of an inflated target its size stays at the end, by which those of an earlier source are found and removed; others are
 * told apart by what they hold.
 */
function packedDirectoryOf({ directory, name, digest }: Checkpoint, cache: string): string {
  if (dirname(directory) === cache) return directory.replace(/(?=(-\d+MB)?$)/, '-packed');
  return join(cache, `${name}-${digest.slice(0, 12)}-packed`);
}

/** Packs or unpacks, and says how far it is. */
export function withPackingProgress<Result>(
  options: PackingOptions,
  work: (options: PackingOptions) => Promise<Result>,
  output: Output,
): Promise<Result> {
  return withBytesDone('pack', output, (onProgress) => work({ ...options, onProgress }));
}
