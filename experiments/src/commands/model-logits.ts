/** `specoffload model logits`: the last position's logits of each prompt, streamed under a budget like any run. */

import { UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { type CommandContext, type CommonOptions, withCommonOptions } from './common.js';
import { addMachineOptions, type MachineOptions } from './machine-options.js';

export interface LogitsCommandOptions extends CommonOptions, MachineOptions {
  readonly target: string;
  readonly ids: string;
}

export function addLogitsCommand(model: Command, _context: CommandContext): void {
  const command = model
    .command('logits')
    .description("print the logits of each prompt's last position, for comparing with other implementations")
    .requiredOption('--target <dir>', 'checkpoint directory')
    .requiredOption(
      '--ids <file>',
      'prompts as token ids: lines of {"ids": [...]}, or one JSON list of lists',
    );
  addMachineOptions(command);
  withCommonOptions(
    command,
    'specoffload model logits --target experiments/pair/target --ids prompts.jsonl --json',
  ).action(async (_options: LogitsCommandOptions) => {
    throw new UserError('model logits is not built yet');
  });
}
