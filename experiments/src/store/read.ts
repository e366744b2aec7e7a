/** The record store, read back: every whole record, and a sentence about everything in its place that is none. */

import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { explainSystemError, hasCode, maybeReadTextSync, parseJson, UserError } from '@specoffload/input';
import { displayPath } from '../paths.js';
import { UsageError } from '../terminal/errors.js';
import type { RunRecord } from './record.js';
import { parseRunRecord } from './record.js';
import { NewerRecordError } from './schema.js';
import type { StoredRun } from './write.js';

export interface ReadRequest {
  /** Record store; one that does not exist yet is empty. */
  readonly results: string;
  /** Only this experiment's folder. @default all */
  readonly experiment?: string;
  /** @default both */
  readonly kind?: RunRecord['kind'];
  /** Called with one sentence for each folder that holds no readable record. @default they are passed over */
  readonly onWarning?: (sentence: string) => void;
  readonly signal?: AbortSignal;
}

const keyPattern = /^[0-9a-f]{16,64}$/;

/** So many records between two looks at the signal and at whatever else the process has to do. */
const recordsPerTurn = 250;

/**
 * Every record under `<results>/<experiment>/<key>/run.json`, one after the other: the one way in which anything finds
 * out what the store holds. Each is validated; a folder that cannot be read, or whose record says another key, is left
 * out and named in a warning. Folders may be links to others. Those still being written are no records yet.
 * @throws UserError when the store itself cannot be read.
 */
export async function* scanRuns(request: ReadRequest): AsyncGenerator<StoredRun> {
  const { results, experiment, kind, onWarning = () => {}, signal } = request;
  let untilTurn = recordsPerTurn;
  for (const name of experimentsIn(results, experiment)) {
    const parent = join(results, name);
    for (const key of directoriesOrWarn(parent, onWarning)) {
      const run = readRunOrWarn(join(parent, key), key, onWarning);
      if (run !== null && (kind === undefined || run.record.kind === kind)) yield run;
      untilTurn -= 1;
      if (untilTurn > 0) continue;
      untilTurn = recordsPerTurn;
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
}

/** All that {@link scanRuns} finds, oldest first. */
export async function readRuns(request: ReadRequest): Promise<StoredRun[]> {
  const runs: StoredRun[] = [];
  for await (const run of scanRuns(request)) runs.push(run);
  return runs.sort((a, b) => byAge(a.record, b.record));
}

/**
 * The one run whose key begins like this; `experiment/key` where two experiments hold the same run.
 * @throws UsageError when none or several do, UserError when its record cannot be read
 */
export function findRun(results: string, keyStart: string): StoredRun {
  const [, experiment, start] = /^(?:([^/]+)\/)?([0-9a-f]{1,64})$/.exec(keyStart) ?? [];
  if (start === undefined)
    throw new UsageError(
      `invalid key: ${keyStart}; expected the first letters of a run's key, 0 to 9 and a to f`,
    );
  const found = experimentsIn(results, experiment)
    .flatMap((name) => directoriesOrWarn(join(results, name)).map((key) => ({ name, key })))
    .filter(({ key }) => keyPattern.test(key) && key.startsWith(start));
  const [only] = found;
  if (only === undefined)
    throw new UsageError(
      `no run ${keyStart} in ${displayPath(results)}; \`specoffload runs list\` shows those that are there`,
    );
  if (found.length > 1) throw new UsageError(describeAmbiguity(keyStart, found));
  return openRun(join(results, only.name, only.key));
}

function describeAmbiguity(keyStart: string, found: readonly { name: string; key: string }[]): string {
  const shown = found.slice(0, 8).map(({ name, key }) => `${name}/${key}`);
  const rest = found.length - shown.length;
  return `${keyStart} may be ${shown.join(', ')}${rest > 0 ? ` or one of ${rest} others` : ''}; type more of the key, or experiment/key`;
}

/** Ties, as of predictions made in one millisecond, by key: equal stores are read in equal order. */
export function byAge(a: Aged, b: Aged): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1;
  return a.key < b.key ? -1 : 1;
}

type Aged = Pick<RunRecord, 'createdAt' | 'key'>;

/**
 * Names of the experiments, or the one that is asked for. A folder that two names lead to is one experiment, under the
 * name that it has itself: its runs are there once.
 */
function experimentsIn(results: string, asked?: string): string[] {
  const names = directoriesIn(results);
  if (asked !== undefined) return names.filter((name) => name === asked);
  const folders = new Map(names.map((name) => [name, realpathSync(join(results, name))]));
  const nameOf = new Map<string, string>();
  for (const [name, folder] of folders)
    if (!nameOf.has(folder) || basename(folder) === name) nameOf.set(folder, name);
  return names.filter((name) => nameOf.get(folders.get(name)!) === name);
}

/** Names of the directories in one, also of links to some; hidden ones (`.writing-…`) left out. */
function directoriesIn(path: string): string[] {
  return listDirectory(path)
    .filter((entry) => !entry.name.startsWith('.') && isDirectory(path, entry))
    .map(({ name }) => name)
    .sort();
}

function isDirectory(parent: string, entry: Dirent): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  try {
    return statSync(join(parent, entry.name)).isDirectory();
  } catch {
    return false; // it leads nowhere, or in a circle
  }
}

function directoriesOrWarn(path: string, onWarning: (sentence: string) => void = () => {}): string[] {
  try {
    return directoriesIn(path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    onWarning(error.message);
    return [];
  }
}

function listDirectory(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []; // nothing was stored yet, or it was removed just now
    if (hasCode(error, 'ENOTDIR'))
      throw new UserError(`${displayPath(path)} is no directory; choose another --results`);
    if (hasCode(error, 'EACCES', 'EPERM'))
      throw new UserError(
        `cannot read ${displayPath(path)}; mend its permissions, or choose another --results`,
      );
    throw explainSystemError(error, `read ${displayPath(path)}`);
  }
}

/** @returns null for what is no record, after a warning. */
function readRunOrWarn(
  folder: string,
  name: string,
  onWarning: (sentence: string) => void,
): StoredRun | null {
  try {
    const run = readRun(folder, name);
    // Another store may lie below, such as `results/reference/`: its folders are experiments, with names of their own.
    if (run === null && keyPattern.test(name)) onWarning(describeMissing(folder));
    return run;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    onWarning(error.message);
    return null;
  }
}

/** Ours have some 10 kB; a hundred axes of long texts fit as well. */
const mostRecordBytes = 1 << 22;

/** @throws UserError when there is no record of the folder's name in it */
export function openRun(folder: string): StoredRun {
  const run = readRun(folder, basename(folder));
  if (run === null) throw new UserError(describeMissing(folder));
  return run;
}

/**
 * Whether a run has its place in the store: a whole record of its key, also one that only a later version can read.
 * What was cut short, by a full disk or a crash of the machine, has not.
 */
export function isStored(folder: string): boolean {
  try {
    return readRun(folder, basename(folder)) !== null;
  } catch (error) {
    if (error instanceof UserError) return error instanceof NewerRecordError;
    throw error;
  }
}

/** @returns null where there is no run.json. @throws UserError when it is no record of this name */
function readRun(folder: string, name: string): StoredRun | null {
  const path = join(folder, 'run.json');
  // Ten thousand small files are read in half a second this way, in three by promises.
  const text = maybeReadTextSync(path, mostRecordBytes);
  if (text === null) return null;
  const record = parseRunRecord(parseJson(text, path, {}, 'remove its folder, and run it again'), path);
  if (record.key === name) return { record, folder };
  throw new UserError(
    `${path}: invalid key: ${record.key}; expected its folder's name, so it was moved or edited`,
  );
}

function describeMissing(folder: string): string {
  return `${folder}: no run.json in it; remove the folder`;
}
