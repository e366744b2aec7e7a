/** Prompts by name or from a file: text lines, JSONL with text or token ids, or one JSON list of lists of ids. */

import { basename, extname, join } from 'node:path';
import type { Tokenizer } from '@specoffload/engine';
import { check, is, maybeReadText, parseJson, UserError } from '@specoffload/input';
import { displayPath, pairPaths } from '../paths.js';
import type { EncodeTexts } from './chat.js';

export const workloadNames = ['code', 'prose', 'dialogue', 'reference'] as const;
export type WorkloadName = (typeof workloadNames)[number];

/** How many prompts of a workload a run takes when nobody says. */
const defaultWorkloadPrompts = 16;

/** What prompts are checked against. */
export interface Vocabulary {
  /** Ids are below this. */
  readonly size: number;
  /** null where the target has none: then only ids will do. */
  readonly tokenizer: Tokenizer | null;
  /** How texts become ids. @default the tokenizer's way */
  readonly encode?: EncodeTexts | undefined;
}

export interface Workload {
  /** A workload's name, or the file's. */
  readonly name: string;
  /** Token ids, at least one per prompt. */
  readonly prompts: readonly (readonly number[])[];
}

/** One prompt as written, and where: `prompts.jsonl line 3`. */
interface WrittenPrompt {
  readonly where: string;
  /** One of the two. */
  readonly prompt?: string | undefined;
  readonly ids?: readonly unknown[] | undefined;
}

/**
 * @param which one of {@link workloadNames}, or the path of a `.txt`, `.jsonl` or `.json` file.
 * @param numPrompts the first so many; null for all of a file, or 16 of a workload.
 * @throws UserError naming the line that is wrong.
 */
export async function loadWorkload(
  which: string,
  numPrompts: number | null,
  vocabulary: Vocabulary,
): Promise<Workload> {
  const isShipped = (workloadNames as readonly string[]).includes(which);
  const path = isShipped ? join(pairPaths.workloads, `${which}.jsonl`) : which;
  const written = parsePromptFile(path, await readText(path));
  if (written.length === 0)
    throw new UserError(`${displayPath(path)} holds no prompts; expected one per line`);
  if (numPrompts !== null && numPrompts > written.length)
    throw new UserError(
      `invalid --num-prompts: ${numPrompts}; expected at most ${written.length}, which is all of ${displayPath(path)}`,
    );
  const wanted = numPrompts ?? (isShipped ? defaultWorkloadPrompts : written.length);
  return {
    name: isShipped ? which : basename(path, extname(path)),
    prompts: await toIds(written.slice(0, wanted), vocabulary),
  };
}

/** Prompts that were typed. @throws UserError when the target has no tokenizer, or one of them is no token long */
export async function typedWorkload(texts: readonly string[], vocabulary: Vocabulary): Promise<Workload> {
  const written = texts.map((prompt) => ({ where: '--prompt', prompt }));
  return { name: 'typed', prompts: await toIds(written, vocabulary) };
}

const mostBytes = 1 << 28;

async function readText(path: string): Promise<string> {
  const text = await maybeReadText(path, mostBytes);
  if (text !== null) return text;
  throw new UserError(
    `cannot read prompts from ${path}; expected a file, or one of ${workloadNames.join(', ')}`,
  );
}

function parsePromptFile(path: string, text: string): readonly WrittenPrompt[] {
  const name = basename(path);
  switch (extname(path)) {
    case '.txt':
      return linesOf(text).map(({ line, number }) => ({ where: `${name} line ${number}`, prompt: line }));
    case '.jsonl':
    case '.ndjson':
      return linesOf(text).map(({ line, number }) => parseJsonLine(line, `${name} line ${number}`));
    case '.json':
      return parseJsonList(text, name);
    default:
      throw new UserError(`invalid prompt file: ${path}; expected a name that ends in .txt, .jsonl or .json`);
  }
}

/** Lines that are not blank, numbered from 1 as editors do. */
function linesOf(text: string): { line: string; number: number }[] {
  return text
    .split(/\r?\n/)
    .map((line, i) => ({ line, number: i + 1 }))
    .filter(({ line }) => line.trim() !== '');
}

const line = is.that(
  is.fields({ prompt: is.orMissing(is.text), ids: is.orMissing(is.listOf(is.anything)) }),
  ({ prompt, ids }) => (prompt === undefined) !== (ids === undefined),
  'either a prompt or ids',
);
const lineRemedy = 'write {"prompt": "some text"} or {"ids": [1, 2, 3]}';

function parseJsonLine(text: string, where: string): WrittenPrompt {
  const { prompt, ids } = check(line, parseJson(text, where, {}, lineRemedy), where, { remedy: lineRemedy });
  return { where, prompt, ids };
}

const lists = is.listOf(is.listOf(is.anything));
const listsRemedy = 'write a list of lists of token ids, such as [[1, 2, 3], [4, 5]]';

function parseJsonList(text: string, name: string): readonly WrittenPrompt[] {
  const value = check(lists, parseJson(text, name, {}, listsRemedy), name, { remedy: listsRemedy });
  return value.map((ids, i) => ({ where: `${name} prompt ${i}`, ids }));
}

async function toIds(
  written: readonly WrittenPrompt[],
  { size, tokenizer, encode }: Vocabulary,
): Promise<readonly (readonly number[])[]> {
  const texts = written.flatMap(({ where, prompt }) => {
    if (prompt === undefined || tokenizer !== null) return prompt ?? [];
    throw new UserError(
      `${where} is text, but the target has no tokenizer.json (a model of the catalogue has none); give {"ids": [...]}, name a checkpoint's directory that has the file, or leave prompts to their number and length`,
    );
  });
  const encoded = encode ? await encode(texts) : texts.map((text) => tokenizer!.encode(text));
  const id = is.wholeFrom(0, size - 1);
  const tokens = is.picked({ ids: is.listOf(id, { least: 1, expected: 'at least one token id' }) });
  let next = 0;
  return written.map(({ where, ids }) => {
    const own = ids ?? encoded[next];
    if (!ids) next += 1;
    if (!ids && encoded[next - 1].length === 0)
      throw new UserError(`${where} is a text without a token; write at least a letter to go on from`);
    return check(tokens, { ids: own }, where).ids;
  });
}
