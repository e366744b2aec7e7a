/** Opening a target and its draft, with their tokenizers, and refusing pairs that do not belong together. */

import {
  assertSameVocabulary,
  type Checkpoint,
  loadTokenizer,
  openCheckpoint,
  type Tokenizer,
} from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { pairPaths } from '../paths.js';
import { assertModelDirectory } from './model-names.js';

export interface OpenPair {
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  /** The target's; null where it has none. */
  readonly tokenizer: Tokenizer | null;
}

/** Whether a draft of another vocabulary is refused, or left out since nobody has asked for it. */
export type DraftWish = 'named' | 'usual';

/**
 * @param draftDirectory null when the strategy does not speculate.
 * @throws UserError when a checkpoint is broken or the vocabularies differ.
 */
export async function openPair(
  targetDirectory: string,
  draftDirectory: string | null,
  wish: DraftWish = 'named',
): Promise<OpenPair> {
  await assertModelDirectory(targetDirectory);
  const target = await openCheckpoint(targetDirectory);
  const tokenizer = await loadTokenizer(targetDirectory);
  if (draftDirectory === null) return { target, draft: null, tokenizer };
  await assertModelDirectory(draftDirectory);
  const draft = await openCheckpoint(draftDirectory);
  const draftTokenizer = await loadTokenizer(draftDirectory);
  try {
    assertSameVocabulary({ checkpoint: target, tokenizer }, { checkpoint: draft, tokenizer: draftTokenizer });
  } catch (error) {
    if (wish === 'usual' && error instanceof UserError) return { target, draft: null, tokenizer };
    throw error;
  }
  return { target, draft, tokenizer };
}

/** The trained pair that ships with the project, as it is. */
export async function openShippedPair(): Promise<OpenPair & { readonly draft: Checkpoint }> {
  const pair = await openPair(pairPaths.target, pairPaths.draft);
  return { ...pair, draft: pair.draft! };
}
