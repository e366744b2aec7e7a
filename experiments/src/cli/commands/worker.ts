/** `specoffload worker`: runs points of other processes' sweeps, which it takes from a queue. */

import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { parseSeconds } from '../../inputs/sizes.js';
import { defaultResultsDirectory, displayPath } from '../../paths.js';
import { assertQueueAddress } from '../../queue/address.js';
import { parseClass } from '../../queue/machine-class.js';
import type { Tally } from '../../queue/serve.js';
import { asUsage } from '../../terminal/errors.js';
import { formatCount, plural } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { queueHelp } from './queue-option.js';

interface WorkerCommandOptions extends CommonOptions {
  readonly queue: string;
  readonly parallel?: number;
  readonly label?: string;
  readonly maxIdle?: number;
  readonly results: string;
}

export function addWorkerCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('worker')
    .description('run points that sweeps on any machine have put on a queue, until Ctrl-C')
    .requiredOption('--queue <address>', queueHelp)
    .option(
      '--parallel <n>',
      'predictions at a time (default: one per core)',
      wholeNumber('--parallel', 1, 256),
    )
    .option(
      '--label <name>',
      'what this machine is called; with a label it measures too, for sweeps that ask for that label, and alone then',
    )
    .option('--max-idle <time>', 'leave after so long without work, such as 5min', (text) =>
      parseSeconds('--max-idle', text),
    )
    .option(
      '--results <dir>',
      "record store: where it is the sweep's own, on a folder that both machines see, records are written there; else they are sent whole",
      displayPath(defaultResultsDirectory),
    );
  withCommonOptions(
    command,
    'specoffload worker --queue redis://10.0.0.5:6379 --parallel 8',
    'specoffload worker --queue redis://10.0.0.5:6379 --label desk --results /mnt/lab/results',
  ).action((options: WorkerCommandOptions) => work(options, outputFor(options), context.signal));
}

async function work(
  { queue, parallel = availableParallelism(), label, maxIdle, results }: WorkerCommandOptions,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  asUsage(() => assertQueueAddress(queue));
  const named = label === undefined ? null : asUsage(() => parseClass(label)).label;
  const { serve } = await import('../../queue/serve.js');
  const follower = output.follow();
  const tally = await serve({
    ...{ queue, results, parallel, label: named, signal },
    maxIdleSeconds: maxIdle ?? Number.POSITIVE_INFINITY,
    output: {
      ...output,
      note: (line) => {
        follower.end();
        output.note(line);
      },
    },
    onProgress: (now) => follower.update(() => describeTally(now)),
  }).finally(() => follower.end());
  output.say(describeTally(tally));
  output.document(tally);
}

function describeTally({ running, predicted, measured, failed, givenBack }: Tally): string {
  const parts = [
    `${plural(predicted, 'point')} predicted`,
    ...(measured > 0 ? [`${formatCount(measured)} measured`] : []),
    ...(failed > 0 ? [`${formatCount(failed)} failed`] : []),
    ...(givenBack > 0 ? [`${formatCount(givenBack)} given back`] : []),
    ...(running > 0 ? [`${formatCount(running)} running`] : []),
  ];
  return `worker: ${parts.join(', ')}`;
}
