/** `specoffload run`: one run of one strategy, with everything settable, ending in a record. */

import { type StrategyName, strategyNames, UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { defaultResultsDirectory, displayPath, pairPaths } from '../paths.js';
import { type CommandContext, type CommonOptions, oneOf, wholeNumber, withCommonOptions } from './common.js';
import { addMachineOptions, type MachineOptions, toMachineSettings } from './machine-options.js';
import { addPolicyOptions, type PolicyOptions, toPolicyInput } from './policy-options.js';

export interface RunCommandOptions extends CommonOptions, MachineOptions, PolicyOptions {
  readonly target: string;
  readonly draft: string;
  readonly prompts: string;
  readonly numPrompts?: number;
  readonly strategy: StrategyName;
  readonly newTokens: number;
  /** False with `--no-eos`. */
  readonly eos: boolean;
  readonly seed: number;
  readonly repeat: number;
  readonly results: string;
}

export function addRunCommand(program: Command, _context: CommandContext): void {
  const command = program
    .command('run')
    .description(
      'generate with a target that streams from disk; write the record, the timeline and the tokens',
    )
    .option('--target <dir>', 'target checkpoint directory', displayPath(pairPaths.target))
    .option('--draft <dir>', 'draft checkpoint directory', displayPath(pairPaths.draft))
    .option(
      '--prompts <which>',
      'a workload (code, prose, dialogue, reference) or a file: .txt with a prompt per line, ' +
        '.jsonl with {"prompt": "…"} or {"ids": […]} per line',
      'code',
    )
    .option(
      '--num-prompts <n>',
      'how many of them (default: 16 of a workload, all of a file)',
      wholeNumber('--num-prompts', 1, 4096),
    )
    .option('--strategy <name>', strategyNames.join(', '), oneOf('--strategy', strategyNames), 'specoffload')
    .option('--new-tokens <n>', 'most new tokens per sequence', wholeNumber('--new-tokens', 1, 1 << 20), 32)
    .option('--no-eos', 'go on past the end-of-sequence token')
    .option('--seed <n>', 'recorded with the run', wholeNumber('--seed', 0, 2 ** 31 - 1), 0)
    .option('--repeat <n>', 'first number to try for this repeat', wholeNumber('--repeat', 0, 1 << 20), 0)
    .option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
  addPolicyOptions(command);
  addMachineOptions(command);
  withCommonOptions(
    command,
    'specoffload run --strategy serial --prompts code --num-prompts 4 --new-tokens 32',
    'specoffload run --target mixtral/ --draft mistral/ --prompts mine.txt --device-memory 24GiB --host-memory 64GiB',
  ).action(async (options: RunCommandOptions) => {
    toPolicyInput(options);
    toMachineSettings(options);
    throw new UserError('run is not built yet');
  });
}
