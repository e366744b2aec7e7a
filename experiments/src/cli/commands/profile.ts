/** `specoffload profile`: measures this machine's lanes into a machine file. */

import { type Checkpoint, transferLane } from '@specoffload/engine';
import type { Command } from 'commander';
import { prepareTarget } from '../../inputs/inflated-target.js';
import { cacheDirectory, displayPath, localMachinePath, pairPaths } from '../../paths.js';
import { profileMachine } from '../../profile/profile-machine.js';
import { formatRate, formatSeconds } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  outRemedy,
  withCommonOptions,
} from './common.js';
import { addMachineOptions, type MachineOptions, toMachineSettings } from './machine-options.js';

interface ProfileOptions extends CommonOptions, MachineOptions {
  readonly target?: string;
  readonly draft: string;
  readonly workload: string;
  readonly out: string;
}

/** The main job's size: large enough that its products are bound by memory, as those of any larger model are. */
const defaultTargetBytes = 2e9;

export function addProfileCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('profile')
    .description("measure this machine's lanes, in about a minute, into a machine file for simulate and plan")
    .option('--target <dir>', 'model to measure with (default: the shipped target, inflated to 2 GB)')
    .option('--draft <dir>', 'its draft', displayPath(pairPaths.draft))
    .option('--workload <name>', 'shipped workload or file whose prompts are run', 'code')
    .option('--out <file>', 'the machine file', displayPath(localMachinePath));
  addMachineOptions(command);
  withCommonOptions(
    command,
    'specoffload profile',
    'specoffload profile --target DIR --out my-machine.json',
  ).action((options: ProfileOptions) => profile(options, outputFor(options), context.signal));
}

async function profile(options: ProfileOptions, output: Output, signal: AbortSignal): Promise<void> {
  const { draft, workload, out } = options;
  const settings = toMachineSettings(options);
  const target = options.target ?? (await shippedTarget(output, signal)).directory;
  const request = { target, draft, workload, settings, out, remedy: outRemedy };
  const profiled = await profileMachine(request, output, signal);
  const { machine, seconds, numRuns, numDisturbed } = profiled;
  const rateOf = (lane: string) => formatRate(transferLane(machine, lane).bytesPerSecond);
  output.say(
    `disk ${rateOf('disk')}, link ${rateOf('link')}; ` +
      `measured in ${formatSeconds(seconds)}, written to ${displayPath(out)}`,
  );
  if (numDisturbed > 0)
    output.say(
      `${numDisturbed} of ${numRuns} runs came while the machine did something else as well, however often they were measured: its rates are better than these; profile again when it is left alone`,
    );
  output.document({ path: out, seconds, machine: profiled.file });
}

function shippedTarget(output: Output, signal: AbortSignal): Promise<Checkpoint> {
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes: defaultTargetBytes };
  return prepareTarget(request, output, signal);
}
