/** The flags that `run` and `chat` share: models, how much is written, and what programs read. */

import { type StrategyName, strategyNames } from '@specoffload/engine';
import type { Command } from 'commander';
import { displayPath, pairPaths } from '../../paths.js';
import { oneOf, wholeNumber } from './common.js';
import { addDrafterOption, type DrafterOptions } from './draft-use.js';
import { addMachineOptions, type MachineOptions } from './machine-options.js';
import { addPolicyOptions, type PolicyOptions } from './policy-options.js';
import { addSamplingOptions, type SamplingOptions } from './sampling-options.js';

export interface GenerationOptions extends DrafterOptions, MachineOptions, PolicyOptions, SamplingOptions {
  readonly target: string;
  readonly draft: string;
  readonly strategy?: StrategyName;
  readonly newTokens: number;
  readonly seed: number;
  readonly jsonl?: true;
}

/** What differs in the words of their help. */
export interface GenerationWords {
  readonly usualStrategy: string;
  /** Who is asked for new tokens: a sequence, or a reply. */
  readonly newTokensOf: string;
  readonly usualNewTokens: number;
  /** The temperature where no flag says how tokens are drawn. */
  readonly usualDraws?: string;
  /** What a line of JSON is printed for. */
  readonly lineFor: string;
}

export function addGenerationOptions(command: Command, words: GenerationWords): Command {
  const { usualStrategy, newTokensOf, usualNewTokens, usualDraws, lineFor } = words;
  command
    .option(
      '--target <path>',
      'target: a checkpoint directory or a .gguf file',
      displayPath(pairPaths.target),
    )
    .option('--draft <path>', 'draft: the same', displayPath(pairPaths.draft))
    .option(
      '--strategy <name>',
      `${strategyNames.join(', ')} (default: ${usualStrategy})`,
      oneOf('--strategy', strategyNames),
    )
    .option(
      '--new-tokens <n>',
      `most new tokens ${newTokensOf}`,
      wholeNumber('--new-tokens', 1, 1 << 20),
      usualNewTokens,
    )
    .option('--seed <n>', 'of what is drawn', wholeNumber('--seed', 0, 2 ** 31 - 1), 0)
    .option(
      '--jsonl',
      `print a line of JSON for each ${lineFor} on standard output: prompt, completion, why it ended; all else on standard error`,
    );
  addDrafterOption(command);
  addSamplingOptions(command, usualDraws);
  addPolicyOptions(command);
  return addMachineOptions(command);
}
