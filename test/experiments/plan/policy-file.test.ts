/** The file of a planned policy: the same run as typed flags, other uses said, strangers' files refused. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PolicyFile, parsePolicyFile } from '../../../experiments/src/plan/policy-file.js';
import { callCli } from '../cli.js';

let folder: string;
let path: string;

const models = ['--target', 'llama-3.1-8b', '--draft', 'llama-3.2-1b', '--acceptance', '0.7'];
const work = ['--prompts', '8', '--prompt-tokens', '32', '--max-new-tokens', '4'];
const job = ['--machine', 'rtx-3090', ...models, ...work, '--device-memory', '6GB', '--host-memory', '12GB'];

const planned: PolicyFile = {
  ...{ schema: 'specoffload-policy-1', strategy: 'serial', drafter: 'model' },
  policy: { speculation: 'serial', batches: 1, decodeBatch: 8, candidates: 1, hostShare: 0.1, microBatch: 4 },
  plannedFor: {
    ...{ machine: 'rtx-3090+pcie4+ddr4-dual+nvme4', deviceBytes: 6e9, hostBytes: 12e9 },
    ...{ target: 'llama-3.1-8b', targetFormat: 'q8_0', draft: 'llama-3.2-1b', acceptance: '0.7' },
    ...{ prompts: 8, promptTokens: { least: 32, most: 32 }, maxNewTokens: 4, tokensPerSecond: 9.5 },
  },
};

const write = async (name: string, value: unknown) => {
  await writeFile(join(folder, name), JSON.stringify(value));
  return join(folder, name);
};
const plan = (...args: string[]) => callCli(['plan', ...job, ...args]);
let numStores = 0;
/** Each into a store of its own: in the same one, the same run is a repeat with another key. */
const simulate = async (...args: string[]) => {
  const { stdout, stderr } = await callCli([
    ...['simulate', ...job, ...args, '--results', join(folder, `runs-${numStores++}`), '--json'],
  ]);
  expect(stdout, stderr).not.toBe('');
  return { ...JSON.parse(stdout).record, stderr };
};
/** What a person would type in place of a file. */
const flags = ({ strategy, policy }: Pick<PolicyFile, 'strategy' | 'policy'>) => [
  ...['--strategy', strategy],
  ...Object.entries(policy).flatMap(([field, value]) => [
    ...[`--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(value)],
  ]),
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-policy-'));
  path = join(folder, 'policy.json');
  await write('policy.json', planned);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('plan --pareto', () => {
  const small = ['--target', 'llama-3.2-1b', '--draft', 'none', '--prompts', '4', '--prompt-tokens', '16'];
  const asked = ['plan', ...small, '--max-new-tokens', '4', '--strategy', 'none', '--device-memory', '3GB'];

  it('writes the row that is asked for, whose policy reaches what the row says', async () => {
    const out = join(folder, 'row.json');
    const flags = ['--refill', 'no', '--residents', 'layers', '--seeds', '1'];
    const args = [...asked, ...flags, '--pareto', 'device-memory', '--row', '2', '--out', out, '--json'];
    const { stdout, stderr } = await callCli(args);
    const { rows } = JSON.parse(stdout);
    expect(rows.length, stderr).toBeGreaterThan(2);
    const file = parsePolicyFile(JSON.parse(await readFile(out, 'utf8')), out);
    expect(file.policy).toEqual(rows[1].planned.input);
    expect(file.plannedFor.deviceBytes).toBe(rows[1].deviceBudgetBytes);
    const memory = [
      '--device-memory',
      `${rows[1].deviceBudgetBytes / 1e6}MB`,
      '--host-memory',
      '266.287972352GB',
    ];
    const again = await simulate(...small, '--machine', 'env1', '--policy', out, ...memory);
    expect(again.result.tokensPerSecond).toBeCloseTo(rows[1].tokensPerSecond, 6);
  });

  it.each([
    [['--row', '2'], '--row is for --pareto'],
    [
      ['--pareto', 'speed'],
      'invalid --pareto: speed; expected one or several of device-memory, latency, energy',
    ],
    [['--pareto', 'energy'], 'env1 does not say what its lanes draw'],
  ])('refuses %j', async (flags, message) => {
    const { exitCode, stderr } = await callCli([...asked, ...flags]);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain(message);
  });
});

describe('plan --out', () => {
  it('writes over nothing but a policy file, and says so before it plans', async () => {
    const other = await write('notes.json', { mine: true });
    const { exitCode, stdout, stderr } = await plan('--out', other);
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`${other} is there and is no policy file, so it is not written over; choose`);
    expect(JSON.parse(await readFile(other, 'utf8'))).toEqual({ mine: true });
    expect((await plan('--out', folder)).stderr).toContain('it is a folder; choose another --out');
  });
});

describe('--policy', () => {
  it('predicts the same run as the same fields typed, to the key', async () => {
    const format = ['--target-format', 'q8_0'];
    const fromFile = await simulate('--policy', path, ...format);
    expect(fromFile.stderr).not.toContain('was planned for another');
    expect(fromFile.key).toBe((await simulate(...flags(planned), ...format)).key);
  });

  it('leaves flags as they are, and says what the file was not planned for', async () => {
    const here = ['--host-memory', '13GB', '--target-format', 'q6_k'];
    const { policy, key, stderr } = await simulate('--policy', path, ...here, '--candidates', '3');
    expect(policy).toMatchObject({ candidates: 3, decodeBatch: 8 });
    expect(stderr).toContain(
      'planned for another host memory (12.0 GB, here 13.0 GB) or target format (q8_0, here q6_k): it may',
    );
    const typed = { ...planned, policy: { ...planned.policy, candidates: 3 } };
    expect(key).toBe((await simulate(...here, ...flags(typed))).key);
  });

  it('stores the target as it was planned where that changes no token, and packs it once for a run', async () => {
    const policy = { speculation: 'none', decodeBatch: 2 } as const;
    const file = await write('packed.json', {
      ...{ ...planned, strategy: 'none', drafter: null, policy },
      plannedFor: { ...planned.plannedFor, target: 'target', targetFormat: 'bf16_packed', draft: null },
    });
    const asFlags = [...flags({ strategy: 'none', policy }), '--target-format', 'bf16_packed'];
    const fromFile = await simulate('--policy', file);
    expect(fromFile.key).toBe((await simulate(...asFlags)).key);
    const run = async (...args: string[]) => {
      const work = [
        '--num-prompts',
        '2',
        '--new-tokens',
        '2',
        '--device-memory',
        '128MB',
        '--host-memory',
        '64MB',
      ];
      const { stdout, stderr } = await callCli([
        ...['run', ...work, ...args, '--results', join(folder, 'packed-runs'), '--json'],
      ]);
      expect(stdout, stderr).not.toBe('');
      return { ...JSON.parse(stdout).record, stderr };
    };
    const packed = await run('--policy', file);
    expect(packed.stderr).not.toContain('target format');
    const again = await run(...asFlags);
    expect(again.stderr).not.toContain('pack:');
    expect(again.spec).toEqual(packed.spec);
    const plain = await run(...flags({ strategy: 'none', policy }));
    expect(packed.model.target).toMatchObject({
      ...{ name: plain.model.target.name, packedFrom: plain.model.target.digest, format: 'bf16_packed' },
    });
    expect(packed.model.target.bytes / plain.model.target.bytes).toBeLessThan(0.8);
    expect(packed.result.outputDigest).toBe(plain.result.outputDigest);
  });

  it('leaves to another strategy what makes it that strategy', async () => {
    const { strategy, policy } = await simulate('--policy', path, '--strategy', 'flexgen');
    expect({ strategy, ...policy }).toMatchObject({
      ...{ strategy: 'flexgen', speculation: 'none', attention: 'device', decodeBatch: 8 },
    });
  });

  it('runs for real what the flags would, its drafter too', async () => {
    const policy = { speculation: 'serial', candidates: 3, decodeBatch: 2 } as const;
    const file = await write('here.json', { ...planned, drafter: 'prompt-lookup', policy });
    const budgets = ['--device-memory', '128MB', '--host-memory', '64MB'];
    const work = ['--num-prompts', '2', '--new-tokens', '2', ...budgets];
    const small = [...work, '--results', join(folder, 'runs'), '--json'];
    const run = async (...args: string[]) => {
      const { stdout, stderr } = await callCli(['run', ...small, ...args]);
      expect(stdout, stderr).not.toBe('');
      return { ...JSON.parse(stdout).record, stderr };
    };
    const { spec, stderr } = await run('--policy', file);
    expect(spec).toMatchObject({ strategy: 'serial', drafter: 'prompt-lookup', policy });
    expect(stderr).toContain('target (llama-3.1-8b, here target)');
    const typed = await run(...flags({ strategy: 'serial', policy }), '--drafter', 'prompt-lookup');
    expect(spec).toEqual(typed.spec);
  });

  it.each<[what: string, change: object, message: string]>([
    [
      'another schema',
      { schema: 2 },
      'invalid schema: 2; expected "specoffload-policy-1", in a file made by',
    ],
    ['an unknown field', { policy: { speed: 9 } }, 'unknown policy field: speed'],
    ['a field out of its limits', { policy: { candidates: 0 } }, 'candidates: 0; expected a whole number'],
    ['an unknown strategy', { strategy: 'constructor' }, 'invalid strategy: "constructor"; expected'],
    ['what is no part of it', { run: 'rm' }, 'unknown field: run'],
  ])('refuses %s', async (_what, change, message) => {
    expect(() => parsePolicyFile({ ...planned, ...change }, 'p.json')).toThrow(message);
  });

  it.each<[args: string, code: number, message: string]>([
    ['run --policy nowhere.json', 1, 'there is no policy file nowhere.json; make one with specoffload plan'],
    ['run --plan --policy nowhere.json', 2, '--plan and --policy exclude each other'],
    ['simulate --policy /dev/zero', 1, '/dev/zero is not a regular file'],
  ])('refuses %s', async (args, code, message) => {
    const { exitCode, stderr } = await callCli(args.split(' '));
    expect(stderr).toContain(message);
    expect(exitCode).toBe(code);
  });
});
