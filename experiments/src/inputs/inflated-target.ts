/** The main job's target: the shipped one inflated, once, into the cache folder. */

import { createHash } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Checkpoint,
  type InflationOptions,
  inflateCheckpoint,
  openCheckpoint,
  planInflation,
  UserError,
} from '@specoffload/engine';
import { displayPath } from '../paths.js';
import { withBytesDone } from '../terminal/bytes-done.js';
import { formatBytes, formatSeconds } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';

export interface InflatedTargetRequest {
  readonly sourceDirectory: string;
  readonly cacheDirectory: string;
  readonly bytes: number;
}

/** Opens the inflated target, made from the very files of the source; inflates when it is not there yet. */
export async function prepareTarget(
  { sourceDirectory, cacheDirectory, bytes }: InflatedTargetRequest,
  output: Output,
  signal: AbortSignal,
): Promise<Checkpoint> {
  const source = await openCheckpoint(sourceDirectory);
  const suffix = `-${Math.round(bytes / 1e6)}MB`;
  const name = `${source.name}-${(await digestFiles(sourceDirectory)).slice(0, 12)}${suffix}`;
  const targetDirectory = join(cacheDirectory, name);
  const cached = await maybeOpen(targetDirectory);
  if (cached?.bytes === planInflation(source, { bytes }).bytes) return cached; // an earlier version planned others
  await removeOthers(cacheDirectory, `${source.name}-`, suffix);
  output.note(`inflate: ${source.name} to ${formatBytes(bytes)} in ${displayPath(targetDirectory)}, once`);
  const startMs = performance.now();
  const target = await inflateWithProgress({ source, targetDirectory, bytes, seed: 0, signal }, output);
  output.note(`inflate: done in ${formatSeconds((performance.now() - startMs) / 1000)}`);
  return target;
}

export async function inflateWithProgress(options: InflationOptions, output: Output): Promise<Checkpoint> {
  return withBytesDone('inflate', output, (onProgress) =>
    inflateCheckpoint({ ...options, onProgress: (progress) => onProgress(progress, 'written') }),
  );
}

/** A checkpoint's own digest leaves the weights out; here a pair that was trained again must count as new. */
export async function digestFiles(directory: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(directory)).sort())
    hash.update(`${name}\n`).update(await readFile(join(directory, name)));
  return hash.digest('hex');
}

/** null when there is none, or none that is whole: then it is removed. */
export async function maybeOpen(directory: string): Promise<Checkpoint | null> {
  try {
    return await openCheckpoint(directory);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    await rm(directory, { recursive: true, force: true });
    return null;
  }
}

/** Targets of the same size made from an earlier source: nobody asks for them again, and they are big. */
async function removeOthers(cacheDirectory: string, prefix: string, suffix: string): Promise<void> {
  const names = await readdir(cacheDirectory).catch(() => []);
  for (const name of names)
    if (name.startsWith(prefix) && name.endsWith(suffix))
      await rm(join(cacheDirectory, name), { recursive: true, force: true });
}
