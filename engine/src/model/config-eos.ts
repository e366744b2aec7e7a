/** The tokens that end a generation, as config.json and generation_config.json give them. */

import { check, is } from '@specoffload/input';
import { redownload } from './config-values.js';

const id = is.wholeFrom(0);
const ids = is.either('a token id, a list of token ids or null', id, is.listOf(id));
const file = is.picked({ eos_token_id: is.orMissing(is.orNull(ids)) });

/**
 * The end-of-sequence ids of config.json or generation_config.json: a number, a list or null.
 * @returns null when the file does not say.
 */
export function parseEosTokenIds(json: unknown, source: string): readonly number[] | null {
  const { eos_token_id: found = null } = check(file, json ?? {}, source, { remedy: redownload });
  return typeof found === 'number' ? [found] : found;
}
