/** How long predictions take: one simulated run, and one whole plan, of Mixtral 8x7B on the paper's first machine. */

import {
  type Acceptance,
  analyseSensitivity,
  climbLadder,
  type PlannedPolicy,
  planRun,
  publishedPolicy,
  simulateRun,
} from '@specoffload/engine';
import { formatSeconds } from '../format.js';
import { openMachine } from '../machines.js';
import { openOrDescribeModel } from '../models.js';
import type { Output } from '../output.js';
import { alignFacts } from '../report.js';

export interface PredictionTimes {
  /** Median of the repeats, compiled. */
  readonly simulationSeconds: number;
  /** Search, sensitivities and ladder. */
  readonly planSeconds: number;
  readonly simulated: number;
}

const repeats = 9;

export async function timePredictions(output: Output, signal: AbortSignal): Promise<PredictionTimes> {
  const acceptance: Acceptance = { kind: 'rates', name: '0.7', byPosition: [0.7] };
  const job = {
    target: await openOrDescribeModel('mixtral-8x7b'),
    draft: await openOrDescribeModel('mistral-7b'),
    ...{ machine: await openMachine('env1'), acceptance, maxNewTokens: 32 },
    promptLengths: new Array<number>(2 * 256).fill(437),
  };
  const seconds = async (work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    return (performance.now() - start) / 1000;
  };
  const simulate = () => simulateRun({ ...job, strategy: 'specoffload', policy: publishedPolicy, signal });
  // The first few only show how long Node takes to compile.
  for (let warmUp = 0; warmUp < repeats; warmUp += 1) await simulate();
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) times.push(await seconds(simulate));
  let simulated = 0;
  const planSeconds = await seconds(async () => {
    const plan = await planRun({ ...job, signal });
    const [best] = plan.ranked as [PlannedPolicy];
    await analyseSensitivity(job, best, signal);
    await climbLadder(job, best, publishedPolicy, signal);
    simulated = plan.numSimulated;
  });
  const simulationSeconds = times.sort((a, b) => a - b)[repeats >> 1]!;
  output.say('\npredictions: Mixtral 8x7B, 2 x 256 sequences of 437 tokens, 32 new ones each');
  const facts = alignFacts([
    ['one simulated run', formatSeconds(simulationSeconds)],
    ['a whole plan', `${formatSeconds(planSeconds)}, ${simulated} policies simulated in its search`],
  ]);
  output.say(facts.join('\n'));
  return { simulationSeconds, planSeconds, simulated };
}
