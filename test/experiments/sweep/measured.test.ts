/** Sweeps of measurements: alone on the machine, in interleaved order, with what the machine did meanwhile. */

import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MeasuredRecord, readRuns, toRow } from '../../../experiments/src/store/index.js';
import { keyOfPoint, keyOfTurn } from '../../../experiments/src/store/spec.js';
import { AgreementCheck } from '../../../experiments/src/sweep/agreement.js';
import { type ExperimentDefinition, runExperiment } from '../../../experiments/src/sweep/index.js';
import { lockMachine } from '../../../experiments/src/sweep/machine-lock.js';

let results: string;
beforeEach(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-measured-'));
});
afterEach(async () => {
  await rm(results, { recursive: true, force: true });
});

const definition: ExperimentDefinition = {
  name: 'small',
  question: 'Does it measure?',
  kind: 'measured',
  settings: {
    ...{ workload: 'code', prompts: 1, maxNewTokens: 3 },
    ...{ deviceMemory: '128MB', hostMemory: '64MB' },
  },
  axes: { strategy: ['none', 'serial'] },
  repeats: 2,
};

describe('a measured sweep', () => {
  it('interleaves repeats, turns their order round, and watches the machine', async () => {
    const notes: string[] = [];
    const outcome = await runExperiment(definition, { results, onNote: (note) => notes.push(note) });
    expect(outcome).toMatchObject({ stored: 4, isComplete: true, failed: [] });
    expect(outcome.agreement).toEqual({ compared: 3, ties: expect.any(Number), errors: [] });
    expect(notes).toContain('small: warming up, strategy none');
    const runs = (await readRuns({ results })).map(({ record }) => record as MeasuredRecord);
    expect(runs.map(({ strategy, repeat }) => [strategy, repeat])).toEqual([
      ['none', 0],
      ['serial', 0],
      ['serial', 1],
      ['none', 1],
    ]);
    for (const { conditions, workload, point, ...run } of runs) {
      expect(keyOfPoint(point!.axes, run.spec!)).toBe(point!.pointKey);
      expect(keyOfTurn(point!.pointKey, run)).toBe(run.key);
      expect(conditions).toMatchObject({ isDisturbed: expect.any(Boolean) });
      expect(workload.stopAtEos).toBe(false);
      expect(point).toMatchObject({ experiment: 'small', settings: { prompts: 1 } });
    }
    const again = await runExperiment(
      { ...definition, repeats: 3 },
      { results, filter: 'strategy == "none"' },
    );
    expect(again).toMatchObject({ stored: 1, before: 2 });
  });

  it('packs a target that is to be packed once, and sees that it writes the same texts', async () => {
    const format = [
      { label: 'plain', settings: {} },
      { label: 'packed', settings: { targetFormat: 'bf16_packed' } },
    ] as const;
    const packing = {
      ...definition,
      axes: { format },
      settings: { ...definition.settings, strategy: 'none' },
    } as const;
    const outcome = await runExperiment({ ...packing, repeats: 1, warmups: 0 }, { results });
    expect(outcome).toMatchObject({ stored: 2, failed: [] });
    expect(outcome.agreement).toEqual({ compared: 1, ties: 0, errors: [] });
    const [plain, packed] = (await readRuns({ results }))
      .map(({ record }) => record as MeasuredRecord)
      .sort(
        (a, b) =>
          Number(a.model.target.packedFrom !== undefined) - Number(b.model.target.packedFrom !== undefined),
      );
    expect(packed!.model.target.packedFrom).toBe(plain!.model.target.digest);
    expect(packed!.result.outputDigest).toBe(plain!.result.outputDigest);
    expect([toRow(plain!).targetFormat, toRow(packed!).targetFormat]).toEqual([null, 'bf16_packed']);
  });

  it('refuses a point that does not fit, and goes on with the others', async () => {
    const axes = { deviceMemory: ['2MB', '128MB'] };
    const outcome = await runExperiment({ ...definition, axes, repeats: 1, warmups: 0 }, { results });
    expect(outcome).toMatchObject({ stored: 1, isComplete: true });
    expect(outcome.refused).toMatchObject([{ axes: { deviceMemory: '2MB' } }]);
  });

  it('ends with the reason of its signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const sweep = runExperiment(definition, {
      ...{ results, signal: controller.signal },
      onProgress: ({ done }) => done === 1 && controller.abort(reason),
    });
    await expect(sweep).rejects.toBe(reason);
    expect(await readdir(results)).toEqual(['small']);
    expect(await runExperiment(definition, { results })).toMatchObject({ before: 1, stored: 3 });
  });

  it('notices tokens that another strategy would not have written', async () => {
    await runExperiment({ ...definition, repeats: 1, warmups: 0 }, { results });
    const [first, second] = (await readRuns({ results })).map(({ record, folder }) => ({
      folder,
      record: record as MeasuredRecord,
    }));
    const path = join(second!.folder, 'tokens.jsonl');
    const line = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(
      path,
      `${JSON.stringify({ ...line, ids: [...line.ids.slice(0, -1), 1], margins: [9, 9, 9] })}\n`,
    );
    const result = { ...second!.record.result, outputDigest: 'ab'.repeat(32) };
    const check = new AgreementCheck();
    await check.add(first!);
    await check.add({ folder: second!.folder, record: { ...second!.record, result } });
    expect(check.result).toMatchObject({
      ...{ compared: 1, ties: 0 },
      errors: [expect.stringMatching(/wrote other tokens than .* prompt 0 parts at new token 2/)],
    });
  });
});

describe('lockMachine', () => {
  const { signal } = new AbortController();
  const lock = (path: string, onWait = (_pid: number) => {}) => lockMachine({ path, onWait, signal });

  it('lets one in at a time', async () => {
    const path = join(results, 'lock');
    const first = await lock(path);
    const order: string[] = [];
    const second = lock(path, (pid) => order.push(`waiting for ${pid}`)).then((held) => {
      order.push('in');
      return held;
    });
    while (order.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    order.push('out');
    await first.release();
    await (await second).release();
    expect(order).toEqual([`waiting for ${process.pid}`, 'out', 'in']);
    expect(await readdir(results)).toEqual([]);
  });

  it.each([
    ['a process that is gone', { pid: 2 ** 22 + 1, started: '1' }],
    ['a process whose number went to another', { pid: process.pid, started: '1' }],
    ['nobody', 'half a li'],
  ])('passes over a lock of %s', async (_whose, content) => {
    const path = join(results, 'lock');
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
    await (await lock(path)).release();
    expect(await readdir(results)).toEqual([]);
  });

  it.each<[string, (path: string) => unknown]>([
    ['a folder', (path) => mkdir(path)],
    ['a link to nothing', (path) => symlink('nowhere', path)],
    [
      'a link to a file',
      async (path) => symlink(await writeFile(`${path}-other`, '1').then(() => `${path}-other`), path),
    ],
    ['a pipe', (path) => execFileSync('mkfifo', [path])],
    ['what is far too long', (path) => writeFile(path, 'x'.repeat(10_000))],
  ])('refuses in a sentence where %s stands in its place, and leaves it there', async (_what, make) => {
    const path = join(results, 'lock');
    await make(path);
    const before = await readdir(results);
    await expect(lock(path)).rejects.toThrow(
      /^cannot lock this machine for measuring: .*lock stands in the way/,
    );
    expect(await readdir(results)).toEqual(before);
  });

  it('refuses in a sentence where there can be no lock', async () => {
    await expect(lock(join(results, 'none', 'lock'))).rejects.toThrow(
      'cannot lock this machine for measuring',
    );
  });

  it('gives up waiting with the reason of the signal', async () => {
    const path = join(results, 'lock');
    const held = await lock(path);
    const controller = new AbortController();
    const reason = new Error('enough');
    const waiting = lockMachine({ path, onWait: () => controller.abort(reason), signal: controller.signal });
    await expect(waiting).rejects.toBe(reason);
    await held.release();
  });
});
