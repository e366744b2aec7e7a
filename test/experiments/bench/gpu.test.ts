import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeModel, openCheckpoint, type StrategyName } from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { afterAll, describe, expect, it } from 'vitest';
import { vulkanFormats } from '../../../engine/dist/machine/formats.js';
import { planInflation } from '../../../engine/dist/model/inflate-plan.js';
import { prepare } from '../../../engine/dist/run/prepare.js';
import { type GpuBench, runGpuBench } from '../../../experiments/src/bench/gpu/main.js';
import type { Rung } from '../../../experiments/src/bench/gpu/matmul-ladder.js';
import {
  flexgenScript,
  paperSizes,
  type Room,
  smallSizes,
} from '../../../experiments/src/bench/gpu/sizes.js';
import {
  formatStrategies,
  resultsOf,
  type StrategyRung,
} from '../../../experiments/src/bench/gpu/strategies.js';
import { TimeBudget } from '../../../experiments/src/bench/gpu/time-budget.js';
import { verdicts } from '../../../experiments/src/bench/gpu/verdicts.js';
import { pairPaths, projectDirectory } from '../../../experiments/src/paths.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { writeTinyCheckpoint } from '../../engine/tiny.js';
import { whyNoVulkan } from '../../engine/vulkan.js';

describe('verdicts', () => {
  const rung = (rows: number, weightBytesPerSecond: number, flopsPerSecond: number): Rung => ({
    ...{ depth: 8, width: 8, format: 'bf16', kernel: 'any', arithmetic: 'f32', seconds: 1, largestError: 0 },
    ...{ rows, weightBytesPerSecond, flopsPerSecond },
  });
  const cooperative = { ...rung(16, 1, 1), arithmetic: 'bf16', largestError: 0.01 } as const;
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
    ...{ copyBytesPerSecond: 50, gapSeconds: 1e-6, timedGapSeconds: 2e-6, freeDeviceBytes: 1e9 },
    ...{ sheet: { flopsPerSecond: 1000, memoryBytesPerSecond: 100, source: 'a sheet' } },
    ...{ sameTokens: { numSequences: 8, numTies: 1, numErrors: 0 }, budget: null },
    skipped: ['serial: about 30 s, of which 20 s were left'],
    link: { imported: rates, staged: rates, zeroCopyBytesPerSecond: null },
    rungs: [rung(1, 80, 1), rung(16, 60, 1), rung(512, 99, 250), rung(2048, 1, 300), cooperative],
    strategies: [
      strategy('none', 10, 11, { linkBytesPerSecond: 19 }),
      strategy('specoffload', 20, 19, { deviceBusy: 0.59 }),
      { ...strategy('serial', 26, 26), name: 'pick' },
      strategy('flexgen', 10, 6),
    ],
  };

  it('hold a card to its data sheet, its link, the other strategies and their predictions', () => {
    expect(verdicts(bench)).toEqual([
      "reached: the main job's quick form, sequences with the processor's tokens: 8 of 8, 1 of them up to where rounding decides",
      'reached: products in f32, off double precision: 0.0e+0, wanted at most 1.0e-6',
      'not reached: products in bf16 by cooperative matrices, off double precision: 1.0e-2, wanted at most 3.9e-3',
      'reached: few rows, of memory bandwidth: 80 %, wanted 70 %',
      'not reached: 512 rows and more, of bf16 peak: 30 %, wanted 40 %',
      'reached: link in decode of none, of the best pinned copy: 95 %, wanted 90 %',
      'not reached: device busy in decode of specoffload: 59 %, wanted 60 %',
      "reached: specoffload or the planner's pick, of flexgen at the scripts' share of sequences: 2.60 times, wanted 2.50 times",
      'not reached: predictions, off on average: 14 %, wanted at most 10 %',
      'skipped: serial: about 30 s, of which 20 s were left',
    ]);
  });

  it('take few rows against what copies reach where there is no sheet, and say what cannot be told', () => {
    const { rungs } = bench;
    const sheet = { flopsPerSecond: null, memoryBytesPerSecond: null, source: null };
    const link = { ...bench.link, imported: null };
    const sameTokens = { numSequences: 8, numTies: 0, numErrors: 1 };
    expect(
      verdicts({ ...bench, rungs: rungs.slice(0, 4), sheet, link, sameTokens, strategies: [], skipped: [] }),
    ).toEqual([
      "not reached: the main job's quick form, sequences with the processor's tokens: 7 of 8",
      'reached: products in f32, off double precision: 0.0e+0, wanted at most 1.0e-6',
      'reached: few rows, of memory bandwidth: 160 %, wanted 70 %',
      'not measurable here: 512 rows and more, of bf16 peak, wanted 40 %',
      'not measurable here: link in decode of none, of the best pinned copy, wanted 90 %',
      'not measurable here: device busy in decode of specoffload, wanted 60 %',
      "not measurable here: specoffload or the planner's pick, of flexgen at the scripts' share of sequences, wanted 2.50 times",
      'not measurable here: predictions, off on average, wanted at most 10 %',
    ]);
  });

  it('say nothing about a card where none computes, or too little', () => {
    for (const [facts, reason] of [
      [{ isCard: false }, 'the processor computes, no card'],
      [{ isQuick: true }, 'the small form says nothing about a card'],
    ] as const)
      for (const line of verdicts({ ...bench, ...facts, sameTokens: null, skipped: [] }).slice(2))
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

describe('what strategies run with', () => {
  const room: Room = {
    ...{ freeDeviceBytes: 1e12, freeHostBytes: 1e12, freeDiskBytes: 1e12, seconds: 1e3 },
    ...{ diskReadBytesPerSecond: 1e12, diskWriteBytesPerSecond: 1e12, linkBytesPerSecond: 1e12 },
  };

  it.each<[Partial<Room>, number, string]>([
    [{}, 24e9, "24.0 GB, 100 % of the paper's 24 GB (the paper's own)"],
    [{ freeDeviceBytes: 8e9 }, 6.5e9, "6.50 GB, 27 % of the paper's 24 GB (the card has no more)"],
    [
      { freeHostBytes: 64e9 },
      12.5e9,
      "12.5 GB, 52 % of the paper's 24 GB (host memory holds no larger target)",
    ],
    [{ freeDiskBytes: 64e9 }, 12.5e9, "12.5 GB, 52 % of the paper's 24 GB (the disk holds no larger target)"],
    [
      { diskReadBytesPerSecond: 1e9, linkBytesPerSecond: 24e9, seconds: 400 },
      6e9,
      "6.00 GB, 25 % of the paper's 24 GB (a larger target would take too long)",
    ],
  ])('has the paper’s ratios where there is %j', (bounds, deviceBytes, said) => {
    const { sizes, because } = paperSizes({ ...room, ...bounds });
    expect(because).toBe(said);
    expect(sizes.deviceBytes).toBe(deviceBytes);
    expect(sizes.targetBytes! / deviceBytes).toBeCloseTo(93.4 / 24);
    expect(sizes.draftBytes! / deviceBytes).toBeCloseTo(14.5 / 24);
  });

  it.each([2e9, 24e9])('fits: every strategy can be planned in %d bytes', async (deviceBytes) => {
    const { sizes } = paperSizes(room, deviceBytes);
    const inflated = async (path: string, bytes: number | null) => {
      const { spec } = planInflation(await openCheckpoint(path), { bytes: bytes! });
      return describeModel({ name: 'inflated', spec, dtype: 'bf16', unit: 'expert' });
    };
    const target = await inflated(pairPaths.target, sizes.targetBytes);
    const draft = await inflated(pairPaths.draft, sizes.draftBytes);
    const prompts = Array.from({ length: sizes.prompts }, () =>
      new Array<number>(sizes.promptTokens).fill(0),
    );
    const { decodeBatch: _, ...speculating } = sizes.specoffload;
    const runs = [
      ['none', {}],
      ['specoffload', sizes.specoffload],
      ['flexgen', flexgenScript(sizes.prompts)],
      ['serial', speculating],
      ['flexgen', {}],
    ] as const;
    const budgets = { deviceBytes, hostBytes: Math.ceil(sizes.hostShare * target.bytes) };
    for (const [strategy, policy] of runs) {
      const request = { target, draft, prompts, strategy, policy, maxNewTokens: sizes.maxNewTokens };
      const { pinnedLayers, keptLayers } = prepare(request, budgets, vulkanFormats).plan;
      // Nothing is left for the disk: the link binds.
      expect(pinnedLayers + keptLayers).toBe(target.layers.length);
    }
  });

  it('is as large as asked for', () => {
    expect(paperSizes(room, 2e9).because).toBe("2.00 GB, 8 % of the paper's 24 GB (as asked for)");
  });
});

describe('a time budget', () => {
  const { signal } = new AbortController();
  const untilAborted = (ending: AbortSignal) =>
    new Promise((_, reject) => {
      ending.addEventListener('abort', () => reject(ending.reason));
    });

  it('says what there is no time for, and lets the rest begin', () => {
    let now = 0;
    const budget = new TimeBudget(10, () => now);
    expect(budget.allows('first', 10)).toBe(true);
    now = 4000;
    expect(budget.allows('second', 6.5)).toBe(false);
    expect(budget.skipped).toEqual(['second: about 7 s, of which 6 s were left']);
  });

  it('ends what takes longer, and passes on every other end', async () => {
    const budget = new TimeBudget(0.02);
    expect(await budget.within('a run', signal, async () => 7)).toBe(7);
    expect(await budget.within('a run', signal, untilAborted)).toBeNull();
    const refuse = () => Promise.reject(new UserError('too little memory'));
    expect(await new TimeBudget(1).within('another', signal, refuse)).toBeNull();
    expect(budget.skipped).toEqual(['a run: the time was over before it ended']);
    const interrupted = AbortSignal.abort(new Error('interrupted'));
    const failing = (ending: AbortSignal) => Promise.reject(ending.reason);
    await expect(new TimeBudget(1).within('x', interrupted, failing)).rejects.toThrow('interrupted');
    await expect(
      new TimeBudget(1).within('x', signal, () => Promise.reject(new Error('broken'))),
    ).rejects.toThrow('broken');
  });
});

it('keeps records under a folder that has the name of the card', () => {
  expect(resultsOf('NVIDIA GeForce RTX 4090/../x (TM)')).toMatch(
    /results\/reference\/gpu\/NVIDIA-GeForce-RTX-4090-..-x-TM$/,
  );
});

const folder = mkdtempSync(join(tmpdir(), 'gpu-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Of the shipped pair's families and words, but random, and with less to compute: the driver is the processor. */
async function writeSmallPair() {
  const write = async (name: 'target' | 'draft', sizes: Readonly<Record<string, number>>) => {
    const json = JSON.parse(readFileSync(join(pairPaths[name], 'config.json'), 'utf8'));
    const small = { ...json, ...sizes, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 32 };
    await writeTinyCheckpoint(folder, name, small, { dtype: 'bf16', seed: 1 });
    cpSync(join(pairPaths[name], 'tokenizer.json'), join(folder, name, 'tokenizer.json'));
    return join(folder, name);
  };
  return {
    target: await write('target', {
      ...{ hidden_size: 256, intermediate_size: 128, num_hidden_layers: 2 },
      num_local_experts: 40, // bytes, of which two experts' are multiplied with a row
    }),
    draft: await write('draft', { hidden_size: 64, intermediate_size: 64, num_hidden_layers: 1 }),
  };
}

it.skipIf(whyNoVulkan !== null)(
  `the small ladder runs whole${whyNoVulkan ? ` (${whyNoVulkan})` : ''}`,
  async () => {
    let said = '';
    const stream = { write: (text: string) => (said += text) };
    const output = createOutput(stream, { write: () => {} }, false);
    const { signal } = new AbortController();
    const sizes = {
      ...{ ...smallSizes, deviceBytes: 8e6, prompts: 2, promptTokens: 1, maxNewTokens: 2 },
      ...{ pair: await writeSmallPair(), mostSimulations: 1 },
    };
    const { rungs, strategies, skipped } = await runGpuBench({
      ...{ index: 0, quick: true, mainJob: false, sizes, output, signal },
    });
    expect(skipped).toEqual([]);
    const names = [
      'none',
      'specoffload',
      'flexgen',
      'pick',
      'serial',
      'flexgen, same batch',
      'none, in place',
    ];
    expect(strategies.map(({ name }) => name)).toEqual(names);
    for (const { measured, predicted } of strategies) {
      expect(measured.deviceBusy).toBeGreaterThan(0);
      expect(predicted!.tokensPerSecond).toBeGreaterThan(0);
    }
    const last = said.trimEnd().split('\n').slice(-6);
    for (const verdict of last) expect(verdict).toMatch(/^not measurable here/);
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
