import { describe, expect, it } from 'vitest';
import {
  buildRecord,
  determinantsOf,
  diffRuns,
  pointIdOf,
  pointKeyOf,
  pointOf,
  type RunRecord,
  toRow,
  turnIdOf,
} from '../../../experiments/src/store/index.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';
import { fakeMachine, fakeResult, fakeRun } from '../fake-run.js';

const idOf = (record: RunRecord) => pointIdOf(pointOf(record));
const { point: _point, ...own } = fakeRecord({ axes: {}, tokensPerSecond: 1 });
const { spec: _spec, ...stray } = own;
const { point: _asked, ...prediction } = fakePrediction({ axes: {}, tokensPerSecond: 1 });

describe('runs that no experiment asked for', () => {
  it('are of one point when they differ in seed, repeat and outcome alone', () => {
    const again = { ...stray, seed: 7, repeat: 3, createdAt: '2026-01-02T00:00:00.000Z' };
    expect(idOf(again)).toBe(idOf(stray));
    expect(idOf(buildRecord(fakeRun({ result: fakeResult({ tokensPerSecond: 99 }) }), 1))).toBe(
      idOf(buildRecord(fakeRun(), 0)),
    );
  });

  const { model, machine, workload, policy } = stray;
  it.each<[string, RunRecord]>([
    ['policy', { ...stray, policy: { ...policy, candidates: policy.candidates + 1 } }],
    ['strategy', { ...stray, strategy: 'flexgen' }],
    ['model', { ...stray, model: { ...model, target: { ...model.target, digest: '0'.repeat(64) } } }],
    ['budget', { ...stray, machine: { ...machine, memory: { deviceBytes: 1, hostBytes: 1 } } }],
    ['cap', { ...stray, machine: { ...machine, caps: { ...machine.caps, linkBytesPerSecond: 7 } } }],
    ['texts', { ...stray, workload: { ...workload, digest: '0'.repeat(64) } }],
    ['processor', { ...stray, provenance: { ...stray.provenance, cpu: 'another cpu' } }],
  ])('are of two points when their %s differs, and say by what', (_what, other) => {
    expect(idOf(other)).not.toBe(idOf(stray));
    expect(determinantsOf(other)).not.toEqual(determinantsOf(stray));
  });

  it('are of two points when another device computed, whether their records hold a spec or not', () => {
    const run = fakeRun({ machine: { ...fakeMachine, device: 'isolated' } });
    const { spec: _none, ...other } = buildRecord(run, 0);
    expect(idOf(buildRecord(run, 0))).not.toBe(idOf(own));
    expect(idOf(other)).not.toBe(idOf(stray));
    expect(determinantsOf(other)['machine.device']).toBe('isolated');
    expect(determinantsOf(stray)).not.toHaveProperty('machine.device');
  });

  it('are of two points when another card computed', () => {
    const withCard = (name: string): RunRecord => {
      const device = { name, driver: '1.0', link: 'imported', hasCopyQueue: true } as const;
      return { ...own, result: { ...own.result, device } };
    };
    const [one, other] = [withCard('Card A'), withCard('Card B')];
    expect(new Set([own, one, other].map(idOf)).size).toBe(3);
    expect(determinantsOf(one)['computer.gpu']).toBe('Card A');
    expect([toRow(own).gpu, toRow(one).gpu]).toEqual([null, 'Card A']);
    expect(diffRuns(one, other).provenance).toEqual([{ field: 'gpu', a: 'Card A', b: 'Card B' }]);
  });

  it('are of two points when other code predicted', () => {
    const { machine } = prediction;
    const options = { ...machine.options, predictionVersion: 2 };
    expect(idOf({ ...prediction, machine: { ...machine, options } })).not.toBe(idOf(prediction));
  });
});

it('a point of an experiment is what was asked for', () => {
  const record = fakeRecord({ axes: { a: 1 }, tokensPerSecond: 1 });
  expect(pointKeyOf(record)).toBe(record.point!.pointKey);
});

it('repeats of a prediction are one turn, of a measurement several', () => {
  expect(turnIdOf({ ...prediction, repeat: 1 })).toBe(turnIdOf(prediction));
  expect(turnIdOf({ ...stray, repeat: 1 })).not.toBe(turnIdOf(stray));
});
