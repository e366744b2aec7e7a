/** What `accuracy --temperature` compares: runs that draw their tokens, and predictions that know which candidates stood. */

import { openCheckpoint } from '@specoffload/engine';
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
