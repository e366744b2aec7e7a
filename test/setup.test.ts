import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectDirectory } from '../experiments/src/paths.js';
import { runNode } from './experiments/cli.js';

const script = join(projectDirectory, 'experiments', 'setup.mjs');

it('does nothing the second time', async () => {
  const first = await runNode([script]);
  expect(first.exitCode, first.stderr).toBe(0);
  // Each step says that it begins.
  const second = await runNode([script]);
  expect(second).toEqual({ exitCode: 0, stdout: '', stderr: '' });
});
