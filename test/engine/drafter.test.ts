import {
  closedForm,
  type Drafter,
  type DrafterName,
  openCheckpoint,
  type PlanRequest,
  type PolicyInput,
  placeContender,
  planRun,
  promptLookup,
  type RunRequest,
  recordAcceptance,
  runEngine,
  type SimulationRequest,
  type StrategyName,
  simulateRun,
  suffixLookup,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { planSpace } from '../../engine/dist/plan/space.js';
import { goldenDirectory, readGolden } from './model/golden.js';
import { workstation } from './plan-cases.js';

describe('a drafter without a model', () => {
  const prompts = readGolden('mixtral').prompts.map(({ ids }) => [...ids, ...ids.slice(0, 3)]);
  let request: Omit<RunRequest, 'strategy'>;
  let plain: string;

  beforeAll(async () => {
    request = {
      ...{ target: await openCheckpoint(goldenDirectory('mixtral')), draft: null, prompts },
      ...{ maxNewTokens: 16, machine: { deviceBytes: 16e6, hostBytes: 16e6 } },
      policy: { pinnedLayers: 0, keptLayers: 0 },
    };
    plain = (await runEngine({ ...request, strategy: 'none' })).outputDigest;
  });

  it.each<[DrafterName, StrategyName, PolicyInput]>([
    ['prompt-lookup', 'serial', { candidates: 3 }],
    ['suffix-automaton', 'serial', { candidates: 4, speculation: 'ahead', microBatch: 1 }],
    ['suffix-automaton', 'specoffload', { candidates: 2, decodeBatch: 1 }],
    ['prompt-lookup', 'deepspeed', { candidates: 5, speculation: 'serial' }],
  ])('writes what plain decoding writes: %s under %s with %o', async (drafter, strategy, policy) => {
    const run = await runEngine({
      ...{ ...request, strategy, drafter, device: { kind: 'isolated' } },
      policy: { ...request.policy, ...policy },
    });
    expect(run.outputDigest).toBe(plain);
    expect(run.acceptance?.proposed).toBeGreaterThan(0);
    const looked = run.spans.filter(({ kind }) => kind === 'draft');
    expect(new Set(looked.map(({ lane }) => lane))).toEqual(new Set(['host']));
  });

  it('saves passes where a text repeats itself', async () => {
    const repeated = {
      ...{ ...request, target: await openCheckpoint(goldenDirectory('mistral-full')), maxNewTokens: 90 },
      prompts: readGolden('mistral-full').prompts.map(({ ids }) => ids),
    };
    const alone = await runEngine({ ...repeated, strategy: 'none' });
    for (const drafter of [promptLookup, suffixLookup]) {
      const looking = await runEngine({ ...repeated, strategy: 'serial', drafter });
      expect(looking.outputDigest).toBe(alone.outputDigest);
      expect(looking.acceptance?.rate).toBeGreaterThan(0.1);
      expect(looking.passes).toBeLessThan(alone.passes);
    }
  });

  const imagined = (): SimulationRequest => ({
    ...{ ...request, machine: workstation, strategy: 'serial', policy: { candidates: 3 } },
    promptLengths: prompts.map(({ length }) => length),
    acceptance: { kind: 'rates', name: 'half', byPosition: [0.5] },
  });

  it('is predicted like any other: what it proposes, and what its tasks cost', async () => {
    const looking = await simulateRun({ ...imagined(), drafter: promptLookup });
    expect(looking.newTokens).toBe(16 * prompts.length);
    expect(looking.acceptance?.rate).toBeGreaterThan(0.2);
    const looked = looking.spans.filter(({ kind }) => kind === 'draft');
    expect(looked.length).toBeGreaterThan(0);
    for (const { startSeconds, endSeconds, flops } of looked) {
      expect(flops).toBeGreaterThan(0);
      expect(endSeconds).toBeGreaterThan(startSeconds);
    }
  });

  it('has the memory that it asks for counted, and is told where sequences end', async () => {
    const forgotten: number[] = [];
    const hungry: Drafter = {
      ...promptLookup,
      reserve:
        () =>
        ({ host, device }) => {
          host.place('n-grams', 1 << 20);
          device.place('n-grams', 1 << 21);
          return null;
        },
      begin: (run) => ({
        ...promptLookup.begin(run),
        forget: (sequence, length) => forgotten.push(sequence.length - length),
      }),
    };
    const [modest, more] = [
      await simulateRun({ ...imagined(), drafter: promptLookup }),
      await simulateRun({ ...imagined(), drafter: hungry }),
    ];
    expect(more.memoryBytes.host - modest.memoryBytes.host).toBe(1 << 20);
    expect(more.memoryBytes.device - modest.memoryBytes.device).toBe(1 << 21);
    // The last token is the target's own, which nobody has been given yet.
    expect(new Set(forgotten)).toEqual(new Set([1]));
  });

  it('is planned for without what only a draft model heeds, and cheaply on the host', async () => {
    const { target, draft, machine, maxNewTokens, promptLengths } = imagined();
    const job: PlanRequest = {
      ...{ target, draft, machine, maxNewTokens },
      ...{ drafter: 'prompt-lookup', strategies: ['none', 'serial'], numSeeds: 1 },
      ...{ promptLengths, acceptance: { kind: 'rates', name: 'half', byPosition: [0.5] } },
    };
    const families = planSpace({ ...job, numPrompts: promptLengths.length });
    const serial = families.find(({ speculation }) => speculation === 'serial')!;
    const names = serial.coordinates.map(({ name }) => name);
    expect(names).toContain('candidates');
    expect(names.filter((name) => name.startsWith('draft'))).toEqual([]);
    expect(planSpace({ ...job, drafter: 'model', numPrompts: 4 }).map((one) => one.speculation)).toEqual([
      'none',
    ]);

    const contender = { strategy: 'serial', policy: { candidates: 3 } } as const;
    const { phases } = closedForm({
      ...job,
      acceptance: job.acceptance,
      prepared: placeContender(job, contender),
    });
    const simulated = await simulateRun({ ...imagined(), drafter: 'prompt-lookup' });
    const busy = simulated.phases.decode.lanes.host.busySeconds;
    expect(phases.decode.lanes.host / busy).toBeGreaterThan(0.7);
    expect(phases.decode.lanes.host / busy).toBeLessThan(1.3);

    const { bestByWay } = await planRun({ ...job, mostSimulations: 4 });
    expect(bestByWay.map(({ strategy }) => strategy)).toContain('serial');
    await expect(planRun({ ...job, acceptance: null })).rejects.toThrow('needs an acceptance');
  });

  it('has what it remembers counted, by the token', async () => {
    const [alone, remembering] = [
      await simulateRun({ ...imagined(), drafter: promptLookup }),
      await simulateRun({ ...imagined(), drafter: suffixLookup }),
    ];
    const tokens = prompts.reduce((sum, { length }) => sum + length + 16, 0);
    const more = remembering.memoryBytes.host - alone.memoryBytes.host;
    expect(more).toBeGreaterThan(100 * tokens);
    expect(more).toBeLessThan(120 * tokens);
  });

  it.each(['prompt-lookup', 'suffix-automaton'] as const)(
    'is right as often as texts say of %s',
    async (drafter) => {
      const { target, machine } = request;
      const texts = (await runEngine({ ...request, strategy: 'none', stopAtEos: false })).sequences.map(
        ({ ids }, index) => ({ prompt: prompts[index], newIds: ids }),
      );
      const trace = await recordAcceptance({
        ...{ name: 'own', draft: null, drafter, texts, candidates: 3, newTokens: 16, machine },
      });
      const run = await runEngine({
        ...{ ...request, target, strategy: 'serial', drafter, stopAtEos: false },
        policy: { ...request.policy, candidates: 3 },
      });
      const predicted = await simulateRun({ ...imagined(), drafter, acceptance: trace });
      expect(predicted.acceptance?.accepted).toBe(run.acceptance?.accepted);
      expect(predicted.passes).toBe(run.passes);
      // What is not found is not verified either.
      expect(predicted.acceptance?.proposed).toBe(run.acceptance?.proposed);
    },
  );

  it('is known by name, or not at all', async () => {
    await expect(runEngine({ ...request, strategy: 'serial', drafter: 'oracle' as 'model' })).rejects.toThrow(
      'unknown drafter: "oracle"; expected model, prompt-lookup, suffix-automaton or self',
    );
  });

  it('or one with, is needed by whatever speculates', async () => {
    await expect(runEngine({ ...request, strategy: 'serial' })).rejects.toThrow(
      'the strategy serial needs a draft model; give one, or use strategy none',
    );
  });
});
