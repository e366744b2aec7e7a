/** Points that no run can serve, such as those that do not fit into memory: kept, so that nobody tries them again. */

import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checked, check, is, maybeReadText, parseJson } from '@specoffload/input';
import { explainStoreError } from '../store/index.js';
import { isoTime, setting } from '../store/words.js';

export type Refusal = Checked<typeof refusal>;
const refusal = is.fields({
  pointKey: is.text,
  axes: is.mapOf(setting),
  /** One sentence. */
  reason: is.text,
  createdAt: isoTime,
});

const pathOf = (results: string, experiment: string) => join(results, experiment, 'refused.jsonl');

/** By the point's key. A line that a killed process left unfinished is nobody's refusal: that point is tried again. */
export async function readRefusals(results: string, experiment: string): Promise<Map<string, Refusal>> {
  const refusals = new Map<string, Refusal>();
  for (const line of (await readText(pathOf(results, experiment))).split('\n')) {
    const found = maybeRefusal(line);
    if (found) refusals.set(found.pointKey, found);
  }
  return refusals;
}

/** Begins with a line break: should a killed process have left half a line, only that one cannot be read. */
export async function addRefusal(results: string, experiment: string, added: Refusal): Promise<void> {
  try {
    await appendFile(pathOf(results, experiment), `\n${JSON.stringify(added)}\n`, { flush: true });
  } catch (error) {
    throw explainStoreError(error, results);
  }
}

export async function forgetRefusals(results: string, experiment: string): Promise<void> {
  await rm(pathOf(results, experiment), { force: true });
}

function maybeRefusal(line: string): Refusal | null {
  try {
    return check(refusal, parseJson(line, 'a refusal'), 'a refusal');
  } catch {
    return null;
  }
}

const mostBytes = 1 << 28;

async function readText(path: string): Promise<string> {
  return (await maybeReadText(path, mostBytes)) ?? '';
}
