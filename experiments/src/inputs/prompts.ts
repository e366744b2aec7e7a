/** Prompts by name or from a file: text lines, JSONL with text or token ids, or one JSON list of lists of ids. */

import { basename, extname, join } from 'node:path';
import type { Tokenizer } from '@specoffload/engine';
import { maybeReadText, parseJson, quote, UserError } from '@specoffload/input';
import { displayPath, pairPaths } from '../paths.js';

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
  readonly content: { readonly text: string } | { readonly ids: readonly number[] };
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
    prompts: written.slice(0, wanted).map((prompt) => toIds(prompt, vocabulary)),
  };
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
      return linesOf(text).map(({ line, number }) => ({
        where: `${name} line ${number}`,
        content: { text: line },
      }));
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

const expectedLine = 'expected {"prompt": "some text"} or {"ids": [1, 2, 3]}';

function parseJsonLine(line: string, where: string): WrittenPrompt {
  const value = parseJson(line, where, {}, expectedLine);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UserError(`${where} is no object; ${expectedLine}`);
  const { prompt, ids } = value as { prompt?: unknown; ids?: unknown };
  if (typeof prompt === 'string' && ids === undefined) return { where, content: { text: prompt } };
  if (Array.isArray(ids) && prompt === undefined) return { where, content: { ids } };
  throw new UserError(`${where} has neither one text nor one list of ids; ${expectedLine}`);
}

function parseJsonList(text: string, name: string): readonly WrittenPrompt[] {
  const expected = 'expected a list of lists of token ids, such as [[1, 2, 3], [4, 5]]';
  const value = parseJson(text, name, {}, expected);
  if (!(Array.isArray(value) && value.every((ids) => Array.isArray(ids))))
    throw new UserError(`${name} is no list of lists; ${expected}`);
  return value.map((ids, i) => ({ where: `${name} prompt ${i}`, content: { ids } }));
}

function toIds({ where, content }: WrittenPrompt, { size, tokenizer }: Vocabulary): readonly number[] {
  if ('text' in content) {
    if (tokenizer === null)
      throw new UserError(
        `${where} is text, but the target has no tokenizer.json; give {"ids": [...]}, or add the file`,
      );
    return assertNotEmpty(tokenizer.encode(content.text), where);
  }
  for (const id of content.ids)
    if (!(Number.isInteger(id) && 0 <= id && id < size))
      throw new UserError(
        `${where}: invalid token id: ${quote(id)}; expected a whole number from 0 to ${size - 1}`,
      );
  return assertNotEmpty(content.ids, where);
}

function assertNotEmpty(ids: readonly number[], where: string): readonly number[] {
  if (ids.length === 0) throw new UserError(`${where} has no tokens; expected at least one`);
  return ids;
}
