/** `specoffload profile`: measures this machine's lanes into a machine file. */

import { statfs } from 'node:fs/promises';
import { cpus } from 'node:os';
import {
  type Checkpoint,
  type DecodingRates,
  measureDecoding,
  measureUnpacking,
  multipliedElements,
  type Pace,
  parseMachineModel,
  transferLane,
  UserError,
} from '@specoffload/engine';
import { writeWholeFile } from '@specoffload/input';
import { codecs, plainCodecs, type WeightDtype } from '@specoffload/native';
import type { Command } from 'commander';
import { meanPace } from '../../accuracy/pace.js';
import { paceIn, paceJob } from '../../accuracy/pace-job.js';
import type { LocalSettings } from '../../inputs/caps.js';
import { usualDevice } from '../../inputs/devices.js';
import { prepareTarget } from '../../inputs/inflated-target.js';
import { openPair } from '../../inputs/pair.js';
import { loadWorkload } from '../../inputs/prompts.js';
import { cacheDirectory, displayPath, localMachinePath, pairPaths } from '../../paths.js';
import { buildMachineFile } from '../../profile/machine-file.js';
import { measureRuns, numProfilePrompts, profileJobs, withPaceRuns } from '../../profile/measure.js';
import { specOfRun } from '../../store/index.js';
import { formatRate, formatSeconds } from '../../terminal/format.js';
import { describeProgress, type Output } from '../../terminal/output.js';
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
  const startMs = performance.now();
  const settings = toMachineSettings(options);
  const targetDirectory = options.target ?? (await shippedTarget(output, signal)).directory;
  const { target, draft, tokenizer } = await openPair(targetDirectory, options.draft);
  const vocabulary = { size: target.spec.vocabSize, tokenizer };
  const workload = await loadWorkload(options.workload, numProfilePrompts, vocabulary);
  const { length: numPrompts } = workload.prompts;
  if (numPrompts < numProfilePrompts)
    throw new UserError(
      `the workload ${options.workload} has ${numPrompts} prompts; a profile needs ${numProfilePrompts}, name a larger one`,
    );
  const follower = output.follow();
  const shared = { target, draft, tokenizer, workload, machine: settings };
  const [own, pace] = [profileJobs(shared), paceJob(shared)];
  const jobs = withPaceRuns(own, pace);
  const all = await measureRuns({
    ...{ jobs, signal },
    onRun: ({ strategy, workload: { prompts }, policy: { candidates } }, index) =>
      output.note(
        `profile ${index + 1}/${jobs.length}: ${strategy}, ${prompts.length} sequences${candidates ? `, ${candidates} candidates` : ''}`,
      ),
    onProgress: (progress) => follower.update(() => describeProgress('profile', progress)),
    onAgain: (reason) => output.note(`profile: ${reason}; measuring again`),
  }).finally(() => follower.end());
  const measurements = all.filter((_, index) => jobs[index] !== pace);
  const paced = all.filter((_, index) => jobs[index] === pace);
  const [{ model }] = cpus();
  const { blocks, bsize } = await statfs(targetDirectory);
  const rates = buildMachineFile(
    {
      name: 'local',
      description: `${model.trim()}, ${describeDevice(settings)} for the device lane and ${settings.hostCores} for the host's, measured with ${target.name}`,
      settings,
      specs: own.map((job, index) => ({
        ...specOfRun(job),
        conditions: measurements[index].conditions,
      })),
      diskBytes: blocks * bsize,
      draftElements: multipliedElements(draft as Checkpoint),
      ...(isPlain(target) && { decoding: await measureDecodings() }),
    },
    measurements.map(({ measured }) => measured),
  );
  const machine = parseMachineModel(rates, options.out);
  const paces: Pace[] = [];
  for (const { measured } of paced) paces.push(await paceIn(pace, measured, machine, signal));
  const file = { ...(rates as object), pace: meanPace(paces) };
  parseMachineModel(file, options.out); // what can't be read back is not written
  await writeWholeFile(options.out, `${JSON.stringify(file, null, 2)}\n`, { remedy: outRemedy });
  const seconds = (performance.now() - startMs) / 1000;
  const rateOf = (lane: string) => formatRate(transferLane(machine, lane).bytesPerSecond);
  output.say(
    `disk ${rateOf('disk')}, link ${rateOf('link')}; ` +
      `measured in ${formatSeconds(seconds)}, written to ${displayPath(options.out)}`,
  );
  const numDisturbed = all.filter(({ conditions }) => conditions?.isDisturbed).length;
  if (numDisturbed > 0)
    output.say(
      `${numDisturbed} of ${all.length} runs came while the machine did something else as well, however often they were measured: its rates are better than these; profile again when it is left alone`,
    );
  output.document({ path: options.out, seconds, machine: file });
}

/** Whether its arithmetic was measured without decoding. */
function isPlain({ tensors }: Checkpoint): boolean {
  return [...tensors.values()].every(({ dtype }) => Object.hasOwn(plainCodecs, dtype));
}

/** Of every way to store weights that has to be decoded, a few milliseconds each. */
async function measureDecodings(): Promise<DecodingRates> {
  const names = Object.keys(codecs) as WeightDtype[];
  const decoded = names.filter((dtype) => !Object.hasOwn(plainCodecs, dtype));
  const rates = Object.fromEntries(decoded.map((dtype) => [dtype, measureDecoding(dtype, 50)]));
  // Products unpack to bf16 alone, and while they wait for memory: no slower, whatever else the machine does just now.
  const { bf16_packed: alone, ...others } = rates;
  const unpacking = await measureUnpacking();
  return { ...others, ...(unpacking !== undefined && { bf16_packed: Math.max(unpacking, alone) }) };
}

function describeDevice({ device, deviceCores }: LocalSettings): string {
  return device === usualDevice ? `${deviceCores} core(s)` : device;
}

function shippedTarget(output: Output, signal: AbortSignal): Promise<Checkpoint> {
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes: defaultTargetBytes };
  return prepareTarget(request, output, signal);
}
