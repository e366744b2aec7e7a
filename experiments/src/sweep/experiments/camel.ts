/**
 * Camel's search for the frequency and the batch of the least cost, in its own setting (arXiv 2508.09173): a Jetson AGX
 * Orin, one request a second, at most 70 tokens. The published digest does not say which request costs 1; here it is
 * one at the highest frequency in the largest batch, which serves most requests a second.
 */

import { largest, simulateRun, withRate } from '@specoffload/engine';
import { defineExperiment, type ExperimentDefinition } from '../../definitions/definition.js';
import { openMachine } from '../../inputs/machines.js';
import { openOrDescribeModel } from '../../inputs/models.js';

const machine = 'jetson-agx-orin-32gb';
const targetFormat = 'q5_k';
const hertz = [306e6, 408e6, 510e6, 612e6, 714e6, 816e6, 930.75e6];
const batches = [4, 8, 12, 16, 20, 24, 28];
/** Alpaca's instructions with the words around them: a few dozen tokens. */
const promptTokens = 48;
const maxNewTokens = 70;
const policy = { attention: 'device', cache: 'device', streaming: 'ahead' } as const;
const requestsPerSecond = 1;

export async function createCamel(name: string, target: string): Promise<ExperimentDefinition> {
  const [mostHertz, mostBatch] = [largest(hertz), largest(batches)];
  const { energy, seconds } = await simulateRun({
    ...{
      target: await openOrDescribeModel(target, 'ffn', targetFormat),
      draft: null,
      strategy: 'none',
      maxNewTokens,
    },
    machine: withRate(await openMachine(machine), 'device.hertz', mostHertz),
    promptLengths: new Array<number>(mostBatch).fill(promptTokens),
    policy: { ...policy, decodeBatch: mostBatch },
  });
  return defineExperiment({
    name,
    question: `At which frequency, and in which batch, does a request of ${target} cost least on a Jetson?`,
    kind: 'simulated',
    metric: 'requestCost',
    lowerIsBetter: true,
    settings: {
      ...{ machine, target, targetFormat, draft: 'none', strategy: 'none', promptTokens, maxNewTokens },
      ...{ ...policy, requestsPerSecond, referenceJoules: energy!.joules / mostBatch },
      referenceSeconds: (mostBatch - 1) / (2 * requestsPerSecond) + seconds,
    },
    axes: { 'machine.device.hertz': hertz, decodeBatch: batches },
    derived: { prompts: 'decodeBatch' },
    baseline: { 'machine.device.hertz': mostHertz, decodeBatch: mostBatch },
    quick: { axes: { 'machine.device.hertz': [612e6, 816e6, mostHertz], decodeBatch: [12, 20, mostBatch] } },
  });
}
