/** `specoffload plan`, `simulate` and `run --plan` as a user has them, with small models of the catalogue. */

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRunRecord } from '../../../experiments/src/store/index.js';
import { callCli, runCli } from '../cli.js';

let folder: string;
let machine: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-plan-'));
  machine = join(folder, 'machine.json');
  await writeFile(machine, JSON.stringify(machineFile()));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const models = ['--target', 'llama-3.1-8b', '--draft', 'llama-3.2-1b'];
const work = ['--prompts', '16', '--prompt-tokens', '64', '--max-new-tokens', '8'];
const budgets = ['--device-memory', '6GB', '--host-memory', '12GB'];
const small = () => ['--machine', machine, ...models, ...work, ...budgets];

describe('simulate', () => {
  const simulation = (...args: string[]) => [
    ...['simulate', ...small(), '--results', join(folder, 'results'), ...args],
  ];
  const simulate = (...args: string[]) => callCli(simulation(...args));

  it('stores a prediction with its timeline and prints it as one document', async () => {
    const args = ['--strategy', 'serial', '--candidates', '3', '--acceptance', '0.8,0.7,0.6', '--json'];
    // As a process of its own, the others within this one.
    const { exitCode, stdout, stderr } = await runCli(simulation(...args));
    expect(exitCode, stderr).toBe(0);
    const document = JSON.parse(stdout); // one document and nothing else
    const record = parseRunRecord(document.record, 'stdout');
    expect(record).toMatchObject({ kind: 'simulated', strategy: 'serial', policy: { candidates: 3 } });
    expect(record.result.newTokens).toBe(16 * 8);
    expect(document.usefulTokensPerSecond).toBeCloseTo(record.result.tokensPerSecond, 10);
    expect((await readdir(document.folder)).sort()).toEqual(['run.json', 'trace.json.gz']);
    expect(JSON.parse(await readFile(join(document.folder, 'run.json'), 'utf8'))).toEqual(record);
  });

  it('says for people that it is a prediction, and counts both ways', async () => {
    const args = ['--acceptance', '0.6', '--accounting', 'as-published'];
    const { exitCode, stdout } = await simulate(...args);
    expect(exitCode).toBe(0);
    for (const text of ['predicted specoffload: 128 new tokens for 16 prompts', 'useful', 'as published'])
      expect(stdout).toContain(text);
  });

  it('counts more where sequences go on until the slowest is there', async () => {
    const args = ['--acceptance', '0.6', '--json'];
    const [useful, published] = await Promise.all(
      [[], ['--accounting', 'as-published']].map(async (more) =>
        JSON.parse((await simulate(...args, ...more)).stdout),
      ),
    );
    expect(useful.record.policy.ending).toBe('own-limit');
    expect(published.record.policy.ending).toBe('slowest');
    expect(published.publishedTokensPerSecond).toBeGreaterThan(published.usefulTokensPerSecond);
    expect(useful.publishedTokensPerSecond).toBe(useful.usefulTokensPerSecond);
  });

  it('reads an acceptance file', async () => {
    const file = join(folder, 'acceptance.json');
    await writeFile(file, JSON.stringify({ kind: 'rates', name: 'mine', byPosition: [0.9] }));
    const { stdout } = await simulate('--strategy', 'serial', '--acceptance', file, '--json');
    expect(JSON.parse(stdout).record.workload.acceptance).toEqual({ kind: 'rates', name: 'mine' });
  });

  it.each<[string, string, string, RegExp]>([
    ['llama-3.2-3b', 'specoffload', '0.7', /512 prompts at once do not fit: \d+ will be.*0\.7 is assumed/s],
    ['llama-3.2-1b', 'none', 'none', /llama-3\.2-1b has no usual draft, so plain decoding is predicted/],
  ])(
    'settles what nobody said about %s, and says so: %s at %s',
    async (target, strategy, acceptance, said) => {
      const free = ['--machine', machine, '--target', target].concat(['--device-memory', '4GB']);
      const { stdout, stderr } = await callCli(
        ['simulate', ...free, '--max-new-tokens', '4'].concat([
          '--results',
          join(folder, 'results'),
          '--json',
        ]),
      );
      expect(stderr).toMatch(said);
      const { record } = JSON.parse(stdout);
      expect([record.strategy, record.workload.acceptance?.name ?? 'none']).toEqual([strategy, acceptance]);
      const prompts = Number.parseInt(record.workload.name, 10);
      expect(prompts).toBeLessThan(512);
      expect(record.result.newTokens).toBe(4 * prompts);
    },
  );

  // Each case: what was typed, the exit code, and the sentence.
  it.each<[string, number, string]>([
    ['--strategy none --device-memory 500MB', 1, 'raise it to at least'],
    ['--prompts 1 --device-memory 500MB', 1, 'or use a shorter prompt or fewer new tokens'],
    ['--acceptance 1.5', 2, 'invalid --acceptance: 1.5; expected a rate from 0 to 1'],
    ['--acceptance nowhere.json', 1, 'cannot read the acceptance nowhere.json'],
    ['--machine nowhere', 1, 'unknown machine: nowhere; expected env1, env2'],
    ['--machine ./nowhere.json', 1, 'there is no machine file ./nowhere.json'],
    ['--machine package.json', 1, 'package.json: invalid schema'],
    ['--workload code --prompt-tokens 5', 2, '--prompt-tokens and --workload exclude each other'],
    ['--host-share 1.5', 2, 'invalid --host-share: 1.5; expected a number from 0 to 1'],
    ['--attention gpu', 2, 'invalid --attention: "gpu"; expected host, device or split'],
    ['--accounting mine', 2, 'invalid --accounting: mine'],
  ])('refuses %s', async (args, code, message) => {
    const { exitCode, stdout, stderr } = await simulate(...args.split(' '));
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect([exitCode, stdout]).toEqual([code, '']);
  });
});

describe('plan', () => {
  it('prints one document with the choice, how sure it is, other kinds, what binds and what options gain', async () => {
    const args = ['--acceptance', '0.7', '--simulations', '8', '--seeds', '5', '--seed', '3', '--json'];
    const file = join(folder, 'policy.json');
    const { exitCode, stdout, stderr } = await callCli(['plan', ...small(), ...args, '--out', file]);
    expect(exitCode, stderr).toBe(0);
    const { kind, seeds, searchSeed, best, ranked, bestByWay, ...more } = JSON.parse(stdout);
    const { tokensPerSecond, regret, alternatives, gains, binding, ladder, effort } = more;
    expect(kind).toBe('predicted');
    expect([searchSeed, seeds]).toEqual([3, [4, 5, 6, 7, 8]]);
    expect(ranked[0]).toEqual(best);
    expect(best.outcome.memoryBytes.device).toBeLessThanOrEqual(6e9);
    expect(best.busiest.boundTokensPerSecond).toBeGreaterThanOrEqual(best.outcome.tokensPerSecond);
    expect(best.tokensPerSecondBySeed).toHaveLength(5);
    expect(tokensPerSecond).toMatchObject({ n: 5, median: best.outcome.tokensPerSecond });
    expect(regret.low).toBeLessThanOrEqual(regret.expected);
    expect(bestByWay.length).toBeGreaterThan(1);
    expect(alternatives.length).toBeGreaterThan(1);
    for (const { differences, overChoice } of alternatives) {
      expect(differences.length).toBeGreaterThan(0);
      expect(overChoice.n).toBeGreaterThanOrEqual(3);
    }
    expect(gains.length).toBeGreaterThanOrEqual(6);
    for (const { ratio, low } of gains) expect(Math.min(ratio, low)).toBeGreaterThanOrEqual(1);
    expect(gains.map(({ resource }: { resource: string }) => resource)).toContain(binding.resource);
    expect(ladder.steps.length).toBeGreaterThan(1);
    expect(ladder.together.n).toBe(5);
    expect(effort.simulated).toBeLessThanOrEqual(8);

    const { strategy, plannedFor } = JSON.parse(await readFile(file, 'utf8'));
    expect(strategy).toBe(best.strategy);
    expect(plannedFor).toMatchObject({
      ...{ deviceBytes: 6e9, hostBytes: 12e9, target: 'llama-3.1-8b', targetFormat: null, prompts: 16 },
      ...{ promptTokens: { least: 64, most: 64 }, tokensPerSecond: best.outcome.tokensPerSecond },
    });
    const same = ['--acceptance', '0.7', '--policy', file, '--results', join(folder, 'results'), '--json'];
    const again = await callCli(['simulate', ...small(), ...same]);
    expect(again.stderr).not.toContain('planned for another');
    expect(JSON.parse(again.stdout).record).toMatchObject({ strategy, policy: best.policy });
  });

  it('says it for people, and leaves alone what was given', async () => {
    const args = ['--strategy', 'serial', '--candidates', '2', '--acceptance', '0.7', '--simulations', '3'];
    const places = ['--attention', 'host', '--projections', 'device', '--host-share', '0', '--refill', 'no'];
    places.push('--alternates', '0'); // of which some are right where no first choice is
    const { exitCode, stdout } = await callCli(['plan', ...small(), ...args, ...places]);
    expect(exitCode).toBe(0);
    for (const text of [
      'the choice, and the best of every other kind, predicted',
      'median over the seeds 2 to 10, found on seed 1',
      'regret',
      'binds',
      'busiest lane',
      'candidates 2',
      'what would make it faster',
      '(the choice)',
      'SpecOffload as published',
    ])
      expect(stdout).toContain(text);
  });

  it.each<[string, number, string]>([
    ['', 1, 'planning with a draft needs an acceptance'],
    ['--strategy vllm', 2, 'invalid --strategy: vllm; expected none, serial, specoffload'],
    ['--seeds 0', 2, 'invalid --seeds: 0; expected a whole number from 1 to 1000'],
    ['--acceptance 0.8,0.7 --candidates 4', 1, 'it has 2 positions, the run needs 4 candidates'],
    ['--top 0', 2, 'invalid --top: 0'],
    ['--draft none --device-memory 100MB', 1, 'the device memory budget of'],
    ['--draft none --strategy serial', 1, 'there is nothing to plan'],
    ['--target mixtral-8x7b --published MMLU', 1, 'invalid --published: MMLU; expected HumanEval'],
  ])('refuses "%s"', async (args, code, message) => {
    const given = args.split(' ').filter((word) => word !== '');
    const { exitCode, stdout, stderr } = await callCli(['plan', ...small(), ...given]);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect([exitCode, stdout]).toEqual([code, '']);
  });
});

it('says once that the machine file was measured under a cap, which neither plan nor simulate has', async () => {
  const capped = join(folder, 'capped.json');
  await writeFile(capped, JSON.stringify({ ...machineFile(), measuredUnder: { diskBytesPerSecond: 2e9 } }));
  const quick = {
    plan: ['--strategy', 'none', '--simulations', '2', '--seeds', '1'],
    simulate: ['--results', join(folder, 'capped')],
  };
  for (const [command, more] of Object.entries(quick)) {
    const args = [command, ...small(), '--acceptance', '0.7', ...more, '--machine', capped, '--json'];
    const { exitCode, stdout, stderr } = await callCli(args);
    expect(exitCode, stderr).toBe(0);
    JSON.parse(stdout);
    expect(stderr.match(/was measured with the disk paced to 2.00 GB\/s \(--disk-cap\)/g)).toHaveLength(1);
  }
});

describe('run --plan', () => {
  const run = (...args: string[]) => callCli(['run', '--results', join(folder, 'runs'), ...args]);

  it('runs what it planned and compares', async () => {
    const args = ['--plan', '--machine', machine, '--acceptance', '0.6', '--num-prompts', '2'];
    const size = ['--new-tokens', '4', '--device-memory', '128MB', '--host-memory', '64MB'];
    // Of so short a run with routed experts none is the fastest, and no acceptance is told.
    size.push('--speculation', 'serial');
    const file = join(folder, 'here.json');
    const { exitCode, stdout, stderr } = await run(...args, ...size, '--out', file, '--json');
    expect(exitCode, stderr).toBe(0);
    const { record, predicted, throughput } = JSON.parse(stdout);
    expect(throughput).toMatchObject({ n: 9, median: predicted.tokensPerSecond });
    expect(stderr).toMatch(/predicted +\d\S* tokens\/s, \S+ to \S+ \(95 %, over seeds\)/);
    expect(record.kind).toBe('measured');
    expect(record.policy).toEqual(predicted.policy);
    expect(record.result.newTokens).toBeGreaterThan(0);
    expect(stderr).toContain('measured');
    expect(stderr).toContain('median over the seeds 2 to 10');
    const { strategy, plannedFor } = JSON.parse(await readFile(file, 'utf8'));
    expect(strategy).toBe(record.strategy);
    expect(plannedFor).toMatchObject({ deviceBytes: 128e6, prompts: 2, maxNewTokens: 4, acceptance: '0.6' });
  });

  it('says before it runs where proposing cannot pay', async () => {
    const args = ['--plan', '--machine', machine, '--acceptance', '0', '--num-prompts', '2'];
    const size = ['--new-tokens', '4', '--device-memory', '128MB', '--host-memory', '64MB'];
    const places = ['--attention', 'host', '--projections', 'device', '--host-share', '0', '--refill', 'no'];
    places.push('--alternates', '0'); // of which some are right where no first choice is
    const { exitCode, stderr } = await run(...args, ...size, '--strategy', 'serial', ...places);
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toMatch(
      /proposing cannot pay here by this prediction: serial \S+ tokens\/s, none \S+; take/,
    );
  });

  it.each<[string, number, string]>([
    ['--plan --machine ./nowhere.json --acceptance 0.5', 1, 'measure them with specoffload profile'],
    ['--plan', 1, 'planning with a draft needs its acceptance'],
    ['--out p.json', 2, '--out is for the planner; add --plan'],
    ['--acceptance 0.5', 2, '--acceptance is for the planner; add --plan, or leave it out'],
  ])('refuses %s', async (args, code, message) => {
    const { exitCode, stderr } = await run(...args.split(' '));
    expect(stderr).toContain(message);
    expect(exitCode).toBe(code);
  });
});

it.each(['plan', 'simulate'])('%s --help ends with an example', async (command) => {
  const { exitCode, stdout } = await callCli([command, '--help']);
  expect(exitCode).toBe(0);
  expect(stdout).toContain(`Example:\n  specoffload ${command}`);
});

/** Made up: a small GPU behind a slow link; formats of the local machine would only need more memory. */
function machineFile() {
  const constant = (value: number) => ({ value, source: 'made up' });
  const lane = (flops: number, bytes: number) => ({
    ...{ overheadSeconds: constant(1e-5), secondsPerRow: constant(0), latencySeconds: constant(0) },
    arithmetic: { values: [[1, flops]], source: 'made up' },
    ...{ memoryBytesPerSecond: constant(bytes), cacheBytesPerSecond: constant(bytes / 4) },
    scoreFlopsPerSecond: constant(flops / 4),
  });
  return {
    ...{ schema: 1, name: 'made up', description: 'for tests', formats: 'bf16', interruptsDraft: true },
    disk: { overheadSeconds: constant(1e-4), bytesPerSecond: constant(2e9) },
    link: {
      ...{ overheadSeconds: constant(1e-5), bytesPerSecond: constant(8e9) },
      ...{ pageableBytesPerSecond: constant(5e9), cacheBytesPerSecond: constant(6e9) },
    },
    ...{ host: lane(5e11, 5e10), device: lane(2e13, 5e11) },
    memory: { deviceBytes: constant(8e9), hostBytes: constant(32e9), diskBytes: constant(1e12) },
  };
}
