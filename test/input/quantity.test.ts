import { parseQuantity, type Unit } from '@specoffload/input';
import { describe, expect, it } from 'vitest';

describe('a number with its unit', () => {
  it.each<[string, Unit, number]>([
    ['24GiB', 'B', 24 * 2 ** 30],
    ['4.35 GB', 'B', 4_350_000_000],
    ['1.5e-3TB', 'B', 1_500_000_000],
    ['512B', 'B', 512],
    ['1.2GB / s', 'B/s', 1_200_000_000],
    ['165.2TFLOP/s', 'FLOP/s', 165_200_000_000_000],
    ['20us', 's', 2e-5],
    ['1.1ms', 's', 1.1e-3],
    ['10 min', 's', 600],
    ['2days', 's', 172_800],
  ])('%s in %s', (text, unit, number) => {
    expect(parseQuantity(text, unit)).toBe(number); // exactly
  });

  it.each<[string, Unit]>([
    ['24Gb', 'B'],
    ['24', 'B'],
    ['GB', 'B'],
    ['24GB', 'B/s'],
    ['24GB/s', 'B'],
    ['1GB/min', 'B/s'],
    ['1TFLOPS', 'FLOP/s'],
    ['1.2.3GB', 'B'],
    ['-1GB', 'B'],
    ['1e999GB', 'B'],
    ['1constructorB', 'B'],
    ['5 m', 's'],
    ['1toString', 's'],
  ])('is not %s in %s', (text, unit) => {
    expect(parseQuantity(text, unit)).toBeNull();
  });
});
