/** What is to be done, in two situations, and the ways of doing it: the lab's own, and the planner's for this machine. */

import { existsSync } from 'node:fs';
import { type Checkpoint, largest, type RunResult } from '@specoffload/engine';
import { localSettings } from '../../inputs/caps.js';
import { preparePackedTarget } from '../../inputs/packed-target.js';
import { loadWorkload, type Workload, workloadNames } from '../../inputs/prompts.js';
import { type Job, runPlan } from '../../job/execute.js';
import { openMainJob } from '../../job/main-job.js';
import { defaultResultsDirectory, displayPath, localMachinePath, pairPaths } from '../../paths.js';
import { choosePolicy } from '../../plan/choose-here.js';
import type { RecordedRouting } from '../../plan/recorded-routing.js';
import { profileMachine } from '../../profile/profile-machine.js';
import { plural } from '../../terminal/format.js';
import { describeProgress } from '../../terminal/output.js';
import type { BenchOptions } from '../main.js';
import type { LegName, SituationName } from './verdicts.js';

export interface Situation {
  readonly name: SituationName;
  readonly inWords: string;
  /** One run each, one behind the other. */
  readonly workloads: readonly Workload[];
  readonly job: Omit<Job, 'workload' | 'strategy' | 'policy'>;
}

/** A way of doing it. */
export interface Leg extends Pick<Job, 'strategy' | 'policy' | 'target'> {
  readonly name: LegName;
  readonly drafter?: Job['drafter'];
  /** Tokens per second; null of what the lab does by itself. */
  readonly predicted: number | null;
}

/** Of each workload, those of the main job; the desk's are others. */
const promptsBefore = 2;

export async function openSituations({
  quick,
  output,
  signal,
}: BenchOptions): Promise<{ readonly situations: readonly Situation[]; readonly packed: Checkpoint }> {
  const mainJob = await openMainJob({ quick, results: defaultResultsDirectory }, output, signal);
  const { target, draft, tokenizer, machine, maxNewTokens, stopAtEos, workload } = mainJob;
  const packed = await preparePackedTarget(target, output, signal);
  const job = { target, draft, tokenizer, machine, maxNewTokens, stopAtEos };
  const vocabulary = { size: target.spec.vocabSize, tokenizer };
  const alone = await Promise.all(
    workloadNames.slice(0, quick ? 1 : undefined).map(async (name) => {
      const { prompts } = await loadWorkload(name, promptsBefore + 1, vocabulary);
      return { name, prompts: prompts.slice(promptsBefore) };
    }),
  );
  const situations: Situation[] = [
    {
      ...{ name: 'main', workloads: [workload], job },
      inWords: `the main job, ${plural(workload.prompts.length, 'sequence')} at once`,
    },
    {
      ...{ name: 'desk', workloads: alone, job },
      inWords: `at a desk, one sequence at a time: ${alone.map(({ name }) => name).join(', ')}`,
    },
  ];
  return { situations, packed };
}

/** The first is the reference. */
export function ownLegs({ job: { target } }: Situation): readonly [Leg, ...Leg[]] {
  return [
    { name: 'none', strategy: 'none', policy: {}, target, predicted: null },
    { name: 'serial', strategy: 'serial', policy: {}, target, predicted: null },
    { name: 'serial-8', strategy: 'serial', policy: { candidates: 8 }, target, predicted: null },
  ];
}

/** Rates that are there are taken as they are. */
export async function ensureMachine(
  { directory: target }: Checkpoint,
  { output, signal }: BenchOptions,
): Promise<void> {
  if (existsSync(localMachinePath)) return;
  output.note(`bench: there is no ${displayPath(localMachinePath)}; measuring this machine, once`);
  await profileMachine(
    {
      ...{ target, draft: pairPaths.draft, workload: 'code', out: localMachinePath },
      settings: localSettings({ deviceBytes: 512e6, hostBytes: 512e6 }),
      remedy: 'run specoffload profile with --out',
    },
    output,
    signal,
  );
}

/**
 * What `run --plan --any-drafter --target-format lossless` finds; where that reads packed weights, also what it finds
 * without them. One choice for all sequences of a desk, by the longest of them.
 */
export async function planPicks(
  { name, workloads, job }: Situation,
  packed: Checkpoint,
  recorded: RecordedRouting | null,
  { output, signal }: BenchOptions,
): Promise<readonly Leg[]> {
  const lengths = workloads.flatMap(({ prompts }) => prompts.map(({ length }) => length));
  const promptLengths = name === 'desk' ? [largest(lengths)] : lengths;
  const { target, draft, machine, maxNewTokens } = job;
  const plan = async (leg: LegName, otherwise: { readonly packed?: Checkpoint }): Promise<Leg> => {
    output.note(`bench: ${name}, planning ${leg}`);
    const { strategy, policy, drafter, throughput, targetFormat } = await choosePolicy(
      {
        ...{ target, ...otherwise, draft, machine, maxNewTokens, promptLengths, recorded, signal },
        ...{ machineFile: localMachinePath, anyDrafterOn: 'mixed', proposes: true, fixed: {} },
        ...{ acceptance: null, draftSpeed: null, out: null, confirmation: null },
      },
      output,
    );
    return {
      ...{ name: leg, strategy, policy, target: targetFormat === undefined ? target : packed },
      ...(drafter ? { drafter } : {}),
      predicted: throughput.median,
    };
  };
  const pick = await plan('pick', { packed });
  return pick.target === packed ? [pick, await plan('pick-bf16', {})] : [pick];
}

export async function runLeg(
  { workloads, job }: Situation,
  { name, predicted: _, ...leg }: Leg,
  { output, signal }: BenchOptions,
): Promise<readonly RunResult[]> {
  const results: RunResult[] = [];
  for (const workload of workloads) {
    const follower = output.follow();
    try {
      results.push(
        await runPlan({ ...job, ...leg, workload }, signal, (progress) =>
          follower.update(() => describeProgress(`${name}, ${workload.name}`, progress)),
        ),
      );
    } finally {
      follower.end();
    }
  }
  return results;
}
