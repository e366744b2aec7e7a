/** Weights in crossbars: what they take, what no longer moves, what time and energy come of it, and where the wall is. */

import {
  describeCatalogModel,
  flattenMachine,
  type PolicyInput,
  parseMachineModel,
  type SimulationResult,
  simulateRun,
  withRate,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { type Appraisal, Appraiser } from '../../engine/dist/plan/appraise.js';

const crossbars = {
  ...{ bytes: '2GB', bytesPerWeight: 2, productSeconds: '2us', joulesPerOperation: 1e-12 },
  ...{ writeBytesPerSecond: '1GB/s', writeJoulesPerByte: 1e-9, idleWatts: 3 },
};

const machineWith = (besides: object) =>
  parseMachineModel(
    {
      ...{ schema: 2, name: 'test', description: 'for tests', formats: 'bf16' },
      memories: [
        { name: 'disk', bytes: '1TB' },
        { name: 'host', bytes: '64GB' },
        { name: 'device', bytes: '1.5GB' },
      ],
      lanes: [
        { name: 'disk', moves: { from: 'disk', to: 'host' }, bytesPerSecond: '3GB/s' },
        { name: 'link', moves: { from: 'host', to: 'device' }, bytesPerSecond: '10GB/s' },
        { name: 'host', computesOn: 'host', arithmetic: '1TFLOP/s', memoryBytesPerSecond: '50GB/s' },
        { name: 'device', computesOn: 'device', arithmetic: '50TFLOP/s', memoryBytesPerSecond: '1TB/s' },
      ],
      ...besides,
    },
    'm.json',
  );

const machine = machineWith({ crossbars });
const target = describeCatalogModel('llama-3.2-1b');
const { layers } = target;
const weightsOf = (group: { tensors: readonly { ref: { numElements: number } }[] }) =>
  group.tensors.reduce((sum, { ref }) => sum + ref.numElements, 0);

const predict = (policy: PolicyInput, on = machine): Promise<SimulationResult> =>
  simulateRun({
    ...{ target, draft: null, machine: on, strategy: 'none', policy },
    ...{ promptLengths: [16, 16], maxNewTokens: 4 },
  });

const spansOn = ({ spans }: SimulationResult, lane: string) => spans.filter((span) => span.lane === lane);

describe('groups in crossbars', () => {
  it.each([
    ['attention', layers.map(({ attention }) => attention), ['project', 'mix']],
    ['experts', layers.flatMap(({ experts }) => experts), ['expert']],
    [
      'layers',
      layers.flatMap(({ attention, experts }) => [attention, ...experts]),
      ['project', 'mix', 'expert'],
    ],
    ['head', [target.head], ['head']],
  ] as const)(
    '%s: never move, are multiplied there, and take what they weigh',
    async (which, groups, kinds) => {
      const [plain, result] = [
        await predict({ pinnedLayers: 0 }),
        await predict({ pinnedLayers: 0, crossbars: which }),
      ];
      const moved = (run: SimulationResult) => run.spans.filter(({ kind }) => kind === 'upload');
      const ids = groups.map(({ id }) => id);
      expect(moved(result).filter(({ name }) => ids.some((id) => name === `upload ${id}`))).toEqual([]);
      const others = moved(plain).filter(({ name }) => !ids.some((id) => name === `upload ${id}`));
      expect(moved(result).map(({ name }) => name)).toEqual(others.map(({ name }) => name));
      expect([...new Set(spansOn(result, 'crossbars').map(({ kind }) => kind))].sort()).toEqual(
        [...kinds].sort(),
      );
      for (const kind of kinds)
        expect(spansOn(result, 'device').some((span) => span.kind === kind)).toBe(false);
      // Handed out in pages.
      let bytes = 0;
      for (const group of groups) bytes += Math.ceil((2 * weightsOf(group)) / 4096) * 4096;
      const { memoryBytes, crossbars: report } = result;
      expect(memoryBytes.crossbars).toBe(bytes);
      const inLayers = which === 'head' ? 0 : layers.length;
      expect(report).toEqual({
        layers: inLayers,
        bytes,
        writeSeconds: bytes / 1e9,
        writeJoules: bytes * 1e-9,
      });
    },
  );

  it('take a product of time by the row, an FFN two, and energy by the operation', async () => {
    const { phases, energy, spans, seconds } = await predict({ crossbars: 'layers' });
    const rows = { prefill: 32, decode: 2 };
    const passes = { prefill: 1, decode: 3 };
    let operations = 0;
    for (const phase of ['prefill', 'decode'] as const)
      expect(phases[phase].lanes.crossbars.busySeconds).toBeCloseTo(
        layers.length * passes[phase] * rows[phase] * 4 * 2e-6,
        9,
      );
    for (const { lane, flops } of spans) if (lane === 'crossbars') operations += flops;
    expect(energy?.parts['crossbar products']).toBeCloseTo(operations * 1e-12, 12);
    expect(energy?.parts['crossbars memory']).toBeCloseTo(3 * seconds, 9);
  });

  it('work side by side where they are experts of one layer', async () => {
    const moe = describeCatalogModel('mixtral-8x7b');
    const roomy = withRate(withRate(machine, 'memory.crossbarsBytes', 1e11), 'memory.deviceBytes', 8e9);
    const { phases } = await simulateRun({
      ...{ target: moe, draft: null, machine: withRate(roomy, 'memory.hostBytes', 2e11), strategy: 'none' },
      ...{ policy: { crossbars: 'experts' }, promptLengths: [64], maxNewTokens: 1 },
    });
    // 64 rows choose two of eight: sixteen for each.
    expect(phases.prefill.lanes.crossbars.busySeconds).toBeCloseTo(moe.layers.length * 16 * 2 * 2e-6, 9);
  });

  it('attend on the device between projections in crossbars, the cache crossing as before', async () => {
    const policy = { attention: 'device', prefillAttention: 'device' } as const;
    const [plain, held] = [await predict(policy), await predict({ ...policy, crossbars: 'attention' })];
    const fetched = (run: SimulationResult, kind: string) =>
      run.spans.filter((span) => span.kind === kind).reduce((sum, { bytes }) => sum + bytes, 0);
    for (const kind of ['fetch', 'store']) expect(fetched(held, kind)).toBe(fetched(plain, kind));
    const scores = held.spans.filter(({ kind }) => kind === 'attention');
    expect(scores.every(({ lane }) => lane === 'device')).toBe(true);
    expect(scores).toHaveLength(plain.spans.filter(({ kind }) => kind === 'attention').length);
  });

  it('leave their place on the device to others, and are of as many layers as fit', async () => {
    const [plain, held] = await Promise.all(
      (['none', 'experts'] as const).map((which) => predict({ crossbars: which })),
    );
    expect(held.policy.pinnedLayers).toBeGreaterThan(plain.policy.pinnedLayers);
    const small = withRate(machine, 'memory.crossbarsBytes', 5e8);
    const { crossbars: report } = await predict({ crossbars: 'experts' }, small);
    const ofLayer = Math.ceil((2 * weightsOf(layers[0].experts[0])) / 4096) * 4096;
    expect(report?.layers).toBe(Math.floor(5e8 / ofLayer));
  });

  it('may be a draft model, whose cache stays on the device', async () => {
    const roomy = withRate(withRate(machine, 'memory.crossbarsBytes', 4e9), 'memory.deviceBytes', 6e9);
    const acceptance = { kind: 'rates', name: 'test', byPosition: [1] } as const;
    const job = { target, draft: target, machine: roomy, acceptance, promptLengths: [16], maxNewTokens: 11 };
    const of = (which: 'none' | 'draft') =>
      simulateRun({ ...job, strategy: 'serial', policy: { crossbars: which } });
    const [plain, held] = [await of('none'), await of('draft')];
    expect(spansOn(held, 'crossbars').every(({ kind }) => kind === 'draft')).toBe(true);
    expect(held.spans.filter(({ kind }) => kind === 'draft').length).toBeGreaterThan(0);
    expect(held.memoryBytes.crossbars).toBeGreaterThanOrEqual(2 * target.parameters);
    expect(plain.spans.some(({ lane }) => lane === 'crossbars')).toBe(false);
    const estimate = new Appraiser(job).appraise({ strategy: 'serial', policy: { crossbars: 'draft' } });
    const { lanes } = (estimate as Appraisal).closedForm.phases.decode;
    expect(lanes.crossbars! / held.phases.decode.lanes.crossbars!.busySeconds).toBeCloseTo(1, 1);
  });
});

describe('a wall', () => {
  it.each([
    [{ crossbars: 'layers', crossbarLayers: 16 }, 'invalid crossbars: layers; those of 16 layers take', 1e9],
    [{ crossbars: 'head' }, 'invalid crossbars: head; the head takes 526 MB of the 1', 1e6],
    [{ crossbars: 'experts' }, 'those of 1 layer take', 1e6],
    [{ crossbars: 'draft' }, 'no draft model proposes', 1e9],
  ] as const)('%j is refused', async (policy, message, bytes) => {
    const small = withRate(machine, 'memory.crossbarsBytes', bytes);
    await expect(predict(policy, small)).rejects.toThrow(message);
  });
});

describe('a machine without crossbars', () => {
  it('is written down as before, and refuses them', async () => {
    const without = machineWith({});
    expect(JSON.stringify(flattenMachine(without))).not.toMatch(/crossbar/);
    await expect(predict({ crossbars: 'experts' }, without)).rejects.toThrow('this machine has none');
    const besides = { ...crossbars, bytes: '1kB' };
    expect(() => machineWith({ crossbars: besides })).toThrow('crossbars.bytes');
  });

  it('predicts what it does with crossbars in which there is nothing', async () => {
    const [without, unused] = [await predict({}, machineWith({})), await predict({})];
    expect(unused.spans).toEqual(without.spans);
    expect(unused).not.toHaveProperty('crossbars');
  });
});
