/** Every option that `accuracy --options` judges runs, and is predicted in as many passes. */

import { openCheckpoint } from '@specoffload/engine';
import { expect, it } from 'vitest';
import { recordTexts } from '../../../experiments/src/acceptance/measure.js';
import { optionsGrid, policyName } from '../../../experiments/src/accuracy/grid.js';
import { comparePoint } from '../../../experiments/src/accuracy/measure.js';
import { openMachine } from '../../../experiments/src/inputs/machines.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { goldenDirectory, readGolden } from '../../engine/model/golden.js';

it("runs and predicts each option, from the texts' own acceptance and routing", async () => {
  const target = await openCheckpoint(goldenDirectory('mixtral'));
  const workload = { name: 'golden', prompts: readGolden('mixtral').prompts.map(({ ids }) => ids) };
  const maxNewTokens = 4;
  const pair = { target, draft: target, packed: target, workload };
  const { acceptance, routing } = await recordTexts({
    ...{ ...pair, newTokens: maxNewTokens, candidates: 4, secondChoices: true },
  });
  expect(routing?.rowsByExpert.length).toBe(target.spec.layers.length);
  const request = {
    ...{ ...pair, maxNewTokens, acceptance, routing, device: 'cpu', diskBytesPerSecond: null },
    machine: await openMachine('env1'),
  };
  const names = new Set<string>();
  for (const point of optionsGrid()) {
    const { measured, predicted } = await comparePoint(
      ...([request, { ...point, prompts: workload.prompts.length, budgetShare: 60 }] as const),
      createOutput({ write: () => true }, { write: () => true }, false),
      new AbortController().signal,
    );
    names.add(policyName(point));
    expect(`${policyName(point)}: ${predicted.passes} passes`).toBe(
      `${policyName(point)}: ${measured.passes} passes`,
    );
  }
  expect(names.size).toBe(optionsGrid().length);
});
