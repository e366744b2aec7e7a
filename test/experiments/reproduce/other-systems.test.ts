/** HeteGen and APEX on machines from data sheets: how far predictions are from what was published. */

import {
  describeCatalogModel,
  type PolicyInput,
  type SimulationRequest,
  simulateRun,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { openMachine } from '../../../experiments/src/inputs/machines.js';
import {
  readPublishedApex,
  readPublishedHetegen,
  servedTokensPerSecond,
} from '../../../experiments/src/reproduce/other-systems.js';
import { hetegen } from '../../../experiments/src/sweep/experiments/hetegen.js';

it("has each of HeteGen's ideas bring within 15 points of what was published", async () => {
  const { ablation } = await readPublishedHetegen();
  const machine = await openMachine('a10-hetegen');
  const target = describeCatalogModel('opt-13b');
  const { balance, prefetchDepth, residents } = hetegen.settings;
  const settingsOf = (label: string) =>
    hetegen.axes.system!.find(
      (choice) => typeof choice === 'object' && 'label' in choice && choice.label === label,
    );
  const rateOf = async (label: string) => {
    const choice = settingsOf(label) as { readonly settings: PolicyInput };
    const policy = { balance, prefetchDepth, residents, ...choice.settings } as PolicyInput;
    const job = { target, draft: null, promptLengths: [512], maxNewTokens: 16, strategy: 'hetegen' } as const;
    return (await simulateRun({ ...job, machine, policy })).phases.decode.seconds;
  };
  const full = await rateOf('HeteGen');
  expect(ablation).toHaveLength(4);
  for (const { without, percentOfFull } of ablation) {
    const percent = (100 * full) / (await rateOf(`without ${without}`));
    expect(Math.abs(percent - percentOfFull), without).toBeLessThan(15);
  }
});

describe('APEX', () => {
  const settings: PolicyInput = {
    ...{ pinnedLayers: 4096, prefetchDepth: 0, prefillOrder: 'batch-major', prefillBatch: 4 },
    prefillAttention: 'device',
  };
  const sizes = {
    'a10-apex': { target: 'llama-3.1-8b', promptTokens: 512, numOnDevice: 48, numOnHost: 144 },
    't4-apex': { target: 'llama-2-7b', promptTokens: 128, numOnDevice: 4, numOnHost: 32 },
  } as const;
  const served = async (name: keyof typeof sizes, policy: PolicyInput | null) => {
    const { target, promptTokens, numOnDevice, numOnHost } = sizes[name];
    const numPrompts = policy ? numOnDevice + numOnHost : numOnDevice;
    const alone: PolicyInput = { attention: 'device', cache: 'device', decodeBatch: numOnDevice };
    const request: SimulationRequest = {
      ...{
        target: describeCatalogModel(target),
        draft: null,
        machine: await openMachine(name),
        maxNewTokens: 12,
      },
      promptLengths: new Array(numPrompts).fill(promptTokens),
      strategy: policy ? 'apex' : 'none',
      policy: { ...settings, ...(policy ? { microBatch: numOnDevice, ...policy } : alone) },
    };
    const result = await simulateRun(request);
    return (outputTokens: number) => servedTokensPerSecond(result, numPrompts, outputTokens);
  };

  it('gains on both machines, more on the T4, and the more the longer the answers', async () => {
    const { gains } = await readPublishedApex();
    const [a10, t4] = await Promise.all(
      (['a10-apex', 't4-apex'] as const).map(async (name) => {
        const [alone, apart] = [await served(name, null), await served(name, { overlap: 'asynchronous' })];
        return (outputTokens: number) => 100 * (apart(outputTokens) / alone(outputTokens) - 1);
      }),
    );
    const lengths = [50, 125, 350, 800].map((length) => a10!(length));
    expect([...lengths].sort((a, b) => a - b)).toEqual(lengths);
    expect(lengths[0]).toBeGreaterThan(0);
    const publishedOn = (machine: string) =>
      gains.find((gain) => gain.machine === machine && gain.over === 'device only')!;
    expect(a10!(350)).toBeGreaterThan(publishedOn('a10-apex').leastPercent);
    expect(a10!(350)).toBeLessThan(publishedOn('a10-apex').mostPercent);
    expect(t4!(125)).toBeGreaterThan(50);
    expect(t4!(125)).toBeLessThan(publishedOn('t4-apex').mostPercent + 15);
  });
});
