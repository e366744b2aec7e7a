/** How long predictions take: one simulated run, and whole plans, of the paper's models on the paper's machines. */

import {
  type Acceptance,
  climbLadder,
  type PlanningJob,
  planRun,
  publishedPolicy,
  relaxResources,
  simulateRun,
} from '@specoffload/engine';
import { openMachine } from '../inputs/machines.js';
import { openOrDescribeModel } from '../inputs/models.js';
import { alignFacts } from '../job/describe-run.js';
import { formatSeconds } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';

export interface PredictionTimes {
  /** One run of SpecOffload as published, compiled: other programs only ever slow it down, so the best says most. */
  readonly simulationSeconds: { readonly best: number; readonly median: number; readonly repeats: number };
  /** Search, decision, relaxations and ladder. */
  readonly plans: readonly PlanTime[];
}

interface PlanTime {
  readonly target: string;
  readonly machine: string;
  readonly seconds: number;
  /** Runs simulated by search and decision. */
  readonly simulated: number;
}

const repeats = 25;
/** Runs that only show how long Node takes to compile. */
const warmUps = 60;
const acceptance: Acceptance = { kind: 'rates', name: '0.7', byPosition: [0.7] };

export async function timePredictions(output: Output, signal: AbortSignal): Promise<PredictionTimes> {
  const small = await openJob('mixtral-8x7b', 'env1', 2 * 256);
  const large = await openJob('mixtral-8x22b', 'env2', 256);
  const simulationSeconds = await timeSimulation(small, signal);
  const plans = [await timePlan(small, signal), await timePlan(large, signal)];
  const { best, median } = simulationSeconds;
  output.say('\npredictions: prompts of 437 tokens, 32 new ones each');
  const facts = alignFacts([
    [
      'one simulated run, mixtral-8x7b, 2 x 256 sequences',
      `${formatSeconds(best)} at best, ${formatSeconds(median)} in the median of ${repeats}`,
    ],
    ...plans.map(({ target, machine, seconds, simulated }): [string, string] => [
      `a whole plan, ${target} on ${machine}`,
      `${formatSeconds(seconds)}, ${simulated} runs simulated by its search and decision`,
    ]),
  ]);
  output.say(facts.join('\n'));
  return { simulationSeconds, plans };
}

async function openJob(target: string, machine: string, numPrompts: number): Promise<PlanningJob> {
  return {
    target: await openOrDescribeModel(target),
    draft: await openOrDescribeModel('mistral-7b'),
    machine: await openMachine(machine),
    promptLengths: new Array<number>(numPrompts).fill(437),
    ...{ acceptance, maxNewTokens: 32 },
  };
}

async function timeSimulation(job: PlanningJob, signal: AbortSignal) {
  const simulate = () => simulateRun({ ...job, strategy: 'specoffload', policy: publishedPolicy, signal });
  for (let warmUp = 0; warmUp < warmUps; warmUp += 1) await simulate();
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) times.push(await secondsOf(simulate));
  times.sort((a, b) => a - b);
  return { best: times[0], median: times[repeats >> 1], repeats };
}

async function timePlan(job: PlanningJob, signal: AbortSignal): Promise<PlanTime> {
  let simulated = 0;
  const seconds = await secondsOf(async () => {
    const plan = await planRun({ ...job, signal });
    await relaxResources(job, plan, { signal });
    await climbLadder(job, plan, { published: publishedPolicy, signal });
    simulated = plan.numPredictions;
  });
  return { target: job.target.name, machine: job.machine.name, seconds, simulated };
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
