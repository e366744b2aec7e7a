/** What `sweep` asks of other machines: workers behind a queue, or an array of Slurm jobs. */

import type { Command } from 'commander';
import { displayPath } from '../../paths.js';
import type { Share } from '../../sweep/locate.js';
import type { SweepRequest } from '../../sweep/options.js';
import type { CreateRunner } from '../../sweep/runner.js';
import { asUsage, UsageError } from '../../terminal/errors.js';
import { plural } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { wholeNumber } from './common.js';
import { queueHelp } from './queue-option.js';

export interface OtherMachinesOptions {
  readonly queue?: string;
  readonly label?: string;
  readonly share?: Share;
  readonly slurm?: true;
  readonly tasks?: number;
  readonly sbatch?: string;
}

const usualTasks = 8;

export function addOtherMachinesOptions(command: Command): void {
  command
    .option('--queue <address>', `let workers on any machine run the points: ${queueHelp}`)
    .option('--label <name>', 'with --queue: which machines measure, as specoffload worker calls them')
    .option('--slurm', 'submit an array of Slurm jobs that share the points; with --dry-run print its script')
    .option(
      '--tasks <n>',
      `with --slurm: jobs of the array (default: ${usualTasks})`,
      wholeNumber('--tasks', 1, 10_000),
    )
    .option('--sbatch <options>', 'with --slurm: further options, such as "--partition=long --time=2:00:00"')
    .option('--share <i/n>', 'only the points of one of n equal shares, such as 3/8', parseShare);
}

function parseShare(text: string): Share {
  const [, index, of] = (/^(\d{1,5})\/(\d{1,5})$/.exec(text) ?? []).map(Number);
  if (!(1 <= index && index <= of))
    throw new UsageError(`invalid --share: ${text}; expected i/n with i from 1 to n, such as 3/8`);
  return { index: index - 1, of };
}

/** Loaded where it is asked for: others need not wait for it. */
export async function openQueue({
  queue,
  label,
}: OtherMachinesOptions): Promise<{ readonly createRunner?: CreateRunner }> {
  if (queue === undefined) {
    if (label === undefined) return {};
    throw new UsageError('--label says which workers of a queue measure; say which queue with --queue');
  }
  const { queueRunner } = await import('../../queue/index.js');
  return { createRunner: asUsage(() => queueRunner(queue, label === undefined ? {} : { label })) };
}

/** @returns whether the sweep is Slurm's, and done with here */
export async function maybeSubmit(
  { slurm, tasks = usualTasks, sbatch, queue, share }: OtherMachinesOptions,
  { definition, results, search }: SweepRequest,
  typed: { readonly args: readonly string[]; readonly isDry: boolean },
  output: Output,
): Promise<boolean> {
  if (!slurm) {
    if (tasks === usualTasks && sbatch === undefined) return false;
    throw new UsageError('--tasks and --sbatch say how Slurm runs a sweep; add --slurm');
  }
  if (queue !== undefined || share !== undefined || search !== 'full')
    throw new UsageError(
      '--slurm shares all points among jobs that know nothing of each other; leave --queue, --share and --search out, or start workers as jobs: sbatch --wrap "specoffload worker --queue …"',
    );
  const { argsOfTasks, parseSbatchOptions, submit, writeScript } = await import('../../queue/slurm.js');
  const array = {
    ...{ experiment: definition.name, kind: definition.kind, results, tasks },
    ...{ args: argsOfTasks(typed.args), options: asUsage(() => parseSbatchOptions(sbatch ?? '')) },
  };
  if (typed.isDry) {
    const script = writeScript(array);
    output.say(script.trimEnd());
    output.document({ script });
    return true;
  }
  const job = await submit(array);
  output.say(
    `${definition.name}: job ${job}, ${plural(tasks, 'task')}; records in ${displayPath(results)}. The same command without --slurm runs what is missing then, and ranks`,
  );
  output.document({ job, tasks });
  return true;
}
