/** `tokens.jsonl`: what each prompt was continued with. */

import type { GeneratedSequence, Tokenizer } from '@specoffload/engine';

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
