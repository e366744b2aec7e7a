/** `tokens.jsonl`: what each prompt was continued with. */

import { join } from 'node:path';
import type { GeneratedSequence, Tokenizer } from '@specoffload/engine';
import { isRecord, maybeReadText, parseJson, UserError } from '@specoffload/input';
import { displayPath } from '../paths.js';

export interface TokensLine {
  /** 0-based, in the order of the run. */
  readonly prompt: number;
  readonly promptIds: readonly number[];
  /** New tokens. */
  readonly ids: readonly number[];
  /** Of the new tokens; absent where the target has no tokenizer. */
  readonly text?: string;
  /** Top-1 minus top-2 logit of the target at each new token. */
  readonly margins: readonly number[];
  /** Smallest lead of the last chosen expert over the best other one, at each new token; absent if dense. */
  readonly routerMargins?: readonly number[];
  readonly stopReason: 'eos' | 'length';
}

export function formatTokens(
  prompts: readonly (readonly number[])[],
  sequences: readonly GeneratedSequence[],
  tokenizer: Tokenizer | null,
): string {
  return sequences
    .map((sequence, prompt) => {
      const line: TokensLine = {
        prompt,
        promptIds: prompts[prompt]!,
        ids: sequence.ids,
        ...(tokenizer && { text: tokenizer.decode(sequence.ids) }),
        margins: sequence.margins,
        ...(sequence.routerMargins.every(Number.isFinite) && { routerMargins: sequence.routerMargins }),
        stopReason: sequence.stopReason,
      };
      return `${JSON.stringify(line)}\n`;
    })
    .join('');
}

const mostTokensBytes = 1 << 28;

/**
 * `tokens.jsonl` of a run's folder, read back.
 * @throws UserError when it is missing, or a line is not what {@link formatTokens} writes
 */
export async function readTokens(folder: string): Promise<TokensLine[]> {
  const path = displayPath(join(folder, 'tokens.jsonl'));
  const text = await maybeReadText(path, mostTokensBytes);
  if (text === null) throw new UserError(`there is no ${path}; remove its folder, and run it again`);
  return parseTokens(text, path);
}

/** @param source named in messages */
export function parseTokens(text: string, source: string): TokensLine[] {
  return text
    .split('\n')
    .map((line, index) => ({ line, where: `${source} line ${index + 1}` }))
    .filter(({ line }) => line !== '')
    .map(({ line, where }) => {
      const tokens = parseJson(line, where, {}, 'remove its folder, and run it again');
      if (isTokensLine(tokens)) return tokens;
      throw new UserError(
        `${where} holds no tokens of a prompt; expected what a run writes, remove its folder and run it again`,
      );
    });
}

function isTokensLine(value: unknown): value is TokensLine & Record<string, unknown> {
  if (!isRecord(value)) return false;
  const { prompt, promptIds, ids, text, margins, routerMargins, stopReason } = value;
  return (
    isId(prompt) &&
    isListOf(promptIds, isId) &&
    isListOf(ids, isId) &&
    (text === undefined || typeof text === 'string') &&
    isListOf(margins, isMargin, ids.length) &&
    (routerMargins === undefined || isListOf(routerMargins, isMargin, ids.length)) &&
    (stopReason === 'eos' || stopReason === 'length')
  );
}

function isListOf(value: unknown, isItem: (item: unknown) => boolean, length?: number): value is unknown[] {
  return Array.isArray(value) && (length === undefined || value.length === length) && value.every(isItem);
}

function isId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isMargin(value: unknown): boolean {
  return Number.isFinite(value) && (value as number) >= 0;
}
