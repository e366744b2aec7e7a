/** `specoffload bench`: how close the engine comes to the limits of this machine. */

import type { Command } from 'commander';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';

interface BenchCommandOptions extends CommonOptions {
  readonly quick?: true;
}

export function addBenchCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('bench')
    .description('measure the engine against the limits of this machine')
    .option('--quick', 'the small version');
  withCommonOptions(command, 'specoffload bench --quick').action(async (options: BenchCommandOptions) => {
    const { runBenchmarks } = await import('../../bench/main.js');
    await runBenchmarks({
      quick: options.quick === true,
      output: outputFor(options),
      signal: context.signal,
    });
  });
}
