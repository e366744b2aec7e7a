/** A target with its weights packed without loss: made once, beside the one it is made from. */

import { type Checkpoint, type PackingOptions, packCheckpoint } from '@specoffload/engine';
import { displayPath } from '../paths.js';
import { withBytesDone } from '../terminal/bytes-done.js';
import { formatBytes, formatSeconds } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import { maybeOpen } from './inflated-target.js';

/** Opens the packed form of a target in the cache folder; packs when it is not there yet. */
export async function preparePackedTarget(
  { directory: sourceDirectory }: Checkpoint,
  output: Output,
  signal: AbortSignal,
): Promise<Checkpoint> {
  const targetDirectory = packedDirectoryOf(sourceDirectory);
  const cached = await maybeOpen(targetDirectory);
  if (cached !== null) return cached;
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

/** Its size stays at the end, by which targets of an earlier source are found and removed. */
function packedDirectoryOf(directory: string): string {
  return directory.replace(/(?=(-\d+MB)?$)/, '-packed');
}

/** Packs or unpacks, and says how far it is. */
export function withPackingProgress<Result>(
  options: PackingOptions,
  work: (options: PackingOptions) => Promise<Result>,
  output: Output,
): Promise<Result> {
  return withBytesDone('pack', output, (onProgress) => work({ ...options, onProgress }));
}
