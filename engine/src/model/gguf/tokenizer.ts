/** The tokenizer that a GGUF file carries, as the tokenizer.json that Hugging Face's code reads. */

import { type JsonRecord, quote } from '@specoffload/input';
import type { Gguf } from './file.js';
import { Metadata } from './metadata.js';

/** By the name that llama.cpp gives a way of cutting texts. Source: `llm_tokenizer_bpe` in llama-vocab.cpp. */
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`;
const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const spaces = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const [start, signs] = ['[^\\r\\n\\p{L}\\p{N}]?', ' ?[^\\s\\p{L}\\p{N}]+'];
const llama3Pattern = `${contractions}|${start}\\p{L}+|\\p{N}{1,3}|${signs}[\\r\\n]*|${spaces}`;
const qwen2Pattern = `${contractions}|${start}\\p{L}+|\\p{N}|${signs}[\\r\\n]*|${spaces}`;
const o200kPattern = `${start}${upper}*${lower}+${contractions}?|${start}${upper}+${lower}*${contractions}?|\\p{N}{1,3}|${signs}[\\r\\n/]*|${spaces}`;
const tekkenPattern = `${start}${upper}*${lower}+|${start}${upper}+${lower}*|\\p{N}|${signs}[\\r\\n/]*|${spaces}`;

interface Cutting {
  readonly patterns: readonly string[];
  /** Whether letters and their accents become one first: no file says so, the tokenizer published with the model does. */
  readonly composes?: boolean;
  /** Whether words that are tokens stay whole, whatever the merges say. */
  readonly ignoresMerges?: boolean;
  /** Whether texts begin with the beginning-of-sequence token where the file does not say. */
  readonly addsStart?: boolean;
}

const digitsFirst: Cutting = { patterns: ['\\p{N}', gpt2Pattern] };
const llama3: Cutting = { patterns: [llama3Pattern], ignoresMerges: true, addsStart: true };
const cuttings: Readonly<Record<string, Cutting>> = {
  'gpt-2': { patterns: [gpt2Pattern] },
  olmo: { patterns: [gpt2Pattern] },
  smollm: digitsFirst,
  starcoder: digitsFirst,
  'llama-bpe': llama3,
  llama3,
  'llama-v3': llama3,
  dbrx: { patterns: [llama3Pattern] },
  'smaug-bpe': { patterns: [llama3Pattern] },
  qwen2: { patterns: [qwen2Pattern], composes: true },
  'deepseek-r1-qwen': { patterns: [qwen2Pattern] },
  'gpt-4o': { patterns: [o200kPattern] },
  tekken: { patterns: [tekkenPattern], ignoresMerges: true },
};

export interface TokenizerFiles {
  readonly json: JsonRecord;
  readonly options: JsonRecord;
}

/** null when the file has no tokenizer. @throws UserError when it is of an unknown kind or contradicts itself */
export function tokenizerOfGguf(gguf: Gguf): TokenizerFiles | null {
  const metadata = new Metadata(gguf);
  const model = metadata.maybeText('tokenizer.ggml.model');
  if (model === undefined || model === 'none') return null;
  const tokens = metadata.texts('tokenizer.ggml.tokens');
  if (model === 'gpt2') return filesOf(metadata, tokens, byteLevel(metadata, tokens));
  if (model === 'llama') return filesOf(metadata, tokens, sentencePiece(metadata, tokens));
  throw metadata.invalid('tokenizer.ggml.model', 'gpt2 or llama');
}

/** Jinja text as published with the model; null where there is none. */
export function chatTemplateOfGguf(gguf: Gguf): string | null {
  return new Metadata(gguf).maybeText('tokenizer.chat_template') ?? null;
}

interface Parts {
  readonly fields: JsonRecord;
  readonly addsStart: boolean;
}

function filesOf(
  metadata: Metadata,
  tokens: readonly string[],
  { fields, addsStart }: Parts,
): TokenizerFiles {
  const idOf = (name: string) => {
    const id = metadata.maybeNumber(`tokenizer.ggml.${name}_token_id`);
    if (id !== undefined && tokens[id] === undefined)
      throw metadata.invalid(`tokenizer.ggml.${name}_token_id`, `one of ${tokens.length} tokens`);
    return id;
  };
  const [bos, eos] = [idOf('bos'), idOf('eos')];
  const around = [
    ...((metadata.maybeFlag('tokenizer.ggml.add_bos_token') ?? addsStart) && bos !== undefined ? [bos] : []),
    null,
    ...((metadata.maybeFlag('tokenizer.ggml.add_eos_token') ?? false) && eos !== undefined ? [eos] : []),
  ];
  return {
    json: {
      version: '1.0',
      added_tokens: addedTokens(metadata, tokens),
      ...fields,
      post_processor: addingTokens(around, tokens),
    },
    options: {
      ...(bos !== undefined && { bos_token: tokens[bos] }),
      ...(eos !== undefined && { eos_token: tokens[eos] }),
    },
  };
}

/** Token types: 3 for control, 4 for those that were added by hand. */
function addedTokens(metadata: Metadata, tokens: readonly string[]): JsonRecord[] {
  if (!metadata.has('tokenizer.ggml.token_type')) return [];
  return metadata.numbers('tokenizer.ggml.token_type').flatMap((type, id) =>
    (type === 3 || type === 4) && tokens[id] !== undefined
      ? [
          {
            ...{ id, content: tokens[id], special: type === 3 },
            ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
          },
        ]
      : [],
  );
}

/** @param around ids, and null for the text */
function addingTokens(around: readonly (number | null)[], tokens: readonly string[]): JsonRecord | null {
  if (around.length === 1) return null;
  const ids = around.filter((id) => id !== null);
  const single = around.map((id) =>
    id === null ? { Sequence: { id: 'A', type_id: 0 } } : { SpecialToken: { id: tokens[id], type_id: 0 } },
  );
  return {
    type: 'TemplateProcessing',
    single,
    pair: [...single, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: Object.fromEntries(
      ids.map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}

function vocabularyOf(metadata: Metadata, tokens: readonly string[]): Record<string, number> {
  const vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
  if (tokens.length > 0) return vocabulary;
  throw metadata.invalid('tokenizer.ggml.tokens', 'at least one token');
}

function byteLevel(metadata: Metadata, tokens: readonly string[]): Parts {
  const name = metadata.maybeText('tokenizer.ggml.pre') ?? 'gpt-2';
  if (!Object.hasOwn(cuttings, name))
    throw metadata.invalid('tokenizer.ggml.pre', `one of ${Object.keys(cuttings).join(', ')}`);
  const { patterns, composes = false, ignoresMerges = false, addsStart = false } = cuttings[name];
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const isolated = (Regex: string) => ({
    ...{ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
  });
  return {
    addsStart,
    fields: {
      normalizer: composes ? { type: 'NFC' } : null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [...patterns.map(isolated), bytes] },
      decoder: bytes,
      model: {
        ...{ type: 'BPE', ignore_merges: ignoresMerges, byte_fallback: false, fuse_unk: false },
        vocab: vocabularyOf(metadata, tokens),
        merges: metadata.texts('tokenizer.ggml.merges').map((merge) => pairOf(merge, metadata)),
      },
    },
  };
}

function pairOf(merge: string, metadata: Metadata): [string, string] {
  const space = merge.indexOf(' ', 1); // a token may begin with what stands for a space, never with one
  if (space > 0 && space < merge.length - 1) return [merge.slice(0, space), merge.slice(space + 1)];
  throw metadata.invalid('tokenizer.ggml.merges', `pairs of tokens, not ${quote(merge)}`);
}

/** A space is a letter of its own there, and what is no token is spelt in bytes. */
function sentencePiece(metadata: Metadata, tokens: readonly string[]): Parts {
  const scores = metadata.numbers('tokenizer.ggml.scores');
  if (scores.length !== tokens.length) throw metadata.invalid('tokenizer.ggml.scores', 'one per token');
  const addsSpace = metadata.maybeFlag('tokenizer.ggml.add_space_prefix') ?? true;
  const unknown = metadata.maybeNumber('tokenizer.ggml.unknown_token_id');
  const replace = (from: string, content: string) => ({
    type: 'Replace',
    pattern: { String: from },
    content,
  });
  const vocabulary = vocabularyOf(metadata, tokens);
  return {
    addsStart: true,
    fields: {
      normalizer: {
        type: 'Sequence',
        normalizers: [...(addsSpace ? [{ type: 'Prepend', prepend: '▁' }] : []), replace(' ', '▁')],
      },
      pre_tokenizer: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          ...[replace('▁', ' '), { type: 'ByteFallback' }, { type: 'Fuse' }],
          ...(addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
        ],
      },
      model: {
        ...{ type: 'BPE', byte_fallback: true, fuse_unk: true, ignore_merges: false },
        unk_token: unknown === undefined ? null : (tokens[unknown] ?? null),
        vocab: vocabulary,
        merges: mergesByScore(tokens, scores, new Map(tokens.map((token, id) => [token, id]))),
      },
    },
  };
}

/**
 * Every way to put a token together from two others, the best token first. As transformers' `generate_merges` of
 * `convert_slow_tokenizer.py`; tokens longer than a word are left out, since spaces and line ends would make thousands.
 */
function mergesByScore(
  tokens: readonly string[],
  scores: readonly number[],
  idOf: ReadonlyMap<string, number>,
): [string, string][] {
  const longest = 64;
  const merges: { left: string; right: string; score: number; ids: readonly [number, number] }[] = [];
  for (const [id, token] of tokens.entries()) {
    const letters = [...token.slice(0, 2 * longest)];
    if (letters.length > longest) continue;
    let left = '';
    for (const letter of letters.slice(0, -1)) {
      left += letter;
      const right = token.slice(left.length);
      const ids = [idOf.get(left), idOf.get(right)];
      if (ids[0] !== undefined && ids[1] !== undefined)
        merges.push({ left, right, score: scores[id], ids: [ids[0], ids[1]] });
    }
  }
  merges.sort(
    (a, b) =>
      b.score - a.score ||
      b.left.length - a.left.length ||
      b.right.length - a.right.length ||
      a.ids[0] - b.ids[0] ||
      a.ids[1] - b.ids[1],
  );
  return merges.map(({ left, right }) => [left, right]);
}
