/** Every example of examples/ ends well and prints what it says. */

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectDirectory } from '../experiments/src/paths.js';

const printed: Readonly<Record<string, RegExp>> = {
  'run.mjs': /16 tokens in \d+ passes, [\d.]+ tokens\/s\n$/,
  'predict.mjs': /^none on rtx-4090\+pcie4.*tokens\/s, link busy \d+ % of decode\nserial on .*\n$/,
  'sweep.mjs': /^(\{"candidates":[24],.*\}: [\d.]+ tokens\/s\n){4}records in .*\n$/,
};

it('every example is tried', () => {
  expect(readdirSync(join(projectDirectory, 'examples')).sort()).toEqual(Object.keys(printed).sort());
});

it.each(Object.entries(printed))('%s', (name, expected) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(projectDirectory, 'examples', name)], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  expect(stdout).toMatch(expected);
});
