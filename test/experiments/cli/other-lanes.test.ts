/** A machine file with a lane that the local machine does not have, from the file to the record and what is said of it. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { formatComparison } from '../../../experiments/src/job/summary.js';
import { toRow } from '../../../experiments/src/store/index.js';
import { runCli } from '../cli.js';

const file = {
  ...{ schema: 2, name: 'gpu-direct', description: 'weights go past host memory', formats: 'bf16' },
  memories: [
    { name: 'disk', bytes: '4TB' },
    { name: 'host', bytes: '64GiB' },
    { name: 'device', bytes: '24GiB' },
    { name: 'gpu2', bytes: '16GiB' },
  ],
  lanes: [
    {
      ...{ name: 'direct', moves: { from: 'disk', to: 'device' }, overheadSeconds: '100us' },
      bytesPerSecond: { value: '12GB/s', source: 'two NVMe drives', assumed: true },
    },
    { name: 'link', moves: { from: 'host', to: 'device' }, bytesPerSecond: '25GB/s' },
    { name: 'host', computesOn: 'host', arithmetic: '1TFLOP/s', memoryBytesPerSecond: '50GB/s' },
    { name: 'device', computesOn: 'device', arithmetic: '150TFLOP/s', memoryBytesPerSecond: '1TB/s' },
    {
      ...{ name: 'second', computesOn: 'gpu2', serves: ['draft'], arithmetic: '100TFLOP/s' },
      memoryBytesPerSecond: '800GB/s',
    },
    { name: 'link2', moves: { from: 'host', to: 'gpu2' }, bytesPerSecond: '12GB/s' },
    { name: 'disk', moves: { from: 'disk', to: 'host' }, bytesPerSecond: '3GB/s' },
  ],
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-lanes-'));
  await writeFile(join(folder, 'mine.json'), JSON.stringify(file));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('is predicted on, stored, read back and described by its own lanes', async () => {
  const results = join(folder, 'results');
  const { stdout: predicted } = await runCli([
    ...[
      'simulate',
      '--machine',
      join(folder, 'mine.json'),
      '--target',
      'mixtral-8x7b',
      '--acceptance',
      '0.7',
    ],
    ...['--draft', 'mistral-7b', '--strategy', 'specoffload'],
    ...['--prompts', '8', '--prompt-tokens', '32', '--max-new-tokens', '4', '--results', results, '--json'],
  ]);
  const { record } = JSON.parse(predicted);
  expect(Object.keys(record.result.phases.decode.lanes).sort()).toEqual([
    ...['device', 'direct', 'disk', 'host', 'link', 'link2', 'second'],
  ]);
  expect(record.machine.lanes.direct).toEqual({
    moves: { from: 'disk', to: 'device' },
    ...{ overheadSeconds: 1e-4, bytesPerSecond: 12e9 },
  });
  expect(record.result.bytesMoved.direct).toBeGreaterThan(0);
  const { stdout: shown } = await runCli(['runs', 'show', record.key.slice(0, 10), '--results', results]);
  expect(shown).toMatch(/phase +time +disk +link +host +device +direct +second +link2/);
  expect(shown).toMatch(/moved +nothing from disk, .* over the link, .* over direct/);
  // Rows and tables have a column for each of them.
  const { direct, second } = record.result.phases.decode.lanes;
  expect(record.result.memory.gpu2).toEqual({ peakBytes: expect.any(Number), budgetBytes: 2 ** 34 });
  expect(record.result.memory.gpu2.peakBytes).toBeGreaterThan(13e9);
  expect(toRow(record)).toMatchObject({
    ...{ directUtilization: direct.utilization, secondUtilization: second.utilization },
    ...{ gpu2PeakBytes: record.result.memory.gpu2.peakBytes, gpu2BudgetBytes: 2 ** 34 },
    ...{ directBytes: record.result.bytesMoved.direct, prefillDirectUtilization: expect.any(Number) },
  });
  expect(formatComparison([record])).toMatch(/accepted( +\w+){3} +device +host +link +disk/);
});
