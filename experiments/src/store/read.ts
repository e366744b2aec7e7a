/** The record store, read back: every whole record, and a sentence about everything in its place that is none. */

import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { UserError } from '@specoffload/engine';
import { hasCode } from '../errors.js';
import { displayPath } from '../paths.js';
import type { RunRecord } from './record.js';
import { parseRunRecord } from './validate.js';
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
 * Reads `<results>/<experiment>/<key>/run.json`, all of them, oldest first. Each is validated; a folder that cannot be
 * read, or whose record says another key, is left out and named in a warning. Folders still being written are no records yet.
 * @throws UserError when the store itself cannot be read.
 */
export async function readRuns(request: ReadRequest): Promise<StoredRun[]> {
  const { results, experiment, kind, onWarning = () => {}, signal } = request;
  const runs: StoredRun[] = [];
  let untilTurn = recordsPerTurn;
  for (const name of directoriesIn(results)) {
    if (experiment !== undefined && name !== experiment) continue;
    for (const key of directoriesIn(join(results, name))) {
      const run = readRun(join(results, name, key), key, onWarning);
      if (run !== null && (kind === undefined || run.record.kind === kind)) runs.push(run);
      untilTurn -= 1;
      if (untilTurn > 0) continue;
      untilTurn = recordsPerTurn;
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
  return runs.sort(byAge);
}

/** Ties, as of predictions made in one millisecond, by key: equal stores are read in equal order. */
function byAge({ record: a }: StoredRun, { record: b }: StoredRun): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1;
  return a.key < b.key ? -1 : 1;
}

/** Names of the directories in one, hidden ones (`.writing-…`) left out. */
function directoriesIn(path: string): string[] {
  return listDirectory(path)
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
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
    throw error;
  }
}

/** @returns null for what is no record, after a warning. */
function readRun(folder: string, name: string, onWarning: (sentence: string) => void): StoredRun | null {
  const path = join(folder, 'run.json');
  try {
    // Ten thousand small files are read in half a second this way, in three by promises.
    const record = parseRunRecord(parseJson(readFileSync(path, 'utf8'), path), displayPath(path));
    if (record.key === name) return { record, folder };
    onWarning(
      `${displayPath(path)}: invalid key: ${record.key}; expected its folder's name, so it was moved or edited`,
    );
  } catch (error) {
    const sentence = describeFailure(error, folder, keyPattern.test(name));
    if (sentence !== null) onWarning(sentence);
  }
  return null;
}

/** @returns null when nothing is wrong. @throws what is no failure of reading */
function describeFailure(error: unknown, folder: string, isKey: boolean): string | null {
  if (error instanceof UserError) return error.message;
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  if (code !== 'ENOENT') return `${displayPath(folder)}: cannot read its run.json (${code})`;
  // Another store may lie below, such as `results/reference/`: its folders are experiments, with names of their own.
  return isKey ? `${displayPath(folder)}: no run.json in it; remove the folder` : null;
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UserError(`${displayPath(path)}: no valid JSON; remove its folder, and run it again`);
  }
}
