/** `specoffload model inflate`: the same function in a bigger checkpoint. */

import { openCheckpoint, summarise } from '@specoffload/engine';
import type { Command } from 'commander';
import { inflateWithProgress } from '../../inputs/inflated-target.js';
import { parseBytes } from '../../inputs/sizes.js';
import { UsageError } from '../../terminal/errors.js';
import { formatBytes, formatCount, formatSeconds } from '../../terminal/format.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';

interface InflateCommandOptions extends CommonOptions {
  readonly source: string;
  readonly target: string;
  readonly bytes?: string;
  readonly layers?: number;
  readonly experts?: number;
  readonly ffn?: number;
  readonly seed: number;
}

export function addInflateCommand(model: Command, context: CommandContext): void {
  const command = model
    .command('inflate')
    .description('write a bigger checkpoint that computes the same function')
    .requiredOption('--source <path>', 'checkpoint to start from, or a GGUF file')
    .requiredOption('--target <path>', 'directory to write (a .gguf file of a GGUF source); must not exist')
    .option('--bytes <size>', 'bytes of all tensors to aim for, such as 2GB')
    .option('--layers <n>', 'layers of the result', wholeNumber('--layers', 1, 4096))
    .option('--experts <n>', 'experts per layer of the result', wholeNumber('--experts', 1, 1024))
    .option('--ffn <n>', 'FFN (or expert) width of the result', wholeNumber('--ffn', 1, 1 << 20))
    .option('--seed <n>', 'seed of the weights that are added', wholeNumber('--seed', 0, 2 ** 31 - 1), 0);
  withCommonOptions(
    command,
    'specoffload model inflate --source experiments/pair/target --target big --bytes 2GB',
  ).action(async (options: InflateCommandOptions) => {
    const { target: targetDirectory, layers, experts, ffn: ffnSize, seed } = options;
    const bytes = options.bytes === undefined ? undefined : parseBytes('--bytes', options.bytes);
    if ([bytes, layers, experts, ffnSize].every((value) => value === undefined))
      throw new UsageError('nothing to inflate to: give --bytes, --layers, --experts or --ffn');
    const source = await openCheckpoint(options.source);
    const output = outputFor(options);
    const startMs = performance.now();
    const { signal } = context;
    const target = await inflateWithProgress(
      { source, targetDirectory, bytes, layers, experts, ffnSize, seed, signal },
      output,
    );
    const seconds = (performance.now() - startMs) / 1000;
    const config = summarise(target.spec);
    output.say(
      `${targetDirectory}: ${formatBytes(target.bytes)} in ${formatSeconds(seconds)}, ` +
        `${config.numLayers} layers, ${config.numExperts} experts ${formatCount(config.ffnSize)} wide`,
    );
    const { name, digest, parameters } = target;
    output.document({
      directory: targetDirectory,
      name,
      digest,
      parameters,
      bytes: target.bytes,
      config,
      seconds,
    });
  });
}
