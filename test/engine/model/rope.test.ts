import { createRopeTables, inverseFrequencies, type Llama3RopeScaling } from '@specoffload/engine';
import { expect, it } from 'vitest';

const plain = { headDim: 8, rope: { theta: 10000, scaling: null } };

it('holds the cosine and sine of position times theta^(-2i / headDim), as (position, headDim / 2)', () => {
  const { cos, sin } = createRopeTables(plain, 5);
  expect([cos.length, sin.length]).toEqual([20, 20]);
  for (let position = 0; position < 5; position++) {
    for (let i = 0; i < 4; i++) {
      const angle = position * 10000 ** ((-2 * i) / 8);
      expect(cos[position * 4 + i]).toBeCloseTo(Math.cos(angle), 6);
      expect(sin[position * 4 + i]).toBeCloseTo(Math.sin(angle), 6);
    }
  }
});

it('keeps short wavelengths, blends medium and stretches long ones for Llama 3', () => {
  const scaling: Llama3RopeScaling = {
    type: 'llama3',
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: 200,
  };
  // Wavelengths 2 pi * (1, 10, 100, 1000): below 200 / 4, between, above 200 / 1, above.
  const [first, second, third, fourth] = inverseFrequencies({ ...plain, rope: { ...plain.rope, scaling } });
  const smooth = (200 / (20 * Math.PI) - 1) / 3;
  expect(first).toBe(1);
  expect(second).toBeCloseTo((0.1 * (1 - smooth)) / 8 + 0.1 * smooth, 7);
  expect(third).toBeCloseTo(0.01 / 8, 8);
  expect(fourth).toBeCloseTo(0.001 / 8, 9);
});
