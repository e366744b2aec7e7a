/**
 * Nothing is sent anywhere and nothing is left behind: each command runs under strace, which sees every socket and
 * every file of every process and thread that the lab starts.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { missingProgram } from '../../kernel/jupyter.js';
import { createNotebookText } from '../../kernel/notebooks.js';

const missing = missingProgram('strace', 'strace');

const definition = {
  name: 'mine',
  question: 'How many candidates?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'env1', acceptance: 0.8, target: 'llama-3.2-1b', draft: 'llama-3.2-1b' },
    ...{ prompts: 8, promptTokens: 32, maxNewTokens: 8 },
  },
  axes: { strategy: ['serial'], candidates: [2, 4] },
};

const notebook = createNotebookText([
  `import { openCheckpoint, runEngine } from '@specoffload/engine';
const target = await openCheckpoint('${join(projectDirectory, 'experiments/pair/target')}');
const machine = { deviceBytes: 64e6, hostBytes: 64e6 };
(await runEngine({ target, draft: null, prompts: [[11, 42, 7]], strategy: 'none', maxNewTokens: 2, machine })).newTokens`,
]);

const run = [
  ...['run', '--strategy', 'serial', '--prompts', 'short.txt'],
  ...['--new-tokens', '2', '--results', 'results'],
];

describe.skipIf(missing !== null)(`under strace${missing ? `: ${missing}` : ''}`, () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'specoffload-privacy-'));
    for (const name of ['home', 'tmp', 'work']) mkdirSync(join(folder, name));
    writeFileSync(join(folder, 'work', 'mine.json'), JSON.stringify(definition));
    writeFileSync(join(folder, 'work', 'n.ipynb'), notebook);
    writeFileSync(join(folder, 'work', 'short.txt'), 'It was a dark and\n');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs a command of the lab; its system calls, one a line, the numbers of processes cut off. */
  const trace = (args: readonly string[]): string[] => {
    const log = join(folder, 'calls');
    const calls = 'trace=socket,connect,bind,sendto,sendmsg,open,openat,creat,mkdir,mkdirat';
    const { status, stderr } = spawnSync(
      'strace',
      [
        ...['-f', '-qq', '-e', calls, '-o', log],
        ...[process.execPath, join(projectDirectory, 'experiments/bin/specoffload.js'), ...args],
      ],
      {
        cwd: join(folder, 'work'),
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          HOME: join(folder, 'home'),
          XDG_CACHE_HOME: join(folder, 'home/cache'),
          TMPDIR: join(folder, 'tmp'),
        },
      },
    );
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    return readFileSync(log, 'utf8')
      .split('\n')
      .map((line) => line.replace(/^\d+ +/, ''));
  };

  const leftIn = (name: string) => readdirSync(join(folder, name), { recursive: true }).sort();

  /** Beyond this machine, or asks for a host's name. Loopback and the list of interfaces are ZeroMQ's. */
  const reachesOut = (call: string) => {
    if (!/^(connect|bind|sendto|sendmsg)\(/.test(call)) return /SOCK_DGRAM|AF_PACKET/.test(call);
    return /nscd|resolve/.test(call) || (/AF_INET/.test(call) && !/127\.0\.0\.1|"::1"/.test(call));
  };

  const writesElsewhere = (call: string) => {
    if (!/O_CREAT|O_WRONLY|O_RDWR|^creat|^mkdir/.test(call) || / = -1 /.test(call)) return false;
    const path = /"([^"]*)"/.exec(call)?.[1] ?? '';
    return path.startsWith('/') && !path.startsWith(folder) && !/^\/(dev|proc)\//.test(path);
  };

  test.each([
    ['a run', run, true],
    ['a run on the twins', [...run, '--native', 'twin'], true],
    ['a sweep on all cores', ['sweep', 'mine.json', '--results', 'results'], true],
    ['a notebook', ['notebook', 'run', 'n.ipynb', '--html', 'n.html'], false],
  ] as const)('%s reaches nothing and leaves only its results', (_, args, isWithoutSockets) => {
    const calls = trace(args);
    expect(calls.length).toBeGreaterThan(100);
    expect(calls.filter(reachesOut)).toEqual([]);
    if (isWithoutSockets) expect(calls.filter((call) => /^socket\(AF_(INET|NETLINK)/.test(call))).toEqual([]);
    expect(calls.filter(writesElsewhere)).toEqual([]);
    expect({ home: leftIn('home'), tmp: leftIn('tmp') }).toEqual({ home: [], tmp: [] });
    const known = ['short.txt', 'mine.json', 'n.ipynb', 'n.executed.ipynb', 'n.html', 'results'];
    expect(leftIn('work').filter((path) => !known.includes(String(path).split('/')[0]))).toEqual([]);
  });
});
