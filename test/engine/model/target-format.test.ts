import { describeCatalogModel, describeModel, type TargetFormat } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';

const published = describeCatalogModel('llama-3.1-8b');
const { spec } = published;

/** Bits of a weight in a layer's down projection, and of the whole model. */
function bitsIn(format: TargetFormat) {
  const { layers, bytes, parameters } = describeModel({ name: 'one', spec, format });
  const { byteLength, numElements } = layers[3].experts[0].tensors[2].ref;
  return [(8 * byteLength) / numElements, (8 * bytes) / parameters];
}

describe('a model in another format', () => {
  it.each<[TargetFormat, number]>([
    ['bf16', 16],
    ['bf16_packed', 12.5],
    ['f32', 32],
    ['q8_0', 8.5],
    ['q4_0', 4.5],
    ['q4_k', 4.5],
    ['q5_k', 5.5],
    ['q6_k', 6.5625],
    ['mxfp4', 4.25],
    ['fp8', 8 + 32 / 128 ** 2],
    ['int4', 4 + 16 / 128],
    ['int4_awq', 4 + (16 + 4) / 128],
    ['int8', 8 + 16 / 14_336],
  ])('%s takes %d bits a weight', (format, bits) => {
    const [matrix, all] = bitsIn(format);
    expect(matrix).toBeCloseTo(bits, 10);
    // Vectors are few; embedding and head, a seventh of this model, are no part of formats whose scales lie apart.
    expect(all).toBeGreaterThan(bits * 0.999);
    expect(all).toBeLessThan(/^(fp8|int)/.test(format) ? bits + 2 : bits * 1.001);
  });

  it('packed without loss keeps in bf16 what is no matrix of whole blocks', () => {
    const { layers, head } = describeCatalogModel('mixtral-8x7b', 'ffn', 'bf16_packed');
    const dtypeOf = (wanted: string) =>
      layers[0].attention.tensors.find(({ role }) => role === wanted)?.ref.dtype;
    expect([dtypeOf('inputNorm'), dtypeOf('router'), dtypeOf('q')]).toEqual(['bf16', 'bf16', 'bf16_packed']);
    expect(head.tensors.map(({ ref }) => ref.dtype)).toEqual(['bf16', 'bf16_packed']);
    const odd = describeModel({ name: 'odd', spec: { ...spec, hiddenSize: 2888 }, format: 'bf16_packed' });
    expect(odd.layers[0].attention.tensors[1].ref.dtype).toBe('bf16');
  });

  it('is another model to records, and the same again in the same format', () => {
    const digests = (['q4_k', 'q4_0', 'fp8', 'q4_k'] as const).map(
      (format) => describeCatalogModel('llama-3.1-8b', 'ffn', format).digest,
    );
    expect(new Set([published.digest, ...digests]).size).toBe(4);
    expect(digests[3]).toBe(digests[0]);
  });

  it('has routers and vectors in fp32, and matrices whose rows are no whole blocks in smaller ones', () => {
    const { layers } = describeCatalogModel('mixtral-8x7b', 'ffn', 'q4_k');
    const dtypeOf = (wanted: string) =>
      layers[0].attention.tensors.find(({ role }) => role === wanted)?.ref.dtype;
    expect([dtypeOf('inputNorm'), dtypeOf('router'), dtypeOf('q')]).toEqual(['f32', 'f32', 'q4_k']);
    const narrow = { ...spec, hiddenSize: 2880 };
    const described = describeModel({ name: 'narrow', spec: narrow, format: 'q4_k' });
    expect(described.layers[0].attention.tensors[1].ref.dtype).toBe('q5_0');
    const odd = describeModel({ name: 'odd', spec: { ...spec, hiddenSize: 2888 }, format: 'q4_k' });
    expect(odd.layers[0].attention.tensors[1].ref.dtype).toBe('f16');
  });
});
