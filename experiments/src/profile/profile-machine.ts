/** This machine, measured by short runs and written to a machine file. */

import { statfs } from 'node:fs/promises';
import { cpus } from 'node:os';
import {
  type Checkpoint,
  type DecodingRates,
  type MachineModel,
  measureDecoding,
  measureUnpacking,
  multipliedElements,
  type Pace,
  parseMachineModel,
  UserError,
} from '@specoffload/engine';
import { writeWholeFile } from '@specoffload/input';
import { codecs, plainCodecs, type WeightDtype } from '@specoffload/native';
import { meanPace } from '../accuracy/pace.js';
import { paceIn, paceJob } from '../accuracy/pace-job.js';
import type { LocalSettings } from '../inputs/caps.js';
import { usualDevice } from '../inputs/devices.js';
import { openPair } from '../inputs/pair.js';
import { loadWorkload } from '../inputs/prompts.js';
import { specOfRun } from '../store/index.js';
import { describeProgress, type Output } from '../terminal/output.js';
import { buildMachineFile } from './machine-file.js';
import { measureRuns, numProfilePrompts, profileJobs, withPaceRuns } from './measure.js';

export interface ProfileRequest {
  /** Directories of the models to measure with. */
  readonly target: string;
  readonly draft: string;
  /** Shipped, or a file whose prompts are run. */
  readonly workload: string;
  readonly settings: LocalSettings;
  /** The machine file. */
  readonly out: string;
  /** What to do where that cannot be written. */
  readonly remedy: string;
}

export interface ProfiledMachine {
  readonly file: object;
  readonly machine: MachineModel;
  readonly seconds: number;
  readonly numRuns: number;
  /** Of those, while the machine did something else as well, however often they were measured. */
  readonly numDisturbed: number;
}

/** @throws UserError where the workload is too small or the file cannot be written */
export async function profileMachine(
  { settings, out, remedy, ...request }: ProfileRequest,
  output: Output,
  signal: AbortSignal,
): Promise<ProfiledMachine> {
  const startMs = performance.now();
  const { target, draft, tokenizer } = await openPair(request.target, request.draft);
  const vocabulary = { size: target.spec.vocabSize, tokenizer };
  const workload = await loadWorkload(request.workload, numProfilePrompts, vocabulary);
  const { length: numPrompts } = workload.prompts;
  if (numPrompts < numProfilePrompts)
    throw new UserError(
      `the workload ${request.workload} has ${numPrompts} prompts; a profile needs ${numProfilePrompts}, name a larger one`,
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
  const { blocks, bsize } = await statfs(request.target);
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
  const machine = parseMachineModel(rates, out);
  const paces: Pace[] = [];
  for (const { measured } of paced) paces.push(await paceIn(pace, measured, machine, signal));
  const file = { ...(rates as object), pace: meanPace(paces) };
  parseMachineModel(file, out); // what can't be read back is not written
  await writeWholeFile(out, `${JSON.stringify(file, null, 2)}\n`, { remedy });
  return {
    ...{ file, machine, seconds: (performance.now() - startMs) / 1000, numRuns: all.length },
    numDisturbed: all.filter(({ conditions }) => conditions?.isDisturbed).length,
  };
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
