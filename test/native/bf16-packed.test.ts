import { codecs, f32, loadNativeCore } from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { addonIsBuilt, cores, createRandom, randomWhole, twin } from './helpers.js';

const random = createRandom(5);
const core = addonIsBuilt ? loadNativeCore('native') : twin;
const levels = addonIsBuilt ? core.probe().kernelLevels : [];

/** Random values whose exponents are those of a Gaussian's, now and then far below. */
function weights(count: number): Uint16Array {
  return Uint16Array.from({ length: count }, () => {
    const exponent = 121 - Math.floor(-Math.log2(random() + 1e-9) / 1.3);
    return (randomWhole(random, 0, 1) << 15) | (Math.max(exponent, 1) << 7) | randomWhole(random, 0, 127);
  });
}

/** A block of ones but for what is put in it. */
function block(values: Readonly<Record<number, number>>): Uint16Array {
  const halves = new Uint16Array(64).fill(0x3f80);
  for (const [at, half] of Object.entries(values)) halves[Number(at)] = half;
  return halves;
}

/** fp32 bits that `one` makes of stored values at an odd address. */
function widened(one: typeof core, dtype: 'bf16' | 'bf16_packed', stored: Uint8Array): Uint32Array {
  const count = codecs[dtype].count(stored.length);
  const [source, target] = [one.createArena(stored.length + 3), one.createArena(f32.bytes(count))];
  new Uint8Array(source.buffer).set(stored, 3);
  one.widen(source, 3, dtype, count, target, 0);
  const bits = new Uint32Array(target.buffer.slice(0));
  source.release();
  target.release();
  return bits;
}

/** Null where it does not fit. */
function packed(halves: Uint16Array, one = core): Uint8Array | null {
  const stored = new Uint8Array(codecs.bf16_packed.bytes(halves.length));
  return one.packBf16(new Uint8Array(halves.buffer), stored) ? stored : null;
}

/** 16 exponents below 1, and 62 further below. */
const [below, farBelow] = [(127 - 15) << 7, (127 - 15 - 62) << 7];

test('a block takes 100 bytes for 64 values', () => {
  expect(packed(weights(64))?.length).toBe(100);
  expect([codecs.bf16_packed.bytes(128), codecs.bf16_packed.count(299)]).toEqual([200, 128]);
});

describe.each(cores)('packed bf16, %s', (_, one) => {
  test.each<[string, Uint16Array]>([
    ['a Gaussian', weights(6400)],
    [
      'zeros, and subnormals beside them',
      block({ 0: 0, 1: 0x8000, 2: 0x0001, 31: 0x807f, 32: 0x0040, 63: 0 }),
    ],
    ['nothing but zeros', new Uint16Array(64)],
    ['infinities and NaNs', Uint16Array.from({ length: 64 }, (_, i) => 0x7f80 + (i << 15) + i)],
    ['exceptions at both ends', block({ 0: below | 0x8005, 63: farBelow | 0x7f })],
    ['the least exponents', block({ 5: 0 }).map((half) => (half === 0 ? 0 : 0x0080 | (half & 0x7f)))],
  ])('gives back every bit of %s', (_, halves) => {
    const stored = packed(halves, one) as Uint8Array;
    expect(stored).toEqual(packed(halves, twin));
    const values = new Uint8Array(halves.buffer);
    expect(widened(one, 'bf16_packed', stored)).toEqual(widened(one, 'bf16', values));
    const unpacked = new Uint8Array(values.length);
    one.unpackBf16(stored, unpacked);
    expect(unpacked).toEqual(values);
  });
});

describe.each(cores)('packing, %s', (_, one) => {
  test.each<[string, Uint16Array]>([
    ['three exceptions', block({ 0: below, 31: below, 32: below })],
    ['an exponent out of reach', block({ 9: farBelow - 0x80 })],
    ['an infinity among ones', block({ 0: 0x7f80 })],
  ])('refuses %s', (_, halves) => {
    expect(packed(halves, one)).toBeNull();
  });

  test('is of whole blocks', () => {
    const [values, stored] = [new Uint8Array(192), new Uint8Array(150)];
    const message = 'invalid packed: 150 bytes for 192 of bf16; expected 100 for every 128';
    expect(() => one.packBf16(values, stored)).toThrow(message);
    expect(() => one.unpackBf16(stored, values)).toThrow(message);
  });
});

test.runIf(addonIsBuilt)('native code and twin agree about bytes of strangers', () => {
  const stored = Uint8Array.from({ length: 100 * 400 }, () => randomWhole(random, 0, 255));
  for (let at = 0; at < stored.length; at += 100) stored[at] = randomWhole(random, 0, 90);
  expect(widened(core, 'bf16_packed', stored)).toEqual(widened(twin, 'bf16_packed', stored));
});

describe.each(levels)('products of packed bf16, %s', (level) => {
  test.each([
    [1, 40, 192, 1, 1],
    [3, 21, 576, 1, 2],
    [70, 70, 320, 2, 1],
  ])('%i rows are those of bf16 to the bit', (rows, width, depth, threads, step) => {
    const usual = core.probe().kernelLevel;
    core.useKernels(level);
    const halves = weights(width * depth * step);
    const x = Float32Array.from({ length: rows * depth }, () => random() - 0.5);
    const multiplied = (dtype: 'bf16' | 'bf16_packed', stored: Uint8Array) => {
      const y = new Float32Array(rows * width);
      const call = { dtype, weights: stored, paired: 1, step, x, y, rows, depth, width };
      core.multiply({ ...call, bias: null, addend: null, threads });
      return y;
    };
    const expected = multiplied('bf16', new Uint8Array(halves.buffer));
    expect(multiplied('bf16_packed', packed(halves) as Uint8Array)).toEqual(expected);
    core.useKernels(usual);
  });
});
