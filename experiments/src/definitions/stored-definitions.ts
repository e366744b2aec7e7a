/** What was asked, beside what came of it: every definition that an experiment was run with, a file each. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { check, hasCode, is, maybeReadJson, UserError, writeWholeFile } from '@specoffload/input';
import { displayPath } from '../paths.js';
import { digestOf, type Json } from '../store/canonical.js';
import { explainStoreError } from '../store/index.js';
import type { ExperimentDefinition } from './definition.js';
import { parseDefinition } from './parse.js';

export interface StoredDefinition {
  readonly digest: string;
  /** In the form that ran: quick or not, with the filters, seeds and repeats of that sweep. */
  readonly definition: ExperimentDefinition;
  /** When a sweep last began with it while another one was the latest: ISO 8601, UTC. */
  readonly askedAt: string;
}

/** `results/candidates/definition-….json`; a file, so that whoever looks for runs passes over it. */
const namePattern = /^definition-([0-9a-f]{32})\.json$/;

/** An axis may have 100,000 values. */
const mostBytes = 1 << 25;

/**
 * Stores the definition, unless it is there already as the one that was asked for last.
 * @returns its digest
 * @throws UserError when the store takes nothing
 */
export async function keepDefinition(results: string, definition: ExperimentDefinition): Promise<string> {
  const plain = JSON.parse(JSON.stringify(definition)) as Json;
  const digest = digestOf(plain).slice(0, 32);
  const [latest] = await readDefinitions(results, definition.name);
  if (latest?.digest === digest) return digest;
  const content = { askedAt: new Date().toISOString(), definition: plain };
  const path = join(results, definition.name, `definition-${digest}.json`);
  try {
    await writeWholeFile(path, `${JSON.stringify(content, null, 2)}\n`);
  } catch (error) {
    throw explainStoreError(error, results);
  }
  return digest;
}

/**
 * All that are stored of an experiment, the one that was asked for last first.
 * @param onWarning told of each file that is none. @default they are passed over
 */
export async function readDefinitions(
  results: string,
  experiment: string,
  onWarning: (sentence: string) => void = () => {},
): Promise<StoredDefinition[]> {
  const folder = join(results, experiment);
  const stored: StoredDefinition[] = [];
  for (const name of await namesIn(folder)) {
    const [, digest] = namePattern.exec(name) ?? [];
    if (digest === undefined) continue;
    try {
      stored.push(await readDefinition(join(folder, name), digest));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      onWarning(error.message);
    }
  }
  return stored.sort((a, b) => (a.askedAt < b.askedAt ? 1 : -1));
}

const isTime = (value: unknown) => typeof value === 'string' && !Number.isNaN(Date.parse(value));
const file = is.fields({ askedAt: is.such<string>(isTime, 'a time'), definition: is.anything });

async function readDefinition(path: string, digest: string): Promise<StoredDefinition> {
  const source = displayPath(path);
  const { askedAt, definition } = check(file, await maybeReadJson(path, mostBytes), source, {
    remedy: 'remove it: no sweep wrote this',
  });
  const parsed = parseDefinition(definition, source);
  if (digestOf(definition as Json).slice(0, 32) !== digest)
    throw new UserError(`${source} was edited: its content has another digest; remove it, and sweep again`);
  return { digest, definition: parsed, askedAt };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM')) return []; // whoever reads its runs says so
    throw error;
  }
}
