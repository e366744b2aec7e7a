/** Matrices whose scales lie apart, in every way that is read, with random numbers. */

import { type MatrixLayout, reachBytes, type ScaleGrid, type WeightDtype } from '@specoffload/native';
import { createRandom, randomWhole } from './helpers.js';

const random = createRandom(21);

export interface Kind {
  readonly dtype: WeightDtype;
  readonly scales: ScaleGrid;
  readonly isAcross?: boolean;
  readonly step?: number;
  readonly hasOrder?: boolean;
}

const all = Number.POSITIVE_INFINITY;
const zerosOf = (
  codec: 'int4' | 'int4_awq' | 'int8' | 'int8_packed',
  isLessOne = false,
  groupStride = 0,
) => ({
  zeros: { codec, groupStride, isLessOne },
});
export const [width, depth] = [40, 288]; // more than a panel's outputs, and than its depth

export const kinds: Readonly<Record<string, Kind>> = {
  'fp8 in squares': { dtype: 'fp8', scales: { dtype: 'f32', rows: 16, columns: 128 } },
  'fp8 as a whole': { dtype: 'fp8', scales: { dtype: 'bf16', rows: all, columns: all } },
  'mxfp4, by turns': { dtype: 'mxfp4_split', scales: { dtype: 'e8m0', rows: 1, columns: 32 }, step: 2 },
  int4: { dtype: 'int4', scales: { dtype: 'bf16', rows: 1, columns: 32 } },
  'int4 with points': { dtype: 'int4', scales: { dtype: 'f16', rows: 1, columns: 96, ...zerosOf('int4') } },
  'int8 with points': { dtype: 'int8', scales: { dtype: 'f32', rows: 1, columns: 5, ...zerosOf('int8') } },
  'int8 packed': {
    dtype: 'int8_packed',
    scales: { dtype: 'f16', rows: 1, columns: 72, ...zerosOf('int8_packed') },
  },
  GPTQ: {
    dtype: 'int4',
    scales: { dtype: 'f16', rows: 1, columns: 32, groupStride: width, ...zerosOf('int4', true, width) },
    isAcross: true,
  },
  'GPTQ in the order of activations': {
    dtype: 'int8_packed',
    scales: {
      dtype: 'f16',
      rows: 1,
      columns: 96,
      groupStride: width,
      ...zerosOf('int8_packed', true, width),
    },
    ...{ isAcross: true, hasOrder: true },
  },
  AWQ: {
    dtype: 'int4_awq',
    scales: { dtype: 'f16', rows: 1, columns: 48, groupStride: width, ...zerosOf('int4_awq', false, width) },
    isAcross: true,
  },
};

/** Random numbers under scales near one, all parts one behind the other. */
export function matrixOf({ dtype, scales, isAcross = false, step = 1, hasOrder = false }: Kind) {
  const place = { rows: width, columns: depth, paired: 1, step, across: isAcross ? width : 0 };
  let end = reachBytes(dtype, { ...place, scales: null });
  const after = (layout: MatrixLayout) => {
    end = reachBytes(dtype, layout);
    return end;
  };
  const { zeros, ...grid } = scales;
  let layout: MatrixLayout = { ...place, scales: { ...grid, offset: end } };
  if (zeros)
    layout = { ...layout, scales: { ...layout.scales!, zeros: { ...zeros, offset: after(layout) } } };
  if (hasOrder)
    layout = { ...layout, scales: { ...layout.scales!, groupOfColumn: { offset: after(layout) } } };
  const weights = Uint8Array.from({ length: after(layout) + 1 }, () => randomWhole(random, 0, 255)).subarray(
    1,
  );
  if (dtype === 'fp8')
    for (let i = 0; i < layout.scales!.offset; i += 1) if ((weights[i]! & 127) === 127) weights[i] = 3;
  writeScales(weights, layout, zeros ? layout.scales!.zeros!.offset : weights.length);
  if (hasOrder)
    for (let column = 0; column < depth; column += 1)
      new DataView(weights.buffer, weights.byteOffset).setInt32(
        layout.scales!.groupOfColumn!.offset + 4 * column,
        randomWhole(random, 0, Math.ceil(depth / scales.columns) - 1),
        true,
      );
  return { layout, weights };
}

function writeScales(weights: Uint8Array, layout: MatrixLayout, end: number): void {
  const { dtype, offset } = layout.scales!;
  const one = { f32: [0, 0, 0x80, 0x3f], bf16: [0x80, 0x3f], f16: [0, 0x3c], e8m0: [127] }[dtype];
  for (let at = offset; at + one.length <= end; at += one.length) {
    weights.set(one, at);
    if (dtype === 'e8m0') weights[at] = randomWhole(random, 124, 130);
    else weights[at + one.length - 2]! ^= randomWhole(random, 0, 31);
  }
}
