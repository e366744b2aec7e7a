/** What lies beside the weights of a checkpoint and goes with them: tokenizer, template, how to generate. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { maybeReadBytes } from '@specoffload/input';

/** Everything but config.json that transformers or a tokenizer reads. */
const sidecarNames = new Set([
  'added_tokens.json',
  'chat_template.jinja',
  'generation_config.json',
  'merges.txt',
  'special_tokens_map.json',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'vocab.json',
]);

/** Three times the largest tokenizer that is published. */
const maxSidecarBytes = 100_000_000;

/** Contents by file name. */
export async function readSidecars(directory: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const sidecars = new Map<string, Uint8Array>();
  for (const file of await readdir(directory)) {
    if (!sidecarNames.has(file)) continue;
    const contents = await maybeReadBytes(join(directory, file), maxSidecarBytes);
    if (contents !== null) sidecars.set(file, contents);
  }
  return sidecars;
}
