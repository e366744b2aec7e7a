/** `specoffload model inspect`: architecture, parameters, bytes by role and by layer. */

import { UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { type CommandContext, type CommonOptions, withCommonOptions } from './common.js';

export function addInspectCommand(model: Command, _context: CommandContext): void {
  const command = model
    .command('inspect')
    .description('print architecture, parameters, bytes by role and by layer')
    .argument('<directory>', 'checkpoint directory: config.json beside its safetensors files');
  withCommonOptions(command, 'specoffload model inspect experiments/pair/target').action(
    async (_directory: string, _options: CommonOptions) => {
      throw new UserError('model inspect is not built yet');
    },
  );
}
