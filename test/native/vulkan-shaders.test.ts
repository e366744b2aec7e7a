/** The kernels' SPIR-V: it is what the sources say, and takes what the table of kernels says. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  activate,
  argmax,
  attend,
  chooseExperts,
  clipValues,
  cooperativeMatmul,
  createAttentionTables,
  type Dispatch,
  draw,
  embed,
  gather,
  type KernelLimits,
  keepTokens,
  kernels,
  leastLimits,
  listRows,
  matmul,
  norm,
  scatterAdd,
  startsFinite,
  swapLogits,
} from '@specoffload/native';
import { afterAll, describe, expect, test } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';
import { parseSpirv } from './spirv.js';

const native = join(projectDirectory, 'native');
const shaderDir = join(native, 'src', 'vulkan-shaders');
const stored = (name: string) => readFileSync(join(shaderDir, name));
const names = readdirSync(shaderDir).flatMap((name) => /^(.*)\.spv$/.exec(name)?.[1] ?? []);
const isCooperative = (name: string) => name.startsWith('matmul-cooperative');

test('every kernel of the table has its module and its source, and no other', () => {
  expect(names.sort()).toEqual(Object.keys(kernels).sort());
  const sources = readdirSync(shaderDir).filter((name) => name.endsWith('.comp'));
  expect(sources.sort()).toEqual(
    [...new Set(names.map((name) => `${name.replace(/-bf16$/, '')}.comp`))].sort(),
  );
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

/** NVIDIA's and AMD's, and Intel's. */
const matrices = [
  { format: 'bf16', blockRows: 16, blockOutputs: 16, blockDepth: 16 },
  { format: 'f16', blockRows: 8, blockOutputs: 16, blockDepth: 16 },
] as const;

/** What every kernel is started with for some size: a bit of everything. */
function dispatchesOf(limits: KernelLimits): Dispatch<number>[] {
  const weights = { address: 0, format: 'bf16', rowBytes: 8192 } as const;
  const vector = { address: 0, format: 'f32' } as const;
  const sizes = [1, 2, 3, 16, 17, 40, 300, 5000];
  const heads = [1, 4, 7].flatMap((group) =>
    [2, 64, 80, 128, 256].map((headDim) => ({ numHeads: 2 * group, numKvHeads: 2, headDim })),
  );
  const common = {
    x: 0,
    y: 0,
    q: 0,
    k: 0,
    v: 0,
    out: 0,
    cache: 0,
    ropeCos: 0,
    ropeSin: 0,
    places: 0,
    runs: 0,
    scratch: 0,
  };
  const addresses = {
    source: 0,
    target: 0,
    indices: 0,
    scales: 0,
    scratch: 0,
    ids: 0,
    gate: 0,
    up: 0,
    out: 0,
  };
  const kept = { temperature: 1, least: 9, share: 0, farthest: 1, reach: 1 };
  const choice = { chosen: 0, rows: 0, numExperts: 128, perRow: 8 };
  return sizes.flatMap((rows) => [
    chooseExperts({ ...addresses, ...choice, scores: 0, rows, overAll: true }, limits),
    listRows({ ...addresses, ...choice, rows }, limits),
    ...[1, 600, 50_000, 300_000].flatMap((width) => [
      matmul({ ...common, weights, rows, depth: 4096, width, isAligned: true }, limits),
      ...matrices.flatMap(
        (matrix) =>
          cooperativeMatmul(
            { ...common, weights, rows, depth: 4096, width, isAligned: true },
            { ...matrix, subgroupSize: Math.max(8, limits.leastSubgroupSize) },
            limits,
          ) ?? [],
      ),
      norm({ ...common, weight: vector, rows, width, eps: 1e-6, offset: 0 }, limits),
      ...argmax({ ...addresses, rows, width }, limits),
      draw({ ...addresses, keys: 0, rows, width, temperature: 1 }, limits),
      keepTokens({ ...addresses, ...kept, rows, width }, limits),
      swapLogits({ ...addresses, places: 0, saved: 0, count: width, putsBack: true }, limits),
      embed({ ...addresses, table: weights, rows, width, scale: 1 }, limits),
      gather({ ...addresses, rows, width }, limits),
      scatterAdd({ ...addresses, rows, width, areDistinct: true }, limits),
      startsFinite({ ...addresses, rows, width }),
      activate({ ...addresses, count: rows * width, activation: 'silu' }, limits),
      clipValues({ values: 0, count: rows * width, clip: 1 }, limits),
    ]),
    ...heads.flatMap((shape) => {
      const sequences = Float64Array.of(0, 0, rows, 0, rows, 0, 0, 9, 8, 1, 0, 0, 70_000, 69_999, 1);
      const tables = createAttentionTables(sequences, shape, { window: null, scratchBytes: 2 ** 20 });
      return attend({ ...common, ...shape, tables, window: null, scale: 1 }, limits);
    }),
  ]);
}

test('nothing to compute is no workgroup', () => {
  const [weights, common] = [{ address: 0, format: 'bf16', rowBytes: 16 } as const, { x: 0, y: 0, rows: 0 }];
  const { groups } = matmul({ ...common, weights, depth: 8, width: 8, isAligned: true }, leastLimits);
  expect(groups).toEqual([0, 1, 1]);
  expect(gather({ source: 0, target: 0, indices: 0, rows: 0, width: 8 }, leastLimits).groups[0]).toBe(0);
});

test.each([
  ['the least that Vulkan grants', leastLimits],
  [
    'a card',
    { ...leastLimits, sharedMemoryBytes: 49_152, workgroupInvocations: 1024, leastSubgroupSize: 32 },
  ],
  [
    'lavapipe',
    { ...leastLimits, sharedMemoryBytes: 32_768, workgroupInvocations: 1024, leastSubgroupSize: 8 },
  ],
])('dispatches keep to the limits: %s', (_, limits) => {
  const modules = new Map(names.map((name) => [name, parseSpirv(stored(`${name}.spv`))]));
  const dispatches = dispatchesOf(limits);
  const served = new Set(dispatches.map(({ kernel }) => kernel as string));
  // The least shared memory has no room for tiles of cooperative matrices.
  expect(served).toEqual(new Set(names.filter((name) => limits !== leastLimits || !isCooperative(name))));
  for (const { kernel, constants, groups } of dispatches) {
    const what = `${kernel} ${constants}`;
    expect(constants[0], what).toBeLessThanOrEqual(limits.workgroupInvocations);
    expect(modules.get(kernel)!.sharedBytes(constants), what).toBeLessThanOrEqual(limits.sharedMemoryBytes);
    for (const count of groups) expect(count, what).toBeLessThanOrEqual(limits.workgroups);
  }
});

const rebuilt = mkdtempSync(join(tmpdir(), 'shaders-'));
afterAll(() => rmSync(rebuilt, { recursive: true }));

/** Glslang 12 makes the others, and a newer one, named by GLSLANG, those with cooperative matrices. */
describe.each([
  ['COMPILER', 'glslangValidator', (name: string) => !isCooperative(name)],
  ['COMPILER-MATRICES', process.env.GLSLANG ?? 'no newer glslang', isCooperative],
] as const)('modules by %s', (noted, compiler, isMade) => {
  const { status, stderr } = spawnSync(process.execPath, [join(native, 'shaders.mjs'), rebuilt], {
    ...{ encoding: 'utf8', env: { ...process.env, GLSLANG: compiler } },
  });
  const path = join(rebuilt, noted);
  const here = status === 0 && existsSync(path) ? readFileSync(path, 'utf8') : stderr;
  const expected = stored(noted).toString();

  test.skipIf(here !== expected)(
    `are what ${expected.trim()} makes of the sources (here: ${here.trim()})`,
    () => {
      const changed = names
        .filter(isMade)
        .filter((name) => !readFileSync(join(rebuilt, `${name}.spv`)).equals(stored(`${name}.spv`)));
      expect(changed).toEqual([]);
    },
  );
});
