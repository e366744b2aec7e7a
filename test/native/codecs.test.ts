import { codecs, decodeWeights } from '@specoffload/native';
import { describe, expect, it } from 'vitest';
import { narrowBf16 } from '../../native/dist/codecs/bf16.js';
import { narrowF16 } from '../../native/dist/codecs/f16.js';

const widen = (dtype: 'bf16' | 'f16') => (half: number) =>
  decodeWeights(new Uint8Array(Uint16Array.of(half).buffer), dtype)[0];
const [widenBf16, widenF16] = [widen('bf16'), widen('f16')];

describe('bf16', () => {
  it.each([
    [0x3f80, 1],
    [0xc000, -2],
    [0x0000, 0],
    [0x8000, -0],
    [0x7f80, Number.POSITIVE_INFINITY],
    [0x7fc0, Number.NaN],
    [0x0001, 2 ** -133],
  ])('%i means %d both ways', (bits, value) => {
    expect(widenBf16(bits)).toBe(value);
    expect(narrowBf16(value)).toBe(bits);
  });

  it.each([
    ['down, below half', 1 + 2 ** -9, 1],
    ['half to even, down', 1 + 2 ** -8, 1],
    ['half to even, up', 1 + 3 * 2 ** -8, 1 + 2 ** -6],
    ['up, above half', 1 + 2 ** -8 + 2 ** -20, 1 + 2 ** -7],
    ['the largest to infinity', 3.4e38, Number.POSITIVE_INFINITY],
    ['negative numbers like positive ones', -(1 + 3 * 2 ** -8), -(1 + 2 ** -6)],
  ])('rounds %s', (_, value, expected) => {
    expect(widenBf16(narrowBf16(value))).toBe(expected);
  });

  it('narrows every bf16 to itself', () => {
    const wrong = Array.from({ length: 65536 }, (_, bits) => bits).filter(
      (bits) => !Number.isNaN(widenBf16(bits)) && narrowBf16(widenBf16(bits)) !== bits,
    );
    expect(wrong).toEqual([]);
  });
});

describe('fp16', () => {
  it.each([
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x8000, -0],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0x7e00, Number.NaN],
  ])('%i means %d both ways', (bits, value) => {
    expect(widenF16(bits)).toBe(value);
    expect(narrowF16(value)).toBe(bits);
  });

  it.each([
    ['half to even, down', 1 + 2 ** -11, 1],
    ['half to even, up', 1 + 3 * 2 ** -11, 1 + 2 ** -9],
    ['a mantissa into the next exponent', 2 - 2 ** -12, 2],
    ['a denormal into a normal number', 1023.75 * 2 ** -24, 2 ** -14],
    ['half the smallest to zero', 2 ** -25, 0],
    ['what is too large to infinity', 65520, Number.POSITIVE_INFINITY],
    ['what is not yet too large down', 65519, 65504],
  ])('rounds %s', (_, value, expected) => {
    expect(widenF16(narrowF16(value))).toBe(expected);
  });

  it('narrows every fp16 to itself', () => {
    const wrong = Array.from({ length: 65536 }, (_, bits) => bits).filter(
      (bits) => !Number.isNaN(widenF16(bits)) && narrowF16(widenF16(bits)) !== bits,
    );
    expect(wrong).toEqual([]);
  });
});

it.each(['bf16', 'f16', 'f32'] as const)(
  '%s bytes survive the way there and back, at odd offsets too',
  (dtype) => {
    const values = Float32Array.of(0, 1, -1.5, 0.25, 1024);
    const bytes = codecs[dtype].encode(values);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect(decodeWeights(shifted.subarray(1), dtype)).toEqual(values);
  },
);

it.each(['bf16', 'f16', 'f32'] as const)('%s counts the values that its bytes hold', (dtype) => {
  const { bytes, count, encode } = codecs[dtype];
  expect(encode(new Float32Array(7)).length).toBe(bytes(7));
  expect([count(bytes(7)), count(bytes(7) + 1), count(bytes(7) - 1)]).toEqual([7, 7, 6]);
});
