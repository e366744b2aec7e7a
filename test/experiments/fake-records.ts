/** Records of an experiment that nobody ran. */

import { digestOf, type Json } from '../../experiments/src/store/canonical.js';
import {
  buildRecord,
  earlierKeyOf,
  type MeasuredRecord,
  type MeasuredRun,
  type PointRecord,
  type SimulatedRecord,
} from '../../experiments/src/store/index.js';
import { fakeResult, fakeRun } from './fake-run.js';

export interface FakePoint {
  readonly axes: PointRecord['axes'];
  readonly settings?: PointRecord['settings'];
  readonly tokensPerSecond: number;
  readonly repeat?: number;
  readonly isDisturbed?: boolean;
  readonly experiment?: string;
  readonly run?: Partial<MeasuredRun>;
}

/** Points differ when their axes do. */
const pointKeyOf = (axes: PointRecord['axes']) => digestOf(axes as Json).slice(0, 32);

export function fakeRecord(fake: FakePoint): MeasuredRecord {
  const { axes, settings = {}, tokensPerSecond, repeat = 0, isDisturbed = false, experiment = 'test' } = fake;
  const policy = { ...fakeResult().policy, ...(axes.candidates && { candidates: Number(axes.candidates) }) };
  const run = fakeRun({ result: fakeResult({ tokensPerSecond, policy }), ...fake.run });
  return {
    ...buildRecord(run, repeat),
    point: { experiment, pointKey: pointKeyOf(axes), axes, settings: { ...settings, ...axes } },
    conditions: { stolenShare: 0, othersShare: isDisturbed ? 0.5 : 0, isDisturbed },
  };
}

/** The same as a prediction. */
export function fakePrediction(fake: FakePoint): SimulatedRecord {
  const {
    conditions: _conditions,
    machine: _machine,
    result,
    workload,
    spec: _spec,
    ...rest
  } = fakeRecord(fake);
  const { nearTies: _ties, setupSeconds: _setup, outputDigest: _digest, ...outcome } = result;
  const { directReads: _direct, laneGaps: _gaps, ...common } = outcome;
  const predicted = {
    ...rest,
    kind: 'simulated',
    machine: {
      name: 'env1',
      lanes: { disk: {}, link: {}, host: {}, device: {} } as SimulatedRecord['machine']['lanes'],
      memory: { deviceBytes: 1, hostBytes: 1, diskBytes: 1 },
      options: {
        interruptsDraft: false,
        laneWidth: { disk: 1, link: 1, host: 1, device: 1 },
        variability: { disk: 0, link: 0, host: 0, device: 0 },
      },
    },
    workload: { ...workload, acceptance: null, routingSkew: 0 },
    result: common,
  } as const;
  return { ...predicted, key: earlierKeyOf(predicted) };
}
