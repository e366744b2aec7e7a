import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectDirectory } from '../experiments/src/paths.js';
import { runNode } from './experiments/cli.js';

const script = join(projectDirectory, 'experiments', 'setup.mjs');

it('does nothing the second time', async () => {
  const first = await runNode([script]);
  expect(first.exitCode, first.stderr).toBe(0);
  const startMs = performance.now();
  const second = await runNode([script]);
  expect(second).toEqual({ exitCode: 0, stdout: '', stderr: '' });
  // 0.1 s alone on two cores; the limit leaves room for a busy machine.
  expect(performance.now() - startMs).toBeLessThan(1500);
});
