/** The tokens that end a generation, as config.json and generation_config.json give them. */

import { isRecord, quote, UserError } from '@specoffload/input';
import { redownload } from './config-values.js';

/**
 * The end-of-sequence ids of config.json or generation_config.json: a number, a list or null.
 * @returns null when the file does not say.
 */
export function parseEosTokenIds(json: unknown, source: string): readonly number[] | null {
  const value = isRecord(json) ? json.eos_token_id : undefined;
  if (value === undefined || value === null) return null;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  if (!ids.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0)) {
    throw new UserError(
      `${source}: invalid eos_token_id: ${quote(value)}; expected a token id, a list of token ids or null; ${redownload}`,
    );
  }
  return ids;
}
