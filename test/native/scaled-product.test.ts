/** Products with weights whose scales lie apart: what they are of the decoded matrix, at every level of instructions. */

import { decodeMatrix, loadNativeCore, type WeightDtype } from '@specoffload/native';
import { afterEach, expect, test } from 'vitest';
import { addonIsBuilt, createRandom, twin } from './helpers.js';
import { depth, kinds, matrixOf, width } from './scaled-kinds.js';

const native = addonIsBuilt ? loadNativeCore('native') : null;
const levels = native?.probe().kernelLevels ?? [];
const random = createRandom(21);

afterEach(() => native?.useKernels(levels.at(-1)!));

test.each(Object.keys(kinds))('%s', (name) => {
  const kind = kinds[name]!;
  const { layout, weights } = matrixOf(kind);
  const bits = new Uint32Array(width * depth);
  decodeMatrix(weights, 0, kind.dtype, layout, bits);
  const decoded = new Uint8Array(bits.buffer);
  for (const rows of [1, 17]) {
    const x = Float32Array.from({ length: rows * depth }, () => 2 * random() - 1);
    const call = { x, rows, depth, width, bias: null, addend: null, threads: 2 };
    const multiply = (core = twin, own: object = { ...layout, rows, dtype: kind.dtype, weights }) => {
      const y = new Float32Array(rows * width).fill(Number.NaN);
      core.multiply({
        ...call,
        y,
        ...(own as { dtype: WeightDtype; weights: Uint8Array; paired: 1; step: 1 }),
      });
      return y;
    };
    const plain = { dtype: 'f32', weights: decoded, paired: 1, step: 1 };
    expect(multiply(), 'twin').toEqual(multiply(twin, plain));
    for (const level of levels) {
      native!.useKernels(level);
      expect(multiply(native!), level).toEqual(multiply(native!, plain)); // the very sums of the decoded matrix
    }
  }
});

test('what does not fit is refused', () => {
  const { layout, weights } = matrixOf(kinds.GPTQ!);
  const { x, y } = { x: new Float32Array(depth), y: new Float32Array(width) };
  const call = { ...layout, x, y, rows: 1, depth, width, bias: null, addend: null, threads: 1 };
  for (const core of native ? [native, twin] : [twin]) {
    const short = { ...call, dtype: 'int4', weights: weights.subarray(0, weights.length - 1) } as const;
    expect(() => core.multiply(short)).toThrow('invalid weights: ');
    const apart = {
      ...call,
      dtype: 'fp8',
      weights: new Uint8Array(2 * width * depth),
      scales: null,
    } as const;
    expect(() => core.multiply(apart)).toThrow(
      'invalid across: 40; products read int4, int4_awq, int8_packed stored transposed, not fp8',
    );
  }
});
