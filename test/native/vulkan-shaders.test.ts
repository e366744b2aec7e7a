/** The kernels' SPIR-V: it is what the sources say, and takes what the table of kernels says. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernels } from '@specoffload/native';
import { afterAll, describe, expect, test } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';
import { parseSpirv } from './spirv.js';

const native = join(projectDirectory, 'native');
const shaderDir = join(native, 'src', 'vulkan-shaders');
const stored = (name: string) => readFileSync(join(shaderDir, name));
const names = readdirSync(shaderDir).flatMap((name) => /^(.*)\.comp$/.exec(name)?.[1] ?? []);

test('every kernel of the table has its source, and no other', () => {
  expect(names.sort()).toEqual(Object.keys(kernels).sort());
});

describe.each(Object.entries(kernels))('%s', (name, { constants, addresses, words }) => {
  const module = parseSpirv(stored(`${name}.spv`));

  test('has the constants of the table', () => {
    // The first is the workgroup's size, which has no name of its own.
    expect([...module.constants].sort(([a], [b]) => a - b)).toEqual(
      constants.slice(1).map((constant, index) => [index + 1, constant]),
    );
  });

  test('has the push constants of the table, within what every device takes', () => {
    const fields = [
      ...addresses.map((field) => ({ name: field as string, type: 'address', bytes: 8 })),
      ...Object.entries(words).map(([field, type]) => ({ name: field, type: type as string, bytes: 4 })),
    ];
    let offset = 0;
    const laidOut = fields.map(({ name: field, type, bytes }) => {
      offset += bytes;
      return { name: field, type, offset: offset - bytes };
    });
    expect(offset).toBeLessThanOrEqual(128);
    // `out` is a word of the language
    expect(module.push.map((field) => ({ ...field, name: field.name.replace(/_$/, '') }))).toEqual(laidOut);
  });
});

const rebuilt = mkdtempSync(join(tmpdir(), 'shaders-'));
afterAll(() => rmSync(rebuilt, { recursive: true }));
const { status, stderr } = spawnSync(process.execPath, [join(native, 'shaders.mjs'), rebuilt], {
  encoding: 'utf8',
});
const here = status === 0 ? readFileSync(join(rebuilt, 'COMPILER'), 'utf8') : stderr;
const expected = stored('COMPILER').toString();

test.skipIf(here !== expected)(
  `is what ${expected.trim()} makes of the sources (here: ${here.trim()})`,
  () => {
    const changed = names.filter(
      (name) => !readFileSync(join(rebuilt, `${name}.spv`)).equals(stored(`${name}.spv`)),
    );
    expect(changed).toEqual([]);
  },
);
