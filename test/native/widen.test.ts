import type { NativeCore, WeightDtype } from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { cores } from './helpers.js';

const numPatterns = 2 ** 16;

/** fp16's value by its definition, except that bits tell NaN from NaN. */
function valueOfF16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** Widens all bit patterns from `first` on, in pieces: small ones are what vectors leave over. */
function widenAll(core: NativeCore, dtype: WeightDtype, first: number, piece = numPatterns): Uint32Array {
  const source = core.createArena(numPatterns * 2);
  const target = core.createArena(numPatterns * 4 + 4);
  new Uint16Array(source.buffer).forEach((_, i, halves) => {
    halves[i] = i;
  });
  const count = numPatterns - first;
  for (let i = 0; i < count; i += piece) {
    core.widen(source, (first + i) * 2, dtype, Math.min(piece, count - i), target, 4 + i * 4);
  }
  const bits = new Uint32Array(target.buffer, 4, count).slice();
  expect(new Uint32Array(target.buffer)[0]).toBe(0);
  source.release();
  target.release();
  return bits;
}

describe.each(cores)('widen, %s', (_, core) => {
  test.each([
    [0, numPatterns],
    [1, numPatterns],
    [65530, numPatterns],
    [0, 7],
  ])('maps every bf16 bit pattern from %i on, %i at a time, to the same upper half', (first, piece) => {
    const bits = widenAll(core, 'bf16', first, piece);
    const expected = Uint32Array.from(bits, (_, i) => (first + i) * 2 ** 16);
    expect(bits).toEqual(expected);
  });

  test.each([
    [0, numPatterns],
    [3, numPatterns],
    [65521, numPatterns],
    [0, 7],
  ])('maps every fp16 bit pattern from %i on, %i at a time, to its value', (first, piece) => {
    const bits = widenAll(core, 'f16', first, piece);
    const values = new Float32Array(bits.buffer);
    let numWrong = 0;
    values.forEach((value, i) => {
      if (!Object.is(value, valueOfF16(first + i))) numWrong += 1;
    });
    expect(numWrong).toBe(0);
  });

  test('keeps the sign and payload of an fp16 NaN and makes it quiet', () => {
    const bits = widenAll(core, 'f16', 0);
    expect(bits[0x7c01]).toBe(0x7fc02000);
    expect(bits[0xfe03]).toBe(0xffc06000);
  });

  test.each([1, 2, 3])('copies f32 from byte %i, bit for bit', (start) => {
    const source = core.createArena(64);
    const target = core.createArena(64);
    const bytes = new Uint8Array(source.buffer).map((_, i) => 255 - i);
    new Uint8Array(source.buffer).set(bytes);
    core.widen(source, start, 'f32', 9, target, 8);
    expect(new Uint8Array(target.buffer, 8, 36)).toEqual(bytes.slice(start, start + 36));
    expect(new Uint8Array(target.buffer, 44)).toEqual(new Uint8Array(20));
  });

  test.each(['bf16', 'f16'] as const)('widens %s from an odd byte as from an even one', (dtype) => {
    const count = 101; // vectors of any width, and some left over
    const widened = [0, 1].map((start) => {
      const source = core.createArena(256);
      const target = core.createArena(4 * count);
      new Uint8Array(source.buffer).set(
        Uint8Array.from({ length: 2 * count }, (_, i) => (i * 89) % 120),
        start,
      );
      core.widen(source, start, dtype, count, target, 0);
      return new Uint8Array(target.buffer).slice();
    });
    expect(widened[1]).toEqual(widened[0]);
    expect(new Set(widened[0]).size).toBeGreaterThan(50);
  });

  test('leaves everything alone when there is nothing to widen', () => {
    const arena = core.createArena(16);
    core.widen(arena, 0, 'bf16', 0, arena, 0);
    expect(new Uint8Array(arena.buffer)).toEqual(new Uint8Array(16));
  });

  test.each([
    [0, 'bf16', 33, 0, 'invalid sourceOffset: 0; expected 66 bytes from there to fit an arena of 64'],
    [0, 'bf16', 17, 0, 'invalid targetOffset: 0; expected 68 bytes from there to fit an arena of 64'],
    [0, 'f16', 1, 2, 'invalid targetOffset: 2; expected a multiple of 4'],
    [0, 'f16', -1, 0, 'invalid count: -1; expected a whole number from 0'],
    [0, 'f16', 1.5, 0, 'invalid count: 1.5; expected a whole number from 0'],
    [-2, 'f16', 1, 0, 'invalid sourceOffset: -2; expected 2 bytes from there to fit an arena of 64'],
    [0, 'f8', 1, 0, 'invalid dtype: f8; expected one of bf16, f16, f32'],
  ])('refuses (%i, %s, %d, %i)', (sourceOffset, dtype, count, targetOffset, message) => {
    const source = core.createArena(64);
    const target = core.createArena(64);
    expect(() => core.widen(source, sourceOffset, dtype as WeightDtype, count, target, targetOffset)).toThrow(
      new RangeError(message as string).constructor as ErrorConstructor,
    );
    expect(() => core.widen(source, sourceOffset, dtype as WeightDtype, count, target, targetOffset)).toThrow(
      message as string,
    );
  });

  test('refuses a target that overlaps the source', () => {
    const arena = core.createArena(64);
    expect(() => core.widen(arena, 8, 'bf16', 4, arena, 0)).toThrow('does not overlap the source');
    core.widen(arena, 16, 'bf16', 4, arena, 0);
    core.widen(arena, 0, 'bf16', 4, arena, 8);
  });

  test('refuses a released arena', () => {
    const arena = core.createArena(64);
    const target = core.createArena(64);
    arena.release();
    expect(() => core.widen(arena, 0, 'bf16', 4, target, 0)).toThrow('it is released');
  });
});
