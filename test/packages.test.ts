import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectDirectory } from '../experiments/src/paths.js';
import { unusedFiles } from '../experiments/unused-files.mjs';

const packages = join(projectDirectory, 'node_modules');

describe('installed packages', () => {
  it('hold nothing that no process loads', () => {
    expect(unusedFiles(packages)).toEqual([]);
  });

  it('take less than 500 MB, those for development among them', () => {
    const files = readdirSync(packages, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
    expect(bytes).toBeLessThan(500e6);
    expect(bytes).toBeGreaterThan(200e6);
  });

  it.each(['native', 'engine/input', 'engine', 'kernel', 'experiments'])('of %s are whole', (workspace) => {
    const path = join(projectDirectory, workspace, 'package.json');
    const { dependencies } = JSON.parse(readFileSync(path, 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const { resolve } = createRequire(path);
    for (const name of Object.keys(dependencies).filter((name) => !name.startsWith('@types/')))
      expect(resolve(name), name).toContain(
        name
          .replace(/^@specoffload\/(input)$/, 'engine/$1')
          .split('/')
          .pop()!,
      );
  });
});

it('tells builds for other systems, for browsers and source maps', () => {
  const elsewhere = unusedFiles(packages, { platform: 'plan9', arch: 'mips' });
  expect(elsewhere).toContainEqual(
    expect.stringMatching(/^onnxruntime-node\/bin\/napi-v6\/\w+\/\w+\/onnxruntime_binding\.node$/),
  );
  expect(elsewhere).toContainEqual(expect.stringMatching(/^zeromq\/build\/\w+\/\w+\/.*addon\.node$/));
  expect(elsewhere.filter((path) => !/^(onnxruntime-node\/bin|zeromq\/build)\//.test(path))).toEqual([]);
  expect(elsewhere).not.toContain('zeromq/build/manifest.json');
});
