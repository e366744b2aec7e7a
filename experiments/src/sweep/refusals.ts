/** Points that no run can serve, such as those that do not fit into memory: kept, so that nobody tries them again. */

import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isRecord, maybeReadText, parseJson } from '@specoffload/input';
import { explainStoreError, type PointRecord } from '../store/index.js';

export interface Refusal {
  readonly pointKey: string;
  readonly axes: PointRecord['axes'];
  /** One sentence. */
  readonly reason: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

const pathOf = (results: string, experiment: string) => join(results, experiment, 'refused.jsonl');

/** By the point's key. A line that a killed process left unfinished is nobody's refusal: that point is tried again. */
export async function readRefusals(results: string, experiment: string): Promise<Map<string, Refusal>> {
  const refusals = new Map<string, Refusal>();
  for (const line of (await readText(pathOf(results, experiment))).split('\n')) {
    const refusal = maybeRefusal(line);
    if (refusal) refusals.set(refusal.pointKey, refusal);
  }
  return refusals;
}

/** Appends a line of its own: an unfinished one before it stays alone in its ruin. */
export async function addRefusal(results: string, experiment: string, refusal: Refusal): Promise<void> {
  try {
    await appendFile(pathOf(results, experiment), `\n${JSON.stringify(refusal)}\n`, { flush: true });
  } catch (error) {
    throw explainStoreError(error, results);
  }
}

export async function forgetRefusals(results: string, experiment: string): Promise<void> {
  await rm(pathOf(results, experiment), { force: true });
}

function maybeRefusal(line: string): Refusal | null {
  try {
    const refusal = parseJson(line, 'a refusal') as Refusal | null;
    const isWhole =
      typeof refusal?.pointKey === 'string' && typeof refusal.reason === 'string' && isRecord(refusal.axes);
    return isWhole ? refusal : null;
  } catch {
    return null;
  }
}

const mostBytes = 1 << 28;

async function readText(path: string): Promise<string> {
  return (await maybeReadText(path, mostBytes)) ?? '';
}
