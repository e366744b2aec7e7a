/** What is left of a kernel's module for given constants: less, and valid; vulkan-kernels.test.ts holds it to arithmetic. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KernelName, kernels, weightFormats } from '@specoffload/native';
import { afterAll, describe, expect, it } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';
import { KernelModule } from '../../native/dist/spirv/specialise.js';
import { scaleFormats } from '../../native/dist/vulkan-shaders/kernels.js';
import { parseSpirv } from './spirv.js';

const stored = (name: string) =>
  readFileSync(join(projectDirectory, 'native', 'src', 'vulkan-shaders', `${name}.spv`));
const directory = mkdtempSync(join(tmpdir(), 'spirv-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Of SPIRV-Tools; releases before 2023.4 do not know cooperative matrices. */
const version = spawnSync('spirv-val', ['--version'], { encoding: 'utf8' }).stdout ?? '';
const [, release = '0'] = /v(\d{4}\.\d+)/.exec(version) ?? [];
const names = Object.keys(kernels) as KernelName[];
const isChecked = (name: string) =>
  Number(release) >= (name.startsWith('matmul-cooperative') ? 2023.4 : 2022);

const usual: Readonly<Record<string, number>> = {
  ...{ threads: 64, numRows: 4, numOutputs: 2, mostSubgroups: 8, tileRows: 32, tileOutputs: 64 },
  ...{ threadRows: 4, threadOutputs: 4, headDim: 64, numQueries: 2, blockKeys: 32, numPlaces: 3 },
  ...{ blockRows: 16, blockOutputs: 16, blockDepth: 16, subgroupRows: 2, subgroupOutputs: 2 },
  ...{ acrossRows: 2, acrossOutputs: 2, mostFound: 7, mostKept: 64 },
};
const axes: Readonly<Record<string, readonly number[]>> = {
  weightFormat: Object.values(weightFormats),
  vectorFormat: [0, 1],
  scaleFormat: [0, ...Object.values(scaleFormats)],
  byEights: [0, 1],
  activation: [0, 1, 2],
};

/** Each value of every axis, the others at their first. */
function constantsOf(name: KernelName): number[][] {
  const constants: readonly string[] = kernels[name].constants;
  const first = constants.map((constant) => usual[constant] ?? axes[constant]?.[0] ?? 0);
  const others = constants.flatMap((constant, place) =>
    (axes[constant] ?? []).slice(1).map((value) => first.with(place, value)),
  );
  return [first, ...others];
}

describe.each(names)('%s', (name) => {
  const module = stored(name);
  const specialised = new KernelModule(module);

  it('is smaller, and shares as much memory', () => {
    for (const constants of constantsOf(name)) {
      const result = specialised.for(constants);
      const share = constants.length > 1 && module.length > 40_000 ? 0.4 : 1;
      expect(result.length / module.length, `${constants}`).toBeLessThan(share);
      expect(parseSpirv(result).sharedBytes(constants)).toBe(parseSpirv(module).sharedBytes(constants));
    }
  });

  // Products share the decoding of every format: of one of them all are tried.
  it.skipIf(!isChecked(name))(`is valid (spirv-val ${release})`, () => {
    for (const constants of constantsOf(name).slice(0, name === 'matmul-few' ? undefined : 4)) {
      const path = join(directory, 'module.spv');
      writeFileSync(path, specialised.for(constants));
      const { status, stderr } = spawnSync('spirv-val', ['--target-env', 'vulkan1.3', path], {
        encoding: 'utf8',
      });
      expect([status, stderr], `${constants}`).toEqual([0, '']);
    }
  });
});
