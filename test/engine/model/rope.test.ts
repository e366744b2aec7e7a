import {
  createRopeTables,
  inverseFrequencies,
  type LayerSpec,
  type Llama3RopeScaling,
  parseModelSpec,
} from '@specoffload/engine';
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
  const rope = { ...plain.rope, scaling };
  const [first, second, third, fourth] = inverseFrequencies({ ...plain, rope }, 1);
  const smooth = (200 / (20 * Math.PI) - 1) / 3;
  expect(first).toBe(1);
  expect(second).toBeCloseTo((0.1 * (1 - smooth)) / 8 + 0.1 * smooth, 7);
  expect(third).toBeCloseTo(0.01 / 8, 8);
  expect(fourth).toBeCloseTo(0.001 / 8, 9);
});

/** By transformers 5.18: scaling, base, context, tokens of the text, inverse frequencies, what cos and sin are multiplied with. */
it.each<[object, number, number, number, number[], number]>([
  [
    { rope_type: 'linear', factor: 3.7 },
    10000.0,
    2048,
    1,
    [0.270270258, 0.0270270277, 0.00270270254, 0.000270270277],
    1.0,
  ],
  [
    { rope_type: 'dynamic', factor: 4.0 },
    10000.0,
    2048,
    2048,
    [1.0, 0.100000001, 0.00999999978, 0.00100000005],
    1.0,
  ],
  [
    { rope_type: 'dynamic', factor: 4.0 },
    10000.0,
    2048,
    5000,
    [1.0, 0.0528726019, 0.00279551209, 0.000147806],
    1.0,
  ],
  [
    { rope_type: 'yarn', factor: 32.0, truncate: false, original_max_position_embeddings: 4096 },
    150000.0,
    131072,
    1,
    [1.0, 0.0508132726, 0.000456483918, 4.09997847e-6],
    1.3465735902799727,
  ],
  [
    { rope_type: 'yarn', factor: 4.0, original_max_position_embeddings: 32768 },
    1000000.0,
    131072,
    1,
    [1.0, 0.0316227786, 0.000625000044, 7.90569356e-6],
    1.138629436111989,
  ],
  [
    {
      rope_type: 'yarn',
      factor: 40.0,
      mscale: 1.0,
      mscale_all_dim: 0.8,
      original_max_position_embeddings: 64,
    },
    10000.0,
    131072,
    1,
    [1.0, 0.0512499996, 0.000250000012, 2.49999994e-5],
    1.0569662567531275,
  ],
  [
    {
      rope_type: 'yarn',
      factor: 2.5,
      attention_factor: 1.3,
      beta_fast: 2.0,
      beta_slow: 0.5,
      original_max_position_embeddings: 16,
    },
    10000.0,
    40,
    1,
    [1.0, 0.0399999991, 0.00400000019, 0.00039999999],
    1.3,
  ],
  [
    {
      rope_type: 'longrope',
      short_factor: [1.0, 1.1, 1.3, 2.0],
      long_factor: [1.5, 4.0, 9.0, 30.0],
      original_max_position_embeddings: 64,
    },
    10000.0,
    1024,
    64,
    [1.0, 0.0909090936, 0.0076923077, 0.000500000024],
    1.2909944487358056,
  ],
  [
    {
      rope_type: 'longrope',
      short_factor: [1.0, 1.1, 1.3, 2.0],
      long_factor: [1.5, 4.0, 9.0, 30.0],
      original_max_position_embeddings: 64,
    },
    10000.0,
    1024,
    65,
    [0.666666687, 0.0250000004, 0.00111111114, 3.33333337e-5],
    1.2909944487358056,
  ],
  [
    {
      rope_type: 'longrope',
      short_factor: [1.0, 1.1, 1.3, 2.0],
      long_factor: [1.5, 4.0, 9.0, 30.0],
      original_max_position_embeddings: 64,
      factor: 5.0,
      attention_factor: 1.1,
    },
    10000.0,
    1024,
    65,
    [0.666666687, 0.0250000004, 0.00111111114, 3.33333337e-5],
    1.1,
  ],
])(
  'has the frequencies of transformers: %j, base %d',
  (rope_scaling, rope_theta, context, length, expected, factor) => {
    const sizes = { hidden_size: 32, num_attention_heads: 4, max_position_embeddings: context };
    const json = { model_type: 'llama', ...sizes, rope_theta, rope_scaling };
    const { attention } = parseModelSpec(json, 'config.json').layers[0] as LayerSpec;
    const frequencies = inverseFrequencies(attention, length);
    for (const [i, frequency] of frequencies.entries()) expect(frequency / expected[i] - 1).toBeCloseTo(0, 6);
    const { cos, sin } = createRopeTables(attention, length);
    expect(Math.hypot(cos[0], sin[0])).toBeCloseTo(factor, 6);
  },
);
