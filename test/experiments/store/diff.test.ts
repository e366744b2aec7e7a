import { noCaps } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { buildRecord, diffRuns } from '../../../experiments/src/store/index.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';
import { fakeCheckpoint, fakeMachine, fakeResult, fakeRun } from '../fake-run.js';

const a = buildRecord(fakeRun(), 0);

describe('diffRuns', () => {
  it('finds nothing between a run and itself', () => {
    expect(diffRuns(a, a)).toMatchObject({
      ...{ isSameConfiguration: true, configuration: [], point: [], isSameOutput: true, provenance: [] },
      conditions: [],
    });
    expect(diffRuns(a, a).results.every(({ ratio, a: left }) => ratio === (left === 0 ? null : 1))).toBe(
      true,
    );
  });

  it('calls repeats the same configuration, and compares their results', () => {
    const b = buildRecord(fakeRun({ result: fakeResult({ seconds: 4, tokensPerSecond: 1 }) }), 1);
    const diff = diffRuns(a, b);
    expect(diff).toMatchObject({ isSameConfiguration: true, configuration: [], isSameOutput: true });
    expect(diff.results).toEqual(
      expect.arrayContaining([
        { field: 'tokensPerSecond', unit: 'tokens/s', a: 2, b: 1, ratio: 0.5 },
        { field: 'seconds', unit: 's', a: 2, b: 4, ratio: 2 },
        { field: 'nearTies', unit: 'tokens', a: 0, b: 0, ratio: null },
      ]),
    );
  });

  it('goes into lists of what is no number, so that each difference is a value', () => {
    const withLanes = (hertz: number) => {
      const { machine, ...record } = fakePrediction({ axes: {}, tokensPerSecond: 1 });
      const lanes = [{ name: 'device', kinds: ['a', 'b'], arithmetic: [[1, hertz]], rows: [1, 2, hertz] }];
      return { ...record, machine: { ...machine, lanes } } as never;
    };
    expect(diffRuns(withLanes(1), withLanes(2)).configuration).toEqual([
      { field: 'machine.lanes.0.arithmetic.0', a: [1, 1], b: [1, 2] },
      { field: 'machine.lanes.0.rows', a: [1, 2, 1], b: [1, 2, 2] },
    ]);
  });

  it('names every field that differs, with both values', () => {
    const policy = { ...fakeResult().policy, candidates: 5 };
    const b = buildRecord(
      fakeRun({
        result: fakeResult({ strategy: 'none', policy, acceptance: null, outputDigest: 'cd'.repeat(32) }),
        draft: null,
        seed: 3,
        machine: { ...fakeMachine, caps: { ...noCaps, linkBytesPerSecond: 1e9 } },
        provenance: { ...a.provenance, commit: null, packages: { 'onnxruntime-node': '1.31.0' } },
      }),
      0,
    );
    const diff = diffRuns(a, b);
    expect(diff).toMatchObject({ isSameConfiguration: false, isSameOutput: false });
    expect(diff.configuration).toEqual(
      expect.arrayContaining([
        { field: 'strategy', a: 'serial', b: 'none' },
        { field: 'policy.candidates', a: 4, b: 5 },
        { field: 'seed', a: 0, b: 3 },
        { field: 'model.draft.name', a: 'draft', b: null },
        { field: 'machine.caps.linkBytesPerSecond', a: null, b: 1e9 },
      ]),
    );
    expect(diff.configuration.map(({ field }) => field)).not.toContain('workload.digest');
    expect(diff.provenance).toEqual([
      { field: 'commit', a: 'c'.repeat(40), b: null },
      { field: 'packages.onnxruntime-node', a: '1.30.0', b: '1.31.0' },
    ]);
    expect(diff.results).toContainEqual({
      field: 'acceptanceRate',
      unit: '0 to 1',
      a: 0.5,
      b: null,
      ratio: null,
    });
  });

  it('takes names for names', () => {
    const b = buildRecord(fakeRun({ target: fakeCheckpoint('renamed', 'a') }), 0);
    expect(diffRuns(a, b)).toMatchObject({
      isSameConfiguration: true,
      configuration: [{ field: 'model.target.name', a: 'target', b: 'renamed' }],
    });
  });

  it('compares what was asked for, and what else the machine did', () => {
    const quiet = fakeRecord({ axes: { batch: 2 }, tokensPerSecond: 1 });
    const loud = fakeRecord({ axes: { batch: 4 }, tokensPerSecond: 1, isDisturbed: true });
    const diff = diffRuns(quiet, loud);
    expect(diff.point).toContainEqual({ field: 'axes.batch', a: 2, b: 4 });
    expect(diff.conditions).toContainEqual({ field: 'isDisturbed', a: false, b: true });
  });

  it('compares a run with its prediction', () => {
    const diff = diffRuns(
      fakeRecord({ axes: {}, tokensPerSecond: 2 }),
      fakePrediction({ axes: {}, tokensPerSecond: 3 }),
    );
    expect(diff.isSameOutput).toBeNull();
    expect(diff.configuration).toContainEqual({ field: 'kind', a: 'measured', b: 'simulated' });
    expect(diff.results).toContainEqual(
      expect.objectContaining({ field: 'tokensPerSecond', a: 2, b: 3, ratio: 1.5 }),
    );
  });
});
