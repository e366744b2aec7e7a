/** Records on disk: written aside, flushed, renamed into place. A folder that is there is whole. */

import { createHash, randomBytes } from 'node:crypto';
import { access, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { explainSystemError, hasCode, makeFolder, UserError } from '@specoffload/input';
import { displayPath } from '../paths.js';
import { isAlive } from './processes.js';
import { isStored } from './read.js';
import type { RunRecord } from './record.js';

export interface RunFiles<Run extends RunRecord = RunRecord> {
  /** Builds the record of the given repeat: the store finds the first free one. */
  readonly recordOf: (repeat: number) => Run;
  /** First repeat to try. @default 0 */
  readonly firstRepeat?: number;
  /** Chrome trace format; null leaves it out, as of the thousands of runs of a sweep. */
  readonly trace: string | null;
  /** Lines of {@link TokensLine}; null for a prediction, which has none. */
  readonly tokens: string | null;
}

export interface StoredRun<Run extends RunRecord = RunRecord> {
  readonly record: Run;
  readonly folder: string;
}

/**
 * Writes one run to `<results>/<experiment>/<key>/`. Whatever goes wrong, and whenever `signal` aborts, the
 * store holds either the whole record or nothing of it.
 * @throws UserError when the disk is full or the folder cannot be written.
 */
export async function storeRun<Run extends RunRecord>(
  resultsDirectory: string,
  experiment: string,
  files: RunFiles<Run>,
  signal?: AbortSignal,
): Promise<StoredRun<Run>> {
  return withAside(resultsDirectory, experiment, files, (aside, folder) =>
    moveIntoPlace(aside, folder, files, signal),
  );
}

/** What a run leaves beside its record. */
type SideFiles = Pick<RunFiles, 'trace' | 'tokens'>;

/**
 * Writes one run under the key that its record has. When another process has finished the same run meanwhile, its
 * record stays and this one is dropped. A prediction's name in the store is not flushed, only its content: should the
 * machine lose power just then, the next sweep predicts it again, and thousands of them are stored in half the time.
 * @returns whether this one was stored.
 * @throws UserError as {@link storeRun}
 */
export async function storeRunAs(
  resultsDirectory: string,
  experiment: string,
  record: RunRecord,
  files: SideFiles,
): Promise<boolean> {
  const flush = record.kind === 'measured' ? flushDirectory : async () => {};
  return withAside(resultsDirectory, experiment, files, async (aside, folder) => {
    await writeRecord(aside, record, flush);
    return renameInto(aside, folder, record.key, flush);
  });
}

/** Lends a folder that is not yet in the store, with the side files in it, and takes it away if it is still there. */
async function withAside<T>(
  resultsDirectory: string,
  experiment: string,
  { trace, tokens }: SideFiles,
  work: (aside: string, folder: string) => Promise<T>,
): Promise<T> {
  const folder = join(resultsDirectory, experiment);
  // In the experiment's own folder, which may be a link to another file system: nothing is renamed across two.
  const aside = join(folder, nameAside());
  try {
    await makeFolder(folder);
    await mkdir(aside);
    if (trace !== null) await writeFlushed(join(aside, 'trace.json.gz'), await promisify(gzip)(trace));
    if (tokens !== null) await writeFlushed(join(aside, 'tokens.jsonl'), tokens);
    return await work(aside, folder);
  } catch (error) {
    throw explainStoreError(error, resultsDirectory);
  } finally {
    await removeAside(aside);
  }
}

/** Process ids say something on their own machine only. */
const asidePrefix = `.writing-${createHash('sha256').update(hostname()).digest('hex').slice(0, 8)}-`;

function nameAside(): string {
  return `${asidePrefix}${process.pid}-${randomBytes(4).toString('hex')}`;
}

/** Removes what killed processes of this machine left half-written in an experiment's folder. */
export async function removeLitter(resultsDirectory: string, experiment: string): Promise<void> {
  // Earlier versions wrote beside the experiments.
  for (const parent of [resultsDirectory, join(resultsDirectory, experiment)])
    for (const name of await readdir(parent).catch(() => [])) {
      const pid = name.startsWith(asidePrefix) ? Number.parseInt(name.slice(asidePrefix.length), 10) : null;
      if (pid !== null && !isAlive(pid)) await removeAside(join(parent, name));
    }
}

/** Renames `aside` to the folder of the first free repeat. Another process may take a repeat meanwhile. */
async function moveIntoPlace<Run extends RunRecord>(
  aside: string,
  folder: string,
  { recordOf, firstRepeat = 0 }: RunFiles<Run>,
  signal?: AbortSignal,
): Promise<StoredRun<Run>> {
  for (let repeat = firstRepeat; ; repeat++) {
    const record = recordOf(repeat);
    const place = join(folder, record.key);
    if (await exists(place)) continue;
    await writeRecord(aside, record);
    signal?.throwIfAborted();
    if (await renameInto(aside, folder, record.key)) return { record, folder: place };
  }
}

async function writeRecord(aside: string, record: RunRecord, flush = flushDirectory): Promise<void> {
  await writeFlushed(join(aside, 'run.json'), `${JSON.stringify(record, null, 2)}\n`);
  await flush(aside);
}

/**
 * The one moment at which a run enters the store. What stands in its place and is no record, such as one that was cut
 * short, is put aside under a hidden name.
 * @returns false when a whole one of that key is there.
 */
async function renameInto(
  aside: string,
  folder: string,
  key: string,
  flush = flushDirectory,
): Promise<boolean> {
  const place = join(folder, key);
  try {
    await rename(aside, place);
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) throw error;
    if (isStored(place)) return false;
    await rename(place, join(folder, `.damaged-${key}-${randomBytes(4).toString('hex')}`));
    await rename(aside, place);
  }
  await flush(folder);
  return true;
}

async function writeFlushed(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes renames and new names in a directory last. Not every system can; then it does without. */
async function flushDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, 'r');
    await directory.sync().finally(() => directory.close());
  } catch (error) {
    if (!hasCode(error, 'EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP')) throw error;
  }
}

/** What cannot be removed is litter, and no reason to hide why the write failed. */
async function removeAside(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {});
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** What a failed write means to people; anything else as it is. */
export function explainStoreError(error: unknown, resultsDirectory: string): unknown {
  const where = displayPath(resultsDirectory);
  if (hasCode(error, 'ENOSPC', 'EDQUOT'))
    return new UserError(`no space left for the record in ${where}; free some, or choose another --results`);
  if (hasCode(error, 'EACCES', 'EPERM', 'EROFS'))
    return new UserError(`cannot write to ${where}; mend its permissions, or choose another --results`);
  if (hasCode(error, 'ENOTDIR', 'EEXIST'))
    return new UserError(`${where} is no directory; choose another --results`);
  return explainSystemError(error, `write to ${where}`, 'choose another --results');
}

/**
 * Refuses early what would fail after minutes of work.
 * @param experiment whose folder may lie elsewhere, or be one that nobody may write to
 * @throws UserError as {@link storeRun} does.
 */
export async function assertWritable(resultsDirectory: string, experiment?: string): Promise<void> {
  try {
    await makeFolder(resultsDirectory);
    const folder = experiment === undefined ? null : join(resultsDirectory, experiment);
    await probe(folder !== null && (await exists(folder)) ? folder : resultsDirectory);
  } catch (error) {
    throw explainStoreError(error, resultsDirectory);
  }
}

async function probe(folder: string): Promise<void> {
  const aside = join(folder, nameAside());
  try {
    await mkdir(aside);
  } finally {
    await removeAside(aside);
  }
}
