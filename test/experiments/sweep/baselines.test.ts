/** A baseline without a draft is one: for every strategy, in records, keys, commands, predictions and sweeps. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bf16Formats,
  localFormats,
  type Policy,
  type PolicyInput,
  type SimulationRequest,
  type StrategyName,
  simulateRun,
  speculates,
  speculationsOf,
  strategies,
  strategyNames,
} from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { draftUseOf } from '../../../experiments/src/cli/commands/draft-use.js';
import {
  buildRecord,
  buildSimulatedRecord,
  parseRunRecord,
  type SimulatedRecord,
} from '../../../experiments/src/store/index.js';
import { openMeasuredJob } from '../../../experiments/src/sweep/measured-job.js';
import { openPredictedJob } from '../../../experiments/src/sweep/predicted-job.js';
import { Shelf } from '../../../experiments/src/sweep/shelf.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { mixtral, workstation } from '../../engine/plan-cases.js';
import { callCli } from '../cli.js';
import { fakeCheckpoint, fakeResult, fakeRun } from '../fake-run.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-baselines-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Every strategy in each of its ways, and as it is where nobody says. */
const ways = strategyNames.flatMap((strategy) =>
  [undefined, ...speculationsOf(strategies[strategy])].map((speculation) => ({
    strategy,
    policy: (speculation === undefined ? {} : { speculation }) as PolicyInput,
  })),
);
const speculative = new Set<StrategyName>(['serial', 'specoffload', 'ahead']);
const isDrafting = ({ strategy, policy }: (typeof ways)[number]) =>
  policy.speculation === undefined ? speculative.has(strategy) : policy.speculation !== 'none';

describe.each(ways)('$strategy $policy', (way) => {
  const { strategy, policy } = way;
  const drafts = isDrafting(way);
  const shelf = new Shelf(
    createOutput({ write: () => true }, { write: () => true }, false),
    new AbortController().signal,
  );

  it(`${drafts ? 'needs' : 'needs no'} draft, whoever asks`, async () => {
    expect(speculates(strategy, policy)).toBe(drafts);
    expect(draftUseOf({ strategy, policy, isPlanned: false })).toEqual({
      proposes: drafts,
      hasModel: drafts,
    });
    const measured = await openMeasuredJob({ strategy, ...policy }, shelf);
    expect(measured.plan.draft !== null).toBe(drafts);
    const predicted = await openPredictedJob({ strategy, ...policy, acceptance: 0.7 }, shelf);
    expect(predicted.request.draft !== null).toBe(drafts);
    expect(predicted.request.acceptance !== null).toBe(drafts);
  });

  it('has a record and a key that name a draft only if it used one', () => {
    const full: Policy = { ...fakeResult().policy, speculation: drafts ? 'serial' : 'none' };
    const recordWith = (digest: string) =>
      buildRecord(
        fakeRun({ result: fakeResult({ strategy, policy: full }), draft: fakeCheckpoint('draft', digest) }),
        0,
      );
    const [one, other] = [recordWith('b'), recordWith('c')];
    expect(one.model.draft !== null).toBe(drafts);
    expect(one.key === other.key).toBe(!drafts);
  });
});

describe('a prediction', () => {
  const request = (changes: Partial<SimulationRequest> = {}): SimulationRequest => ({
    ...{ target: mixtral(2), draft: fakeCheckpoint('of another vocabulary', 'd'), machine: workstation },
    ...{ promptLengths: [20, 20], maxNewTokens: 3, strategy: 'flexgen', acceptance: null, ...changes },
  });
  const recordOf = async (asked: SimulationRequest) =>
    buildSimulatedRecord(
      {
        ...{ request: asked, result: await simulateRun(asked), workload: 'two' },
        ...{ createdAt: new Date(0), provenance: fakeRun().provenance },
      },
      0,
    );

  it('of a baseline asks for no acceptance, takes no notice of a draft, and names none', async () => {
    const record = await recordOf(request());
    expect([record.model.draft, record.workload.acceptance]).toEqual([null, null]);
    expect(record.key).toBe((await recordOf(request({ draft: null }))).key);
  });

  it('has its formats in record and key, and earlier records without them are read', async () => {
    const record = await recordOf(request());
    expect(record.machine.options.formats).toEqual({ ...bf16Formats, largestPieceBytes: null });
    const fp32 = { ...localFormats, largestPieceBytes: 2 ** 34 };
    const wide = await recordOf(request({ machine: { ...workstation, formats: fp32 } }));
    expect(wide.machine.options.formats).toEqual(fp32);
    for (const formats of [
      { ...bf16Formats, weightElementBytes: 4 },
      { ...bf16Formats, cacheElementBytes: 4 },
      { ...bf16Formats, activationElementBytes: 4 },
      { ...bf16Formats, largestPieceBytes: 2 ** 33 },
    ]) {
      const other = await recordOf(request({ machine: { ...workstation, formats } }));
      expect(other.key, JSON.stringify(formats)).not.toBe(record.key);
    }
    const { formats: _formats, ...options } = record.machine.options;
    const earlier: SimulatedRecord = { ...record, machine: { ...record.machine, options } };
    expect(parseRunRecord(JSON.parse(JSON.stringify(earlier)), 'run.json')).toEqual(earlier);
    expect(() =>
      parseRunRecord({ ...record, machine: { ...record.machine, options: { ...options, formats: 4 } } }, 'r'),
    ).toThrow('invalid machine.options.formats: 4');
  });
});

describe('planning', () => {
  it('looks at a draft where something that is planned may have one', () => {
    const plans = (question: Omit<Parameters<typeof draftUseOf>[0], 'isPlanned'>) =>
      draftUseOf({ ...question, isPlanned: true }).hasModel;
    expect(plans({ policy: {} })).toBe(true);
    expect(plans({ policy: { speculation: 'none' } })).toBe(false);
    expect(plans({ strategy: 'none', policy: {}, acceptance: '0.7' })).toBe(false);
    expect(plans({ strategy: 'serial', policy: {} })).toBe(true);
    expect(plans({ strategy: 'serial', policy: {}, drafter: 'prompt-lookup' })).toBe(false);
    expect(plans({ strategy: 'flexgen', policy: {} })).toBe(false);
    expect(plans({ strategy: 'flexgen', policy: {}, acceptance: '0.7' })).toBe(true);
    expect(plans({ strategy: 'flexgen', policy: { speculation: 'none' }, acceptance: '0.7' })).toBe(false);
  });
});

describe('a target whose vocabulary is not the default draft’s', () => {
  const own = ['--target', 'test/golden/mixtral'];

  it('is run by a baseline, and a draft that is given in vain is said to be', async () => {
    const ids = join(folder, 'ids.jsonl');
    await writeFile(ids, '{"ids": [5, 6, 7]}\n{"ids": [8]}\n');
    const results = join(folder, 'results');
    const args = [...own, '--prompts', ids, '--new-tokens', '2', '--results', results, '--json'];
    const plain = await callCli(['run', '--strategy', 'flexgen', ...args]);
    expect(plain.exitCode, plain.stderr).toBe(0);
    expect(plain.stderr).not.toContain('not used');
    const given = await callCli([
      'run',
      '--strategy',
      'flexgen',
      ...args,
      '--draft',
      'experiments/pair/draft',
    ]);
    expect(given.exitCode, given.stderr).toBe(0);
    expect(given.stderr).toContain(
      'flexgen does not speculate: --draft is not used; add --speculation serial to give it a draft\n',
    );
    const [first, second] = [plain, given].map(({ stdout }) => JSON.parse(stdout).record);
    expect([first.model.draft, first.repeat, second.repeat]).toEqual([null, 0, 1]);
    const drafted = await callCli(['run', '--strategy', 'flexgen', '--speculation', 'serial', ...args]);
    expect(drafted.stderr).toContain('vocabular');
  });

  it('is predicted and planned for a baseline', async () => {
    const llama = ['--target', 'llama-3.3-70b', '--prompts', '4', '--prompt-tokens', '20'];
    const simulated = await callCli([
      ...['simulate', '--strategy', 'none', ...llama, '--max-new-tokens', '2', '--acceptance', 'nowhere'],
      ...['--results', join(folder, 'simulated'), '--json'],
    ]);
    expect(simulated.exitCode, simulated.stderr).toBe(0);
    expect(simulated.stderr).toContain(
      'none does not speculate: --acceptance is not used; take --strategy serial',
    );
    const planned = await callCli([
      ...['plan', '--strategy', 'none', ...llama, '--max-new-tokens', '2', '--simulations', '2', '--json'],
    ]);
    expect(planned.exitCode, planned.stderr).toBe(0);
  });

  it('says of fields that say how something is done that is not done', async () => {
    const args = [
      '--target',
      'llama-3.1-8b',
      '--prompts',
      '1',
      '--prompt-tokens',
      '8',
      '--max-new-tokens',
      '2',
    ];
    const idle = ['--draft-layers', '2', '--draft-window', '8', '--results', join(folder, 'idle')];
    const { stderr } = await callCli(['simulate', ...args, ...idle]);
    expect(stderr).toContain('--draft-layers is not used without --drafter self\n');
    expect(stderr).toContain('--draft-window is not used without --draft-cache window\n');
    const used = await callCli([
      'simulate',
      ...args,
      ...idle,
      '--drafter',
      'self',
      '--draft-cache',
      'window',
    ]);
    expect(used.stderr).not.toContain('not used');
  });
});
