import { spawnSync } from 'node:child_process';
import { type Codec, codecs, f32, loadNativeCore, type WeightDtype } from '@specoffload/native';
import { afterEach, describe, expect, test } from 'vitest';
import { addonIsBuilt, addonPath, createRandom, randomWhole, twin } from './helpers.js';

const core = addonIsBuilt ? loadNativeCore('native') : twin;
const { kernelLevel: usual, kernelLevels } = core.probe();
const dtypes = Object.keys(codecs) as WeightDtype[];

afterEach(() => core.useKernels(usual));

/** Of whatever a level makes of the same random bytes. */
function decodeAll(level: string): readonly Uint32Array[] {
  core.useKernels(level);
  const random = createRandom(11);
  return dtypes.map((dtype) => {
    const { blockElements, bytes }: Codec = codecs[dtype];
    const count = blockElements * Math.ceil(530 / blockElements) + (blockElements === 1 ? 1 : 0);
    const [source, target] = [core.createArena(bytes(count) + 1), core.createArena(f32.bytes(count))];
    const stored = new Uint8Array(source.buffer);
    for (let i = 0; i < stored.length; i += 1) stored[i] = randomWhole(random, 0, 255);
    core.widen(source, 1, dtype, count, target, 0);
    const bits = new Uint32Array(target.buffer.slice(0));
    source.release();
    target.release();
    return bits;
  });
}

function multiplyAt(level: string): Float32Array {
  core.useKernels(level);
  const random = createRandom(12);
  const [rows, depth, width] = [9, 1100, 21];
  const uniform = (count: number) => Float32Array.from({ length: count }, () => 2 * random() - 1);
  const weights = new Uint8Array(uniform(depth * width).buffer);
  const y = new Float32Array(rows * width);
  const call = {
    dtype: 'f32',
    weights,
    paired: 1,
    step: 1,
    x: uniform(rows * depth),
    y,
    rows,
    depth,
  } as const;
  core.multiply({ ...call, width, bias: null, addend: null, threads: 2 });
  return y;
}

describe.runIf(addonIsBuilt)('levels of vector instructions', () => {
  test('the best that this processor has is used', () => {
    expect(usual).toBe(process.env.SPECOFFLOAD_KERNELS ?? kernelLevels.at(-1));
    expect(kernelLevels[0]).toBe('baseline');
    expect(() => core.useKernels('avx1024')).toThrow(
      `invalid level of kernels: avx1024; expected ${kernelLevels.join(' or ')}`,
    );
  });

  test.each(kernelLevels)('%s decodes to the same bits, and multiplies within rounding', (level) => {
    expect(decodeAll(level)).toEqual(decodeAll('baseline'));
    const expected = multiplyAt('baseline');
    for (const [i, value] of multiplyAt(level).entries())
      expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-6 * 1100);
  });

  test('nothing outside of a level needs its instructions', (context) => {
    const args = ['--disassemble', '--no-show-raw-insn', addonPath];
    const { status, stdout } = spawnSync('objdump', args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
    if (status !== 0 || process.arch !== 'x64') return context.skip('no objdump for this processor');
    const needy = stdout
      .split('\n\n')
      .map((text) => ({ name: /<(.+)>:/.exec(text)?.[1] ?? '', text }))
      .filter(({ name, text }) => !/4avx2|6avx512|3amx/.test(name) && /\tv[a-z0-9]+ .*%[xyz]mm/.test(text));
    expect(needy.map(({ name }) => name)).toEqual([]);
  });
});
