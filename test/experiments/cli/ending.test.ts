/** How a command ends when something outside it goes wrong: the terminal, the disk, the patience of its user. */

import { spawn, spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { runCli } from '../cli.js';

const command = join(projectDirectory, 'experiments', 'bin', 'specoffload.js');

it('says in one sentence that nobody can read its answer, and fails', async () => {
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [command, '--help'], { stdio: ['ignore', full, 'pipe'] });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exitCode = await new Promise((resolve) => child.on('close', resolve));
  expect(stderr).toBe(
    'specoffload: cannot write to standard output: no space is left (ENOSPC); free some, or choose another place\n',
  );
  expect(exitCode).toBe(1);
});

const longPrediction =
  'simulate --machine env1 --strategy none --draft none --target mistral-7b --prompts 64 --prompt-tokens 16 --max-new-tokens 20000';

it('ends with 130 however many Ctrl-C come', async () => {
  const { exitCode, stderr } = await runCli(longPrediction.split(' '), {
    onStderr: 'predicted:',
    delayMs: 200,
    do: (kill) => {
      for (let times = 0; times < 20; times++) setTimeout(() => kill('SIGINT'), 5 * times);
    },
  });
  expect(stderr).toContain('interrupted; records finished before are intact');
  expect(exitCode).toBe(130);
});

it('ends as it would by Ctrl-C when its terminal closes', async () => {
  const { exitCode, stderr } = await runCli(longPrediction.split(' '), {
    ...{ onStderr: 'predicted:', delayMs: 200, do: (kill) => kill('SIGHUP') },
  });
  expect(stderr).toContain('interrupted; records finished before are intact');
  expect(exitCode).toBe(129);
});

/** What a shell makes of it, which sets the scene first. */
function runShell(script: string): { exitCode: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script, process.execPath, command], {
    encoding: 'utf8',
  });
  return { exitCode: status, said: stdout + stderr };
}

it.each([
  [
    'in a folder that was removed',
    'd=$(mktemp -d); cd $d; rmdir $d; "$0" "$1" runs list --results here',
    'cannot find the folder that the command runs in',
  ],
  [
    'with too few files for threads',
    'ulimit -n 30; "$0" "$1" run --strategy none --num-prompts 1 --new-tokens 1 --results /nowhere/to',
    'too many (open files|files are open)',
  ],
])('says in one sentence why it cannot work %s', (_, script, message) => {
  const { exitCode, said } = runShell(script);
  expect(said).toMatch(new RegExp(`^specoffload: .*${message}`, 'm'));
  expect(said).not.toContain('unexpected failure');
  expect(exitCode).toBe(1);
});

it.each([
  ['simulate', '--machine', 'a\u001b[2Jb'],
  ['simulate', '--target', 'a\u001b[2Jb'],
  ['report', 'a\u001b[2Jb'],
  ['sweep', 'a\u001b[2Jb.json'],
  ['runs', 'query', 'select "a\u001b[2Jb"'],
  ['a\u001b[2Jb'],
])('lets nothing through that a terminal obeys: %s %s %s', async (...args) => {
  const { exitCode, stdout, stderr } = await runCli(args.filter((word) => typeof word === 'string'));
  expect(stderr).toContain('[2Jb');
  expect(stdout + stderr).not.toContain('\u001b');
  expect(exitCode).not.toBe(0);
});
