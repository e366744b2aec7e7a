/** `tokens.jsonl`: what each prompt was continued with. */

import { join } from 'node:path';
import type { GeneratedSequence, Tokenizer } from '@specoffload/engine';
import { type Checked, check, is, maybeReadText, parseJson, UserError } from '@specoffload/input';
import { displayPath } from '../paths.js';
import { count } from './words.js';

const margins = is.listOf(is.amount);
const tokensLine = is.that(
  is.fields({
    /** 0-based, in the order of the run. */
    prompt: count,
    promptIds: is.listOf(count),
    /** New tokens. */
    ids: is.listOf(count),
    /** Of the new tokens; absent where the target has no tokenizer. */
    text: is.orMissing(is.anyText),
    /** Top-1 minus top-2 logit of the target at each new token. */
    margins,
    /** Smallest lead of the last chosen expert over the best other one, at each new token; absent if dense. */
    routerMargins: is.orMissing(margins),
    stopReason: is.oneOf(['eos', 'stop', 'length']),
  }),
  (line) =>
    [line.margins, line.routerMargins ?? line.margins].every(({ length }) => length === line.ids.length),
  'a margin for each of its ids',
);
export type TokensLine = Checked<typeof tokensLine>;

export function formatTokens(
  prompts: readonly (readonly number[])[],
  sequences: readonly GeneratedSequence[],
  tokenizer: Tokenizer | null,
): string {
  return sequences
    .map((sequence, prompt) => {
      const line: TokensLine = {
        prompt,
        promptIds: prompts[prompt],
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
const remedy = 'remove its folder, and run it again';

/**
 * `tokens.jsonl` of a run's folder, read back.
 * @throws UserError when it is missing, or a line is not what {@link formatTokens} writes
 */
export async function readTokens(folder: string): Promise<TokensLine[]> {
  const path = displayPath(join(folder, 'tokens.jsonl'));
  const text = await maybeReadText(path, mostTokensBytes);
  if (text === null) throw new UserError(`there is no ${path}; ${remedy}`);
  return parseTokens(text, path);
}

/** @param source named in messages */
export function parseTokens(text: string, source: string): TokensLine[] {
  return text
    .split('\n')
    .map((line, index) => ({ line, where: `${source} line ${index + 1}` }))
    .filter(({ line }) => line !== '')
    .map(({ line, where }) => {
      const tokens = parseJson(line, where, {}, remedy);
      return check(tokensLine, tokens, where, { whole: 'line', remedy });
    });
}
