/** `specoffload model inflate`: the same function in a bigger checkpoint. */

import { UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { type CommandContext, type CommonOptions, wholeNumber, withCommonOptions } from './common.js';

export interface InflateCommandOptions extends CommonOptions {
  readonly source: string;
  readonly target: string;
  readonly bytes?: string;
  readonly layers?: number;
  readonly experts?: number;
  readonly ffn?: number;
  readonly seed: number;
}

export function addInflateCommand(model: Command, _context: CommandContext): void {
  const command = model
    .command('inflate')
    .description('write a bigger checkpoint that computes the same function')
    .requiredOption('--source <dir>', 'checkpoint to start from')
    .requiredOption('--target <dir>', 'directory to write; must not exist')
    .option('--bytes <size>', 'bytes of all tensors to aim for, such as 2GB')
    .option('--layers <n>', 'layers of the result', wholeNumber('--layers', 1, 4096))
    .option('--experts <n>', 'experts per layer of the result', wholeNumber('--experts', 1, 1024))
    .option('--ffn <n>', 'FFN (or expert) width of the result', wholeNumber('--ffn', 1, 1 << 20))
    .option('--seed <n>', 'seed of the weights that are added', wholeNumber('--seed', 0, 2 ** 31 - 1), 0);
  withCommonOptions(
    command,
    'specoffload model inflate --source experiments/pair/target --target big --bytes 2GB',
  ).action(async (_options: InflateCommandOptions) => {
    throw new UserError('model inflate is not built yet');
  });
}
