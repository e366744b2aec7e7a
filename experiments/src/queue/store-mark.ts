/** A random text in a record store, by which two machines find out that they see the same one. */

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { maybeReadText, writeWholeFile } from '@specoffload/input';
import { explainStoreError } from '../store/index.js';

const pathOf = (results: string) => join(results, '.store-mark');

/** null where no sweep has shared the store yet. */
export async function maybeMark(results: string): Promise<string | null> {
  const text = await maybeReadText(pathOf(results), 64).catch(() => null);
  return text !== null && /^[0-9a-f]{32}$/.test(text) ? text : null;
}

/**
 * The store's mark, made if it has none. Should two make one at once, points of the first come back whole over the queue.
 * @throws UserError when the store takes nothing
 */
export async function markOf(results: string): Promise<string> {
  const found = await maybeMark(results);
  if (found !== null) return found;
  const mark = randomBytes(16).toString('hex');
  try {
    await writeWholeFile(pathOf(results), mark);
  } catch (error) {
    throw explainStoreError(error, results);
  }
  return (await maybeMark(results)) ?? mark;
}
