import { describe, expect, it } from 'vitest';
import { buildRecord, columns, toRow, toRows } from '../../../experiments/src/store/index.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';
import { fakeResult, fakeRun } from '../fake-run.js';

describe('toRow', () => {
  const record = fakeRecord({
    axes: { system: 'FlexGen', candidates: 8 },
    settings: { target: 'pair:2GB', promptTokens: 64, 'machine.link.bytesPerSecond': 12e9, hostShare: 0.5 },
    tokensPerSecond: 3,
    isDisturbed: true,
  });

  it('holds identity, results, resolved policy, settings and axes, flat, with numbers as numbers', () => {
    expect(toRow(record)).toMatchObject({
      ...{ key: record.key, experiment: 'test', kind: 'measured', strategy: 'serial', seed: 0, repeat: 0 },
      ...{ tokensPerSecond: 3, seconds: 2, prefillSeconds: 1, decodeSeconds: 1, passes: 2 },
      ...{ diskUtilization: 0.97, deviceUtilization: 0.5, acceptanceRate: 0.5, tokensPerRound: 2 },
      ...{ devicePeakBytes: 4e8, deviceBudgetBytes: 5e8, diskBytes: 2e9, totalPromptTokens: 4 },
      ...{ system: 'FlexGen', candidates: 8, draftCache: 'resident', isDisturbed: true },
      ...{ target: 'pair:2GB', promptTokens: 64, 'machine.link.bytesPerSecond': 12e9 },
      // Asked for, but not what ran.
      hostShare: 0,
    });
  });

  it('of a run that nobody asked for names what ran', () => {
    const row = toRow(buildRecord(fakeRun(), 0));
    expect(row).toMatchObject({
      experiment: null,
      pointKey: expect.stringMatching(/^[0-9a-f]{32}$/),
      target: 'target',
      prompts: 2,
      isDisturbed: null,
    });
  });

  it('of a prediction has nothing that only a run knows', () => {
    const row = toRow(fakePrediction({ axes: {}, tokensPerSecond: 1 }));
    expect(row).toMatchObject({ kind: 'simulated', nearTies: null, outputDigest: null, isDisturbed: null });
  });

  it('lets nothing take the place of results and identity', () => {
    const axes = JSON.parse('{ "seconds": 9, "key": "mine", "__proto__": [5] }');
    const row = toRow(fakeRecord({ axes, settings: { passes: 7 }, tokensPerSecond: 1 }));
    expect(row).toMatchObject({
      seconds: 2,
      passes: 2,
      'setting.passes': 7,
      'axis.seconds': 9,
      'axis.key': 'mine',
    });
    expect(row['axis.__proto__']).toEqual([5]);
    expect(row.key).not.toBe('mine');
    expect(Object.getPrototypeOf(row)).toBe(Object.prototype);
  });

  it('has every column of the list, once', () => {
    const use = { busySeconds: 0.5, utilization: 0.5, kernelSeconds: { matmul: 0.5 } };
    const queue = { prefill: use, decode: use };
    const drawn = { joules: 100, watts: 100 };
    const result = fakeResult({
      device: { name: 'a card', driver: 'one', link: 'imported', hasCopyQueue: true },
      deviceUse: { compute: queue, copy: queue },
      devicePower: { source: 'nvml', prefill: drawn, decode: drawn },
      energy: {
        ...{ sources: ['nvml'], joules: 200, joulesPerToken: 50 },
        ...{ phases: { prefill: 100, decode: 100 }, parts: { gpu: 200 } },
      },
      crossbars: { layers: 1, bytes: 4096, writeSeconds: 1, writeJoules: 1 },
    });
    const requests = { perSecond: 1, referenceJoules: 10, referenceSeconds: 10 };
    const spec = { ...record.spec, requests };
    const noiseEffect = { sequences: 1, sameSequences: 1, tokensBefore: 1, sameTokens: 1, acceptanceRate: 1 };
    const disturbed = { ...result, noiseEffect };
    const ofCard = {
      ...{ ...record, spec },
      result: buildRecord(fakeRun({ result: disturbed }), 0).result,
    } as typeof record;
    const names = columns.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(toRow(ofCard))).toEqual(expect.arrayContaining(names));
    for (const { of, type } of columns)
      expect(['DOUBLE', 'BIGINT'].includes(type)).toBe(typeof of(ofCard) === 'number');
  });

  it('takes the experiment from the folder', () => {
    const [row] = toRows([{ record: buildRecord(fakeRun(), 0), folder: '/results/run/abc' }]);
    expect(row!.experiment).toBe('run');
  });

  it('keeps lists', () => {
    const row = toRow(fakeRecord({ axes: { acceptance: [0.8, 0.6] }, tokensPerSecond: 1 }));
    expect(row.acceptance).toEqual([0.8, 0.6]);
  });
});
