/** tokenizer.json through Hugging Face's own JavaScript tokenizers, behind the project's small interface. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { isRecord, maybeReadJson, quote, reasonOf, UserError, withinTime } from '@specoffload/input';
import { largest } from '../extremes.js';
import { warnOfCheckpoint } from './config-values.js';
import { isGgufPath, readGguf } from './gguf/file.js';
import { tokenizerOfGguf } from './gguf/tokenizer.js';
import type { Checkpoint, Tokenizer } from './types.js';

/** Three times the largest that is published (Gemma's, 33 MB). */
const maxTokenizerBytes = 100_000_000;
const maxOptionsBytes = 16_000_000;
const longestLoadMs = 30_000;
const usualPatienceMs = 3000;
const maxTokenId = 2 ** 24;

export interface TokenizerOptions {
  /** Milliseconds that a text may take, and one more per character or token. @default 3000 */
  readonly patienceMs?: number;
}

/**
 * Loads `tokenizer.json` (and `tokenizer_config.json` where there is one), or what a GGUF file has in their place; null
 * when there is none.
 *
 * `encode` adds what the tokenizer's post-processor adds (Llama's and Mixtral's beginning-of-sequence token). `decode`
 * leaves special tokens out, skips ids that mean nothing, and turns bytes that are not UTF-8, such as the first half of
 * a character, into U+FFFD. Both throw a UserError when a pattern of the file does not come to an end.
 * @throws UserError when the file is malformed or of an unsupported kind.
 */
export async function loadTokenizer(
  directory: string,
  { patienceMs = usualPatienceMs }: TokenizerOptions = {},
): Promise<Tokenizer | null> {
  const isGguf = isGgufPath(directory);
  const path = isGguf ? directory : join(directory, 'tokenizer.json');
  const found = isGguf ? tokenizerOfGguf(await readGguf(path)) : await readTokenizerFiles(directory, path);
  if (found === null) return null;
  const textOf = readVocabulary(found.json, path);
  const inner = createInner(found.json as object, found.options, path);
  return {
    vocabSize: largest(textOf.keys()) + 1,
    digest: digestOf(textOf),
    encode: (text, addsSpecial = true) => encode(inner, text, addsSpecial, { path, patienceMs }),
    decode: (ids) => {
      const known = ids.filter((id) => textOf.has(id));
      if (known.length === 0) return '';
      return withinPatience(path, `${known.length} tokens`, patienceMs + known.length, () =>
        inner.decode(known, { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
      );
    },
  };
}

async function readTokenizerFiles(directory: string, path: string) {
  const json = await maybeReadJson(path, maxTokenizerBytes);
  if (json === null) return null;
  const options = (await maybeReadJson(join(directory, 'tokenizer_config.json'), maxOptionsBytes)) ?? {};
  return { json, options };
}

/** A model and the tokenizer found beside it. */
export interface VocabularyOwner {
  readonly checkpoint: Pick<Checkpoint, 'directory' | 'name' | 'spec'>;
  readonly tokenizer: Tokenizer | null;
}

/**
 * A draft's proposal is an id, so both models must mean the same text by it. Two models without any tokenizer pass when
 * their vocabularies have the same size.
 * @throws UserError saying what differs.
 */
export function assertSameVocabulary(target: VocabularyOwner, draft: VocabularyOwner): void {
  const targetSize = target.checkpoint.spec.vocabSize;
  const draftSize = draft.checkpoint.spec.vocabSize;
  const pair = `target ${placeOf(target)} and draft ${placeOf(draft)}`;
  if (targetSize !== draftSize) {
    throw new UserError(
      `${pair} have vocabularies of ${targetSize} and ${draftSize} tokens; expected the same; choose a draft of the target's family, a drafter without a model, or a strategy that does not speculate`,
    );
  }
  if (target.tokenizer?.digest === draft.tokenizer?.digest) return;
  const missing = target.tokenizer === null ? target : draft.tokenizer === null ? draft : null;
  if (missing !== null) {
    throw new UserError(
      `${placeOf(missing)} has no tokenizer.json while its partner has one; expected both or neither; copy it there if the two share it`,
    );
  }
  throw new UserError(
    `${pair} give different texts to the same token ids; expected the same tokenizer; choose a draft of the target's family`,
  );
}

/** One of the catalogue lies nowhere. */
function placeOf({ checkpoint: { directory, name } }: VocabularyOwner): string {
  return directory || name;
}

function createInner(json: object, options: unknown, path: string): HuggingFaceTokenizer {
  try {
    // Patterns are tried on the added tokens already here.
    return withinPatience(path, 'its added tokens', longestLoadMs, () => {
      return new HuggingFaceTokenizer(json, isRecord(options) ? options : {});
    });
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `${path}: unsupported tokenizer (${reasonOf(error)}); use a checkpoint with a byte-level or SentencePiece BPE`,
      {
        cause: error,
      },
    );
  }
}

function encode(
  inner: HuggingFaceTokenizer,
  text: string,
  addsSpecial: boolean,
  { path, patienceMs }: { readonly path: string; readonly patienceMs: number },
): number[] {
  const ids: readonly unknown[] = withinPatience(
    path,
    quote(text),
    patienceMs + text.length,
    () => inner.encode(text, { add_special_tokens: addsSpecial }).ids,
  );
  // The library leaves undefined where a token has no id and the vocabulary no unknown token.
  if (ids.every((id): id is number => Number.isInteger(id))) return [...ids];
  throw new UserError(
    `${path} has no token for a part of ${quote(text)} and no unknown token; leave that part out`,
  );
}

/**
 * A tokenizer.json brings regular expressions of its own, and one that backtracks would never end.
 * @throws UserError when the time is over, some hundred times what a real tokenizer takes.
 */
function withinPatience<Result>(
  path: string,
  what: string,
  milliseconds: number,
  work: () => Result,
): Result {
  const done = withinTime(milliseconds, work);
  if (done) return done.result;
  throw new UserError(
    `${path} has not come to the end of ${what} in ${(milliseconds / 1000).toFixed(0)} s; expected patterns that do not backtrack for ever; use the tokenizer.json that was published with the model`,
  );
}

/** Id to token text, of the model's vocabulary and the added tokens. */
function readVocabulary(json: unknown, path: string): ReadonlyMap<number, string> {
  const invalid = (what: string, value: unknown, expected: string) =>
    new UserError(`${path}: invalid ${what}: ${quote(value)}; expected ${expected}; download the file again`);
  const model = isRecord(json) ? json.model : undefined;
  const vocabulary = isRecord(model) ? model.vocab : undefined;
  const textOf = new Map<number, string>();
  const put = (id: unknown, text: unknown) => {
    if (!(Number.isSafeInteger(id) && 0 <= (id as number) && (id as number) <= maxTokenId)) {
      throw invalid(`id of ${quote(text)}`, id, `an integer from 0 to ${maxTokenId}`);
    }
    if (typeof text !== 'string') throw invalid(`token ${id}`, text, 'text');
    const other = textOf.get(id as number);
    if (other !== undefined && other !== text)
      warnOfCheckpoint(
        `${path}: token ${id} is ${quote(other)} and ${quote(text)}; the latter holds, and transformers may give it another id`,
      );
    textOf.set(id as number, text);
  };
  if (Array.isArray(vocabulary)) {
    // Unigram: a list of [text, score], whose index is the id.
    for (const [id, entry] of vocabulary.entries()) put(id, Array.isArray(entry) ? entry[0] : entry);
  } else if (isRecord(vocabulary)) {
    for (const [text, id] of Object.entries(vocabulary)) put(id, text);
  }
  const added = (isRecord(json) ? json.added_tokens : undefined) ?? [];
  if (!Array.isArray(added)) throw invalid('added_tokens', added, 'a list');
  for (const token of added) {
    if (!isRecord(token)) throw invalid('added token', token, 'an object');
    put(token.id, token.content);
  }
  if (textOf.size === 0) throw invalid('model.vocab', vocabulary, 'tokens and their ids');
  return textOf;
}

function digestOf(textOf: ReadonlyMap<number, string>): string {
  const entries = [...textOf].sort(([a], [b]) => a - b);
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex');
}
