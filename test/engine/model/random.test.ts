import { createRandom } from '@specoffload/engine';
import { expect, it } from 'vitest';

const draw = (count: number, next: () => number) => Array.from({ length: count }, next);

it('repeats itself for a seed and a stream, and for nothing else', () => {
  const numbers = (seed: number, stream?: string) => draw(8, createRandom(seed, stream).uint32);
  expect(numbers(1)).toEqual(numbers(1));
  expect(numbers(1, 'a')).toEqual(numbers(1, 'a'));
  expect(numbers(1)).not.toEqual(numbers(2));
  expect(numbers(1, 'a')).not.toEqual(numbers(1, 'b'));
});

it('is uniform in [0, 1)', () => {
  const counts = new Array<number>(10).fill(0);
  for (const u of draw(100_000, createRandom(7).uniform)) counts[Math.floor(u * 10)] += 1;
  expect(Math.max(...counts.map((count) => Math.abs(count - 10_000)))).toBeLessThan(400);
});

it('draws normal numbers of mean 0 and variance 1, all of them finite', () => {
  const z = draw(100_000, createRandom(7).normal);
  const mean = z.reduce((a, b) => a + b) / z.length;
  const variance = z.reduce((sum, x) => sum + (x - mean) ** 2, 0) / z.length;
  expect(Math.abs(mean)).toBeLessThan(0.01);
  expect(Math.abs(variance - 1)).toBeLessThan(0.02);
  expect(z.every(Number.isFinite)).toBe(true);
});
