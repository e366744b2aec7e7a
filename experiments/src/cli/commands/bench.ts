/** `specoffload bench`: how close the engine comes to the limits of this machine. */

import type { Command } from 'commander';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';

interface BenchCommandOptions extends CommonOptions {
  readonly quick?: true;
  /** true: the first. */
  readonly gpu?: number | true;
  readonly acceptance?: true;
}

export function addBenchCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('bench')
    .description('measure the engine against the limits of this machine')
    .option('--quick', 'the small version')
    .option('--acceptance', 'how often each drafter is right on the shipped workloads instead')
    .option(
      '--gpu [number]',
      "a GPU's kernels instead, against its limits; of several that with this number",
      wholeNumber('--gpu', 0, 99),
    );
  withCommonOptions(command, 'specoffload bench --quick').action(async (options: BenchCommandOptions) => {
    const common = { quick: options.quick === true, output: outputFor(options), signal: context.signal };
    if (options.gpu !== undefined) {
      const { runGpuBench } = await import('../../bench/gpu/main.js');
      await runGpuBench({ ...common, index: options.gpu === true ? 0 : options.gpu });
    } else if (options.acceptance) {
      const { benchAcceptance } = await import('../../bench/acceptance.js');
      await benchAcceptance(common);
    } else {
      const { runBenchmarks } = await import('../../bench/main.js');
      await runBenchmarks(common);
    }
  });
}
