import { join } from 'node:path';
import {
  describeCatalogModel,
  flattenMachine,
  noCaps,
  policyFieldNames,
  policyFields,
  type SimulationRequest,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../experiments/src/definitions/definition.js';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { digestOnce } from '../../../experiments/src/store/canonical.js';
import {
  buildRecord,
  determinantsOf,
  diffRuns,
  earlierKeyOf,
  parseRunRecord,
  readRuns,
  specOfCounterpart,
  specOfPrediction,
  specOfRun,
  toRow,
} from '../../../experiments/src/store/index.js';
import { keyOfPoint, keyOfTurn } from '../../../experiments/src/store/spec.js';
import { openPredictedJob } from '../../../experiments/src/sweep/predicted-job.js';
import { Shelf } from '../../../experiments/src/sweep/shelf.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { workstation } from '../../engine/plan-cases.js';
import { fakeMachine, fakeRun } from '../fake-run.js';

const run = { ...fakeRun(), strategy: 'serial', policy: { candidates: 4 } } as const;
const spec = specOfRun(run);

describe('the spec of a run', () => {
  it('is what its outcome depends on, and no names', () => {
    expect(spec).toEqual({
      ...{ kind: 'measured', strategy: 'serial', policy: { candidates: 4 } },
      ...{ maxNewTokens: 2, stopAtEos: true, prompts: digestOnce(run.workload.prompts) },
      models: { target: 'a'.repeat(64), draft: 'b'.repeat(64) },
      machine: expect.objectContaining({ deviceBytes: 5e8, deviceCores: 1, linkBytesPerSecondCap: null }),
    });
    expect(Object.keys(spec.machine)).not.toContain('hostCacheBytesPerSecondCap');
    expect(Object.keys(spec.machine)).not.toContain('prefillCores');
    expect(specOfRun({ ...run, machine: { ...fakeMachine, prefillCores: 'idle' } })).toEqual(spec);
    const other = specOfRun({ ...run, machine: { ...fakeMachine, prefillCores: 2 } });
    expect(other).toEqual({ ...spec, machine: { ...spec.machine, prefillCores: 2 } });
  });

  it('names a drafter that is no draft model, where anything is proposed, and the draft model only where it proposes', () => {
    const looking = specOfRun({ ...run, drafter: 'prompt-lookup' });
    expect(looking).toEqual({ ...spec, drafter: 'prompt-lookup', models: { ...spec.models, draft: null } });
    expect(specOfRun({ ...run, drafter: 'model' })).toEqual(spec);
    const none = specOfRun({ ...run, strategy: 'none', drafter: 'prompt-lookup' });
    expect(none).toEqual(specOfRun({ ...run, strategy: 'none', draft: null }));
  });

  it('is told by records that hold it: in their columns, their determinants, and beside another', () => {
    const record = buildRecord(fakeRun({ spec: specOfRun({ ...run, drafter: 'prompt-lookup' }) }), 0);
    const usual = buildRecord(fakeRun({ spec }), 0);
    expect(record.model.draft).toBeNull();
    expect([toRow(record), toRow(usual)]).toMatchObject([
      { drafter: 'prompt-lookup', draft: null, device: 'cpu' },
      { drafter: 'model', draft: 'draft', device: 'cpu' },
    ]);
    expect(determinantsOf(record).drafter).toBe('prompt-lookup');
    expect(diffRuns(usual, record)).toMatchObject({
      isSameConfiguration: false,
      configuration: expect.arrayContaining([{ field: 'drafter', a: null, b: 'prompt-lookup' }]),
    });
    expect(parseRunRecord(JSON.parse(JSON.stringify(record)), 'run.json')).toEqual(record);
  });

  it.each<[string, Partial<Parameters<typeof specOfRun>[0]>]>([
    ['policy', { policy: { candidates: 5 } }],
    ['strategy', { strategy: 'none' }],
    ['draft', { draft: null }],
    ['drafter', { drafter: 'prompt-lookup' }],
    ['device', { machine: { ...fakeMachine, device: 'isolated' } }],
    [
      'cap that came later',
      { machine: { ...fakeMachine, caps: { ...noCaps, hostCacheBytesPerSecond: 1e9 } } },
    ],
    ['order of prompts', { workload: { prompts: [[4], [1, 2, 3]] } }],
    ['end', { stopAtEos: false }],
    ['text that ends it', { stops: ['\n\n'] }],
    ['temperature', { sampling: { temperature: 0.7 } }],
    ['seedless mask', { sampling: { temperature: 1, topK: 5 } }],
  ])('gives another key to another %s', (_, change) => {
    expect(keyOfPoint({}, specOfRun({ ...run, ...change }))).not.toBe(keyOfPoint({}, spec));
  });

  it('spells sampling in one way, without its seed, and says nothing of none', () => {
    expect(specOfRun({ ...run, sampling: { temperature: 0, topK: 3 }, stops: [] })).toEqual(spec);
    const one = specOfRun({ ...run, sampling: { topK: 3, seed: 1, topP: 1 } });
    expect(one).toEqual({ ...spec, sampling: { temperature: 1, topK: 3 } });
  });

  it('gives every turn a key of its own', () => {
    const keys = [0, 1].flatMap((seed) => [0, 1].map((repeat) => keyOfTurn('p', { seed, repeat })));
    expect(new Set(keys).size).toBe(4);
  });

  it('tells a prediction of it from it', () => {
    const machine = { name: 'x', lanes: [], memories: [] } as unknown as Parameters<
      typeof specOfCounterpart
    >[1];
    expect(specOfCounterpart(spec, machine)).toEqual({
      kind: 'simulated',
      machine: digestOnce(machine, flattenMachine),
      of: spec,
    });
  });
});

describe('the spec of a prediction', () => {
  it('names the format that matrices are imagined to be stored in, which records show', () => {
    const stored = specOfPrediction({
      ...asked,
      target: describeCatalogModel('mixtral-8x7b', 'ffn', 'q4_k'),
    });
    expect(stored).toMatchObject({ targetFormat: 'q4_k' });
    expect(specOfPrediction(asked)).not.toHaveProperty('targetFormat');
    const rows = [{ ...spec, targetFormat: 'q4_k' as const }, spec].map((one) =>
      toRow(buildRecord(fakeRun({ spec: one }), 0)),
    );
    expect(rows.map(({ targetFormat }) => targetFormat)).toEqual(['q4_k', null]);
  });

  const target = describeCatalogModel('mixtral-8x7b');
  const asked: Omit<SimulationRequest, 'seed'> = {
    ...{ target, draft: describeCatalogModel('mistral-7b'), machine: workstation, strategy: 'serial' },
    ...{ promptLengths: [8, 8], maxNewTokens: 4 },
    acceptance: { kind: 'recorded', name: 'own', candidates: 4, newTokens: 4, sequences: [[1], [2]] },
  };
  const key = (changes: Partial<typeof asked>) => keyOfPoint({}, specOfPrediction({ ...asked, ...changes }));

  it.each<[string, Partial<typeof asked>]>([
    ['what moves at once', { target: describeCatalogModel('mixtral-8x7b', 'expert') }],
    ['whose draws they are', { draws: 'common' }],
    ['the drafter', { drafter: 'prompt-lookup' }],
    ['the acceptance', { acceptance: { kind: 'rates', name: 'own', byPosition: [0.5] } }],
  ])('depends on %s', (_what, changes) => {
    expect(key(changes)).not.toBe(key({}));
  });

  it.each<[string, NonNullable<typeof asked.acceptance>, object]>([
    ['as rates', { kind: 'rates', name: 'own', byPosition: [0.5] }, { secondChoice: 0.9 }],
    ['as recorded', asked.acceptance!, { ranks: [[0], [1]] }],
  ])(
    'depends on second choices, %s, where alternates are verified, and nowhere else',
    (_, acceptance, second) => {
      const known = { ...acceptance, ...second } as typeof acceptance;
      const alternates = { policy: { alternates: 2 } };
      expect(key({ acceptance: known, ...alternates })).not.toBe(key({ acceptance, ...alternates }));
      expect(key({ acceptance: known })).toBe(key({ acceptance }));
    },
  );

  it('does not depend on what is usual, nor on what an acceptance tells beside its numbers', () => {
    const acceptance = { ...asked.acceptance!, spec: 'of the runs that recorded it' };
    expect(key({ draws: 'in-order', drafter: 'model', routingSkew: 0, acceptance })).toBe(key({}));
    expect(key({ strategy: 'none', drafter: 'prompt-lookup' })).toBe(
      key({ strategy: 'none', draft: null, acceptance: null }),
    );
  });
});

describe.each(['ablation', 'planner-grid'])('committed records of %s', (experiment) => {
  it('have the keys that their settings come to today', async () => {
    const results = join(projectDirectory, 'results', 'reference');
    const output = createOutput({ write: () => {} }, { write: () => {} }, false);
    const shelf = new Shelf(output, new AbortController().signal);
    const runs = await readRuns({ results, experiment });
    expect(runs.length).toBeGreaterThan(0);
    for (const { record } of runs.filter((_, index) => index % 12 === 0)) {
      const { axes, settings, pointKey } = record.point!;
      const job = await openPredictedJob(settings as Settings, shelf);
      expect(specOfPrediction(job.request)).toEqual(job.spec);
      expect(keyOfPoint(axes, job.spec)).toBe(pointKey);
      expect(keyOfTurn(pointKey, record)).toBe(record.key);
    }
  });
});

it('leaves the keys of runs that no experiment asked for as they were', async () => {
  const results = join(projectDirectory, 'results', 'reference');
  const runs = await readRuns({ results, experiment: 'reproduce' });
  expect(runs.length).toBeGreaterThan(0);
  for (const { record } of runs) {
    // What is settled today: every field that there was not when the record was written has its default; of places for
    // experts that stay there are none.
    const missing = policyFieldNames.filter((name) => !(name in record.policy));
    const added = Object.fromEntries(
      missing.map((name) => [name, name.startsWith('cached') ? 0 : policyFields[name].default]),
    );
    const today = { ...record, policy: { ...record.policy, ...added } } as typeof record;
    expect(earlierKeyOf(today)).toBe(record.key);
  }
});
