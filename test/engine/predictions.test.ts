/**
 * The shipped calibration was fitted to the predictions as they are: making them faster must not change one bit of
 * them. Whoever changes them on purpose fits again (`specoffload reproduce --fit`), raises `predictionVersion`, so that
 * sweeps do not take old records for new ones, and writes the new digests here.
 */

import { createHash } from 'node:crypto';
import {
  type Acceptance,
  bf16Formats,
  catalogSpec,
  describeModel,
  type FlatMachine,
  type PolicyInput,
  predictionVersion,
  type SimulationRequest,
  type StrategyName,
  simulateRun,
  summarise,
  unflattenMachine,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { laterFields } from '../../experiments/src/store/determinants.js';
import { specOf } from './tiny.js';

const shallow = (name: string, numLayers: number) => ({
  ...summarise(catalogSpec(name)),
  numLayers,
});
const models = {
  mixtral: describeModel({ name: 'mixtral', spec: specOf(shallow('mixtral-8x7b', 6)) }),
  experts: describeModel({ name: 'experts', spec: specOf(shallow('mixtral-8x7b', 3)), unit: 'expert' }),
  llama: describeModel({ name: 'llama', spec: specOf(shallow('llama-3.3-70b', 5)) }),
};
const byPosition: Acceptance = { kind: 'rates', name: 'falling', byPosition: [0.9, 0.8, 0.7, 0.6, 0.5, 0.4] };
const recorded: Acceptance = {
  ...{ kind: 'recorded', name: 'recorded', candidates: 8, newTokens: 12 },
  sequences: Array.from({ length: 24 }, (_, sequence) =>
    Array.from({ length: sequence % 5 === 4 ? 9 : 12 }, (_, token) => (sequence * 7 + token * 5) % 9),
  ),
};

const lane = { overheadSeconds: 1e-5, secondsPerRow: 0, latencySeconds: 0 };

/** Like the paper's first machine, with every kind of cost; not a machine file, because a new fit changes those. */
const desktop: FlatMachine = {
  ...{ name: 'desktop', description: 'for tests', formats: bf16Formats, interruptsDraft: true },
  disk: { overheadSeconds: 1e-4, bytesPerSecond: 3.5e9 },
  link: {
    overheadSeconds: 2e-5,
    ...{ bytesPerSecond: 11e9, pageableBytesPerSecond: 7.7e9, cacheBytesPerSecond: 2.4e9 },
  },
  host: {
    ...{ ...lane, latencySeconds: 2e-4, arithmetic: [[1, 1.4e12]], scoreFlopsPerSecond: 1.4e12 },
    ...{ memoryBytesPerSecond: 16e9, cacheBytesPerSecond: 1.5e9 },
    kinds: { realign: { secondsPerRow: 2e-5 } },
  },
  device: {
    ...{ ...lane, scoreFlopsPerSecond: 1.5e14, memoryBytesPerSecond: 1e12, cacheBytesPerSecond: 1.3e11 },
    arithmetic: [
      [1, 1e12],
      [128, 1.5e14],
    ],
    kinds: { draft: { latencySeconds: 3e-4, secondsPerRow: 1e-6 } },
  },
  variability: { disk: 0, link: 0, host: 0, device: 0 },
  laneWidth: { disk: 1, link: 1, host: 1, device: 2 },
  memory: { deviceBytes: 24e9, hostBytes: 256e9, diskBytes: 1e12 },
};
const flatMachines = {
  desktop,
  server: { ...desktop, name: 'server', link: { ...desktop.link, bytesPerSecond: 25e9 } },
  uneven: {
    ...{ ...desktop, name: 'uneven', interruptsDraft: false },
    variability: { disk: 0.1, link: 0.05, host: 0.2, device: 0.07 },
    laneWidth: { disk: 2, link: 1, host: 1, device: 2 },
    memory: { ...desktop.memory, deviceBytes: 18e9, hostBytes: 16e9 },
  },
} satisfies Record<string, FlatMachine>;

interface Case {
  readonly strategy: StrategyName;
  readonly model: keyof typeof models;
  readonly machine: keyof typeof flatMachines;
  readonly policy: PolicyInput;
  readonly acceptance?: Acceptance;
  /** Half a digest of everything that came out, spans included. */
  readonly digest: string;
}

const cases: readonly Case[] = [
  { strategy: 'none', model: 'mixtral', machine: 'desktop', policy: {}, digest: 'c0d96be78668800d' },
  {
    strategy: 'none',
    model: 'llama',
    machine: 'uneven',
    policy: { prefetchDepth: 1, keptLayers: 1, prefillOrder: 'batch-major', prefillBatch: 5 },
    digest: 'd81f47dc257325d8',
  },
  {
    strategy: 'serial',
    model: 'mixtral',
    machine: 'server',
    policy: { candidates: 6, draftCache: 'window', draftWindow: 32, draftBatch: 5 },
    digest: '216e395537b062ba',
  },
  {
    strategy: 'serial',
    model: 'llama',
    machine: 'uneven',
    policy: { speculation: 'ahead', candidates: 3 },
    digest: '70e0675ffc7bbc63',
  },
  {
    strategy: 'serial',
    model: 'experts',
    machine: 'desktop',
    policy: { candidates: 4, decodeBatch: 8, refill: 'yes', prefillBatch: 3 },
    acceptance: recorded,
    digest: '137be728dbaf91c3',
  },
  {
    strategy: 'specoffload',
    model: 'mixtral',
    machine: 'desktop',
    policy: {
      draftCache: 'recompute',
      projections: 'host',
      prefillAttention: 'device',
      ending: 'slowest',
      draftPlacement: 'after-prefill',
    },
    digest: '5fbb905d92cb055c',
  },
  {
    strategy: 'specoffload',
    model: 'experts',
    machine: 'uneven',
    policy: { experts: 'routed', candidates: 2, microBatch: 4 },
    digest: '89e6babc3266684e',
  },
  {
    strategy: 'specoffload',
    model: 'llama',
    machine: 'server',
    policy: { candidates: 5, decodeBatch: 6 },
    acceptance: recorded,
    digest: '0d9de4d053ce26dd',
  },
  { strategy: 'accelerate', model: 'mixtral', machine: 'desktop', policy: {}, digest: '04edd81c31244b13' },
  {
    strategy: 'deepspeed',
    model: 'experts',
    machine: 'server',
    policy: { speculation: 'serial', candidates: 3, draftCache: 'recompute' },
    digest: 'a4dfaaf9af7233dd',
  },
  {
    strategy: 'flexgen',
    model: 'mixtral',
    machine: 'uneven',
    policy: { microBatch: 6, prefillBatch: 6 },
    digest: 'de56c157623d49c9',
  },
  { strategy: 'fiddler', model: 'experts', machine: 'desktop', policy: {}, digest: 'c98df71c0a8969fa' },
  {
    strategy: 'hetegen',
    model: 'llama',
    machine: 'desktop',
    policy: { hostShare: 0.3 },
    digest: '7712e772eaaffc4f',
  },
  {
    strategy: 'apex',
    model: 'mixtral',
    machine: 'server',
    policy: { pinnedLayers: 2 },
    digest: 'a8541c0fa9b76302',
  },
];

describe('predictions', () => {
  it.each(cases)('of $strategy with $model on $machine, $policy', async (one) => {
    const { vocabSize } = models[one.model].spec;
    const draft = describeModel({
      name: 'draft',
      spec: specOf({ ...shallow('mistral-7b', 2), vocabSize }),
    });
    const request: SimulationRequest = {
      ...{ target: models[one.model], draft, strategy: one.strategy, policy: one.policy },
      promptLengths: Array.from({ length: 24 }, (_, index) => 40 + ((index * 83) % 160)),
      ...{
        maxNewTokens: 12,
        machine: unflattenMachine(flatMachines[one.machine]),
        acceptance: one.acceptance ?? byPosition,
      },
      routingSkew: 0.4,
    };
    expect(digestOf(await simulateRun(request))).toBe(one.digest);
  });
});

it('of one version are the same', () => {
  const all = createHash('sha256').update(cases.map(({ digest }) => digest).join());
  expect([predictionVersion, all.digest('hex').slice(0, 16)]).toEqual([1, '3cc9b1c2d393ed0f']);
});

/** Fields by name, so that later ones do not count: these cases do what was done before policies had them. */
function digestOf(result: Awaited<ReturnType<typeof simulateRun>>): string {
  const { newTokens, generatedTokens, seconds, acceptance, bytesMoved, memoryBytes, passes } = result;
  const fields = Object.entries(result.policy);
  expect(Object.fromEntries(fields.filter(([field]) => field in laterFields))).toEqual(laterFields);
  const policy = Object.fromEntries(fields.filter(([field]) => !(field in laterFields)));
  const phases = Object.values(result.phases).map((phase) => [phase.seconds, phase.lanes]);
  const spans = result.spans.map((span) => [
    ...[span.id, span.lane, span.kind, span.name, span.phase, span.pass, span.batch],
    ...[span.bytes, span.rows, span.flops, span.readySeconds, span.startSeconds, span.endSeconds],
  ]);
  const outcome = [policy, newTokens, generatedTokens, seconds, acceptance, bytesMoved, memoryBytes, passes];
  return createHash('sha256')
    .update(JSON.stringify([outcome, phases, spans]))
    .digest('hex')
    .slice(0, 16);
}
