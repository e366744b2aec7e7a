import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { StrategyName } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { type GpuBench, runGpuBench } from '../../../experiments/src/bench/gpu/main.js';
import type { Rung } from '../../../experiments/src/bench/gpu/matmul-ladder.js';
import {
  formatStrategies,
  resultsOf,
  type StrategyRung,
} from '../../../experiments/src/bench/gpu/strategies.js';
import { verdicts } from '../../../experiments/src/bench/gpu/verdicts.js';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { whyNoVulkan } from '../../engine/vulkan.js';

describe('verdicts', () => {
  const rung = (rows: number, weightBytesPerSecond: number, flopsPerSecond: number): Rung => ({
    ...{ depth: 8, width: 8, format: 'bf16', kernel: 'any', arithmetic: 'f32', seconds: 1, largestError: 0 },
    ...{ rows, weightBytesPerSecond, flopsPerSecond },
  });
  const strategy = (
    name: StrategyName,
    tokensPerSecond: number,
    predicted: number,
    figures: Partial<StrategyRung['measured']> = {},
  ): StrategyRung => {
    const others = { linkBusy: 0.5, deviceBusy: 0.5, linkBytesPerSecond: 1, ...figures };
    const measured = { tokensPerSecond, ...others };
    return {
      name,
      strategy: name,
      policy: {},
      measured,
      predicted: { ...measured, tokensPerSecond: predicted },
    };
  };
  const rates = {
    ...{ toDeviceBytesPerSecond: 20, fromDeviceBytesPerSecond: 1, weightBytesPerSecond: 1 },
    ...{ flopsPerSecond: 1, answerSeconds: 1 },
  };
  const bench: GpuBench = {
    ...{ device: 'a card', driver: 'a driver', isCard: true, isQuick: false },
    ...{ copyBytesPerSecond: 50, gapSeconds: 1e-6 },
    ...{ sheet: { flopsPerSecond: 1000, memoryBytesPerSecond: 100 } },
    link: { imported: rates, staged: rates, zeroCopyBytesPerSecond: null },
    rungs: [rung(1, 80, 1), rung(16, 60, 1), rung(512, 99, 250), rung(2048, 1, 300)],
    strategies: [
      strategy('none', 10, 11, { linkBytesPerSecond: 19 }),
      strategy('specoffload', 20, 19, { deviceBusy: 0.59 }),
      { ...strategy('serial', 26, 26), name: 'pick' },
      strategy('flexgen', 10, 6),
    ],
  };

  it('hold a card to its data sheet, its link, the other strategies and their predictions', () => {
    expect(verdicts(bench)).toEqual([
      'reached: few rows, of memory bandwidth: 80 %, wanted 70 %',
      'not reached: 512 rows and more, of bf16 peak: 30 %, wanted 40 %',
      'reached: link in decode of none, of the best pinned copy: 95 %, wanted 90 %',
      'not reached: device busy in decode of specoffload: 59 %, wanted 60 %',
      "reached: specoffload or the planner's pick, of flexgen: 2.60 times, wanted 2.50 times",
      'not reached: predictions, off on average: 14 %, wanted at most 10 %',
    ]);
  });

  it('take few rows against what copies reach where there is no sheet, and say what cannot be told', () => {
    const sheet = { flopsPerSecond: null, memoryBytesPerSecond: null };
    const link = { ...bench.link, imported: null };
    expect(verdicts({ ...bench, sheet, link, strategies: [] })).toEqual([
      'reached: few rows, of memory bandwidth: 160 %, wanted 70 %',
      'not measurable here: 512 rows and more, of bf16 peak, wanted 40 %',
      'not measurable here: link in decode of none, of the best pinned copy, wanted 90 %',
      'not measurable here: device busy in decode of specoffload, wanted 60 %',
      "not measurable here: specoffload or the planner's pick, of flexgen, wanted 2.50 times",
      'not measurable here: predictions, off on average, wanted at most 10 %',
    ]);
  });

  it('say nothing about a card where none computes, or too little', () => {
    for (const [facts, reason] of [
      [{ isCard: false }, 'the processor computes, no card'],
      [{ isQuick: true }, 'the small form says nothing about a card'],
    ] as const)
      for (const line of verdicts({ ...bench, ...facts }))
        expect(line).toContain(`not measurable here (${reason}): `);
  });

  it('stand behind a table of what was measured and predicted', () => {
    const [none, , pick] = formatStrategies(bench.strategies)
      .split('\n')
      .slice(2)
      .map((line) => line.trim().split(/ {2,}/));
    expect(none).toEqual(['none', '10.0', '11.0', '+10 %', '50 %', '50 %', '50 %', '50 %']);
    expect(pick[0]).toBe('pick: serial');
  });
});

it('keeps records under a folder that has the name of the card', () => {
  expect(resultsOf('NVIDIA GeForce RTX 4090/../x (TM)')).toMatch(
    /results\/reference\/gpu\/NVIDIA-GeForce-RTX-4090-..-x-TM$/,
  );
});

it.skipIf(whyNoVulkan !== null)(
  `the small ladder has right numbers${whyNoVulkan ? ` (${whyNoVulkan})` : ''}`,
  async () => {
    let said = '';
    const stream = { write: (text: string) => (said += text) };
    const output = createOutput(stream, { write: () => {} }, false);
    const { signal } = new AbortController();
    const { rungs } = await runGpuBench({ index: 0, quick: true, strategies: false, output, signal });
    expect(said).toMatch(/^copies with imported host memory .*B\/s there, .*B\/s back$/m);
    expect(said).toMatch(/^copies through staging buffers .*B\/s there, .*B\/s back$/m);
    expect(said).toMatch(/^weights read by kernels where they lie in host memory .*B\/s$/m);
    expect(said).toContain(`all ${rungs.length} products are right`);
    for (const { seconds, flopsPerSecond, rows, depth, width } of rungs)
      expect(flopsPerSecond).toBeCloseTo((2 * rows * depth * width) / seconds, 0);
  },
);

it('says in a sentence what is missing where there is no driver', () => {
  const program = join(projectDirectory, 'experiments', 'dist', 'cli', 'main.js');
  const { status, stderr } = spawnSync(process.execPath, [program, 'bench', '--gpu'], {
    ...{
      encoding: 'utf8',
      env: { ...process.env, VK_ICD_FILENAMES: '/nowhere', VK_DRIVER_FILES: '/nowhere' },
    },
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(/^specoffload: (?!unexpected)[^\n]*Vulkan[^\n]*\n$/);
});
