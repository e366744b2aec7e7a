import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type GpuBench, runGpuBench, verdicts } from '../../../experiments/src/bench/gpu/main.js';
import type { Rung } from '../../../experiments/src/bench/gpu/matmul-ladder.js';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { whyNoVulkan } from '../../engine/vulkan.js';

describe('verdicts', () => {
  const rung = (rows: number, weightBytesPerSecond: number, flopsPerSecond: number): Rung => ({
    ...{ depth: 8, width: 8, format: 'bf16', kernel: 'any', arithmetic: 'f32', seconds: 1, largestError: 0 },
    ...{ rows, weightBytesPerSecond, flopsPerSecond },
  });
  const rates = {
    ...{ toDeviceBytesPerSecond: 1, fromDeviceBytesPerSecond: 1, weightBytesPerSecond: 1 },
    ...{ flopsPerSecond: 1, answerSeconds: 1 },
  };
  const bench: GpuBench = {
    ...{ device: 'a card', driver: 'a driver', copyBytesPerSecond: 50, gapSeconds: 1e-6 },
    ...{ sheet: { flopsPerSecond: 1000, memoryBytesPerSecond: 100 } },
    link: { imported: null, staged: rates, zeroCopyBytesPerSecond: null },
    rungs: [rung(1, 80, 1), rung(16, 60, 1), rung(512, 99, 250), rung(2048, 1, 300)],
  };

  it('take few rows by memory and many by arithmetic, against the data sheet', () => {
    expect(verdicts(bench)).toEqual([
      'reached: few rows, of memory bandwidth: 80 %, wanted 70 %',
      'missed: 512 rows and more, of bf16 peak: 30 %, wanted 40 %',
    ]);
  });

  it('take few rows against what copies reach where there is no sheet', () => {
    const sheet = { flopsPerSecond: null, memoryBytesPerSecond: null };
    expect(verdicts({ ...bench, sheet })).toEqual([
      'reached: few rows, of memory bandwidth: 160 %, wanted 70 %',
    ]);
  });
});

it.skipIf(whyNoVulkan !== null)(
  `the small ladder has right numbers${whyNoVulkan ? ` (${whyNoVulkan})` : ''}`,
  async () => {
    let said = '';
    const stream = { write: (text: string) => (said += text) };
    const output = createOutput(stream, { write: () => {} }, false);
    const { signal } = new AbortController();
    const { rungs } = await runGpuBench({ index: 0, quick: true, output, signal });
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
