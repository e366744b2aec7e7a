/** What `accuracy` compares: runs that draw their tokens with predictions that know which candidates stood, and at which pace. */

import { openCheckpoint, withLane } from '@specoffload/engine';
import { expect, it } from 'vitest';
import { measureAcceptance } from '../../../experiments/src/acceptance/measure.js';
import { comparePoint } from '../../../experiments/src/accuracy/measure.js';
import { openMachine } from '../../../experiments/src/inputs/machines.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { goldenDirectory, readGolden } from '../../engine/model/golden.js';

it('predicts the rounds of a run that draws, from the acceptance of its own draws', async () => {
  const target = await openCheckpoint(goldenDirectory('mixtral'));
  const workload = { name: 'golden', prompts: readGolden('mixtral').prompts.map(({ ids }) => ids) };
  const sampling = { temperature: 0.7, topK: 20, seed: 1 };
  const maxNewTokens = 10;
  const pair = { target, draft: target, workload, sampling };
  const acceptance = await measureAcceptance({ ...pair, newTokens: maxNewTokens, candidates: 3 });
  const { measured, predicted, spec } = await comparePoint(
    {
      ...{ ...pair, maxNewTokens, acceptance, device: 'cpu', diskBytesPerSecond: null },
      machine: await openMachine('env1'),
    },
    { strategy: 'serial', policy: { candidates: 3 }, prompts: workload.prompts.length, budgetShare: 40 },
    createOutput({ write: () => true }, { write: () => true }, false),
    new AbortController().signal,
  );
  // Drawn with the same noise, a draft that is the target is always right.
  expect(measured.acceptance?.rate).toBe(1);
  expect(predicted.acceptance).toEqual(measured.acceptance);
  expect(predicted.passes).toBe(measured.passes);
  expect(spec.of.sampling).toEqual({ temperature: 0.7, topK: 20 });
});

it('tells how fast the machine was before and after a run, and predicts it at that pace', async () => {
  const target = await openCheckpoint(goldenDirectory('mixtral'));
  const workload = { name: 'golden', prompts: readGolden('mixtral').prompts.map(({ ids }) => ids) };
  const maxNewTokens = 4;
  const pair = { target, draft: target, workload };
  const acceptance = await measureAcceptance({ ...pair, newTokens: maxNewTokens, candidates: 2 });
  // No machine takes a second for each task on the device.
  const machine = withLane(await openMachine('env1'), 'device', { overheadSeconds: 1 });
  const cpu = { device: 'cpu', diskBytesPerSecond: null, paceBudgetShare: 40 };
  const request = { ...pair, ...cpu, maxNewTokens, acceptance, machine };
  const point = { strategy: 'none', policy: {}, prompts: 2, budgetShare: 40 } as const;
  const output = createOutput({ write: () => true }, { write: () => true }, false);
  const { signal } = new AbortController();
  const even = { disk: 1, link: 1, host: 1, device: 1 };
  const pace = { prefill: { ...even, device: 0.5 }, decode: { ...even, device: 0.5 } };
  const { atItsPace, predicted, paceAfter } = await comparePoint(request, point, output, signal, pace);
  expect(atItsPace?.pace.decode.device).toBeCloseTo((0.5 + paceAfter!.decode.device!) / 2, 10);
  expect(atItsPace?.predicted.tokensPerSecond).toBeGreaterThan(1.2 * predicted.tokensPerSecond);
});
