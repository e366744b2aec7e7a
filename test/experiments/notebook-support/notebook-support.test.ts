import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PhaseReport } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import {
  describeDecode,
  joinWords,
  measuredDevices,
  runState,
  runsState,
  storeOf,
  sweepState,
} from '../../../experiments/src/notebook-support/index.js';
import { buildRecord, type RunRecord } from '../../../experiments/src/store/index.js';
import { createTemporaryDirectory } from '../../engine/model/fixtures.js';
import { fakeRecord } from '../fake-records.js';
import { fakeResult, fakeRun } from '../fake-run.js';

const lane = (busySeconds: number) => ({ busySeconds, utilization: busySeconds / 10, bytes: 0, numTasks: 1 });
const decode: PhaseReport = {
  seconds: 10,
  lanes: { disk: lane(2), link: lane(9.8), host: lane(1), device: lane(5.5) },
  deviceIdle: { weights: 1, attention: 3.4, draft: 0.05, nothing: 0.05 },
};

describe('a sentence about decode', () => {
  it('names what the device did, waited for, longest first, and the busiest lane', () => {
    expect(describeDecode('SpecOffload', decode)).toBe(
      'SpecOffload: the device computes 55 % of decode and waits 34 % for attention or its cache and 10 % for weights; busiest is the link (98 %).',
    );
  });

  it('says nothing of waiting where there was none', () => {
    const busy = { ...decode, deviceIdle: { weights: 0, attention: 0, draft: 0, nothing: 0 } };
    expect(describeDecode('none', busy)).toBe(
      'none: the device computes 55 % of decode; busiest is the link (98 %).',
    );
  });

  it('survives a decode that took no time', () => {
    expect(describeDecode('x', { ...decode, seconds: 0 })).toContain('computes 0 % of decode');
  });
});

describe('words', () => {
  it.each([
    [[], ''],
    [['a'], 'a'],
    [['a', 'b'], 'a and b'],
    [['a', 'b', 'c'], 'a, b and c'],
  ])('%j are joined as %s', (words, text) => {
    expect(joinWords(words)).toBe(text);
  });
});

describe('what a cell shows of work under way', () => {
  it('is new tokens of a run, and runs of a sweep', () => {
    const run = {
      ...({ phase: 'decode' } as const),
      ...{ passes: 3, newTokens: 12, maxNewTokens: 64 },
      ...{ finishedSequences: 0, numSequences: 4, elapsedSeconds: 1 },
    } as const;
    expect(runState('serial', run)).toEqual({ done: 12, total: 64, note: 'serial, decode' });
    const stateOf = runsState(['none', 'serial', 'specoffload']);
    expect(stateOf('none', run)).toEqual({ done: 12, total: 192, note: 'none (1 of 3), decode' });
    expect(stateOf('serial', run)).toEqual({ done: 76, total: 192, note: 'serial (2 of 3), decode' });
    const sweep = {
      done: 2,
      total: 9,
      failed: 0,
      refused: 1,
      running: 1,
      elapsedSeconds: 1,
      remainingSeconds: null,
    };
    expect(sweepState({ ...sweep, current: 'candidates 4' })).toEqual({
      done: 2,
      total: 9,
      note: 'candidates 4',
    });
    expect(sweepState({ ...sweep, current: null })).toEqual({ done: 2, total: 9 });
  });
});

describe('the record store of a notebook', () => {
  it.each([
    [false, '../results', '../results'],
    [true, '../results', '../results/quick'],
    [true, '../results/reference', '../results/reference'],
  ])('with quick %s and results %s is %s', (quick, results, store) => {
    expect(storeOf({ quick, results })).toBe(store);
  });
});

describe('devices that were measured', () => {
  const put = (store: string, record: RunRecord) => {
    const folder = join(store, record.point?.experiment ?? 'ladder', record.key);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'run.json'), JSON.stringify(record));
  };
  const ofCard = (utilization: number, seed: number): RunRecord => {
    const use = {
      busySeconds: utilization,
      utilization,
      kernelSeconds: { matmul: utilization / 2, copy: 0.1 },
    };
    const result = fakeResult({
      ...{ strategy: 'specoffload', devicePower: null },
      device: { name: 'a card', driver: '1', link: 'imported', hasCopyQueue: true },
      deviceUse: { compute: { prefill: use, decode: use }, copy: null },
    });
    return { ...buildRecord(fakeRun({ result, seed }), 0), strategy: 'specoffload' };
  };

  it('are the cards by their own clock and the processor by its lane, whichever there are', async () => {
    const store = createTemporaryDirectory();
    expect(await measuredDevices(join(store, 'none'))).toEqual([]);
    const fake = { axes: { system: 'SpecOffload' }, tokensPerSecond: 1, experiment: 'wind-tunnel' };
    put(store, { ...fakeRecord(fake), strategy: 'specoffload' });
    put(store, fakeRecord({ ...fake, axes: { system: 'serial' }, repeat: 1 }));
    const processor = { device: fakeRecord(fake).provenance.cpu, experiment: 'wind-tunnel', runs: 1 };
    expect(await measuredDevices(store)).toEqual([{ ...processor, utilization: 0.5, kernels: null }]);
    for (const [seed, busy] of [0.6, 0.8].entries()) put(join(store, 'gpu', 'a-card'), ofCard(busy, seed));
    const [card, ...others] = await measuredDevices(store);
    expect(card).toMatchObject({ device: 'a card', experiment: 'ladder', runs: 2 });
    expect(card!.utilization).toBeCloseTo(0.7);
    expect(card!.kernels).toEqual({ matmul: expect.closeTo(0.35), copy: expect.closeTo(0.1) });
    expect(others).toHaveLength(1);
  });
});
