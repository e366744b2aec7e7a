/**
 * Quantised weights of safetensors files: numbers, scales, zero points and groups that lie in tensors of their own, put
 * together under the name of the tensor that was quantised.
 *
 * Sources: `modeling_gpt_oss.py` and `integrations/mxfp4.py` (blocks and scales), `integrations/finegrained_fp8.py`
 * (weight_scale_inv) of transformers 5.18; compressed-tensors 0.12 and 0.20, `pack_quantized` and `naive_quantized`;
 * GPTQModel 5, `TorchLinear.dequantize_weight` and `convert_gptq_v1_to_v2_format_module`; AutoAWQ 0.2, `packing_utils.py`.
 */

import { quote, UserError } from '@specoffload/input';
import { type Codec, codecs, type ScaleDtype, type WeightDtype } from '@specoffload/native';
import type { Quantisation } from './config-quantised.js';
import type { HeaderTensor, WeightFile } from './header-tensor.js';
import { packing, unfoldPacked } from './packed.js';
import { readGroups } from './quantised-columns.js';
import { type Grid, gridOf, transposedGridOf } from './scale-grid.js';
import type { StoredScales } from './types.js';

interface Scheme {
  /** How the name of the numbers ends, and what the quantised tensor's name ends with instead. */
  readonly numbers: string;
  readonly ending: string;
  /** How the names of their scales may end, of their zero points and of the groups of columns. */
  readonly scales: readonly string[];
  readonly zeros?: string;
  readonly groups?: string;
  readonly dtype: string;
  /** Stored as (in, out), scales and zero points, too. */
  readonly isTransposed?: boolean;
  codec(quantisation: Quantisation | null, parts: Parts): WeightDtype | null;
  /** Of the quantised tensor, of so many values in one that is stored. */
  shape(stored: readonly number[], packed: number): readonly number[];
}

/** The stored tensors of a quantised one. */
interface Parts {
  readonly numbers: HeaderTensor;
  readonly scales: HeaderTensor;
  readonly zeros: HeaderTensor | undefined;
  readonly groups: HeaderTensor | undefined;
}

const plain = { numbers: '.weight', ending: '.weight' };
const compressed = { zeros: '.weight_zero_point', groups: '.weight_g_idx' };

const schemes: readonly Scheme[] = [
  {
    numbers: '_blocks',
    ending: '',
    scales: ['_scales'],
    dtype: 'U8',
    codec: () => 'mxfp4_split',
    shape: (stored) => [
      ...stored.slice(0, -2),
      2 * stored.slice(-2).reduce((product, size) => product * size, 1),
    ],
  },
  {
    ...plain,
    scales: ['.weight_scale_inv', '.weight_scale'],
    dtype: 'F8_E4M3',
    codec: () => 'fp8',
    shape: (stored) => stored,
  },
  {
    ...plain,
    ...compressed,
    scales: ['.weight_scale'],
    dtype: 'I8',
    codec: () => 'int8',
    shape: (stored) => stored,
  },
  {
    ...compressed,
    numbers: '.weight_packed',
    ending: '.weight',
    scales: ['.weight_scale'],
    dtype: 'I32',
    codec: (quantisation) => (quantisation?.bits === 8 ? 'int8_packed' : 'int4'),
    shape: (stored, packed) => [...stored.slice(0, -1), packed * stored[stored.length - 1]],
  },
  {
    numbers: '.qweight',
    ending: '.weight',
    scales: ['.scales'],
    zeros: '.qzeros',
    groups: '.g_idx',
    dtype: 'I32',
    isTransposed: true,
    codec: codecOfPoints,
    shape: ([inputs, outputs], packed) => [outputs, packed * inputs],
  },
];

/** GPTQ and AutoAWQ pack zero points as they pack numbers, and there is one for each scale. */
function codecOfPoints(quantisation: Quantisation | null, { scales, zeros }: Parts): WeightDtype | null {
  const packed = scales.shape[scales.shape.length - 1] / (zeros?.shape[zeros.shape.length - 1] ?? 0);
  if (quantisation?.method === 'awq') return packed === 8 ? 'int4_awq' : null;
  return packed === 8 ? 'int4' : packed === 4 ? 'int8_packed' : null;
}

/** What goes with quantised weights and is not needed: shapes that follow, and scales of activations. */
const companions = ['.weight_shape', '.input_scale', '.input_zero_point'];

/** @throws UserError when scales are missing or do not fit their numbers */
export async function assembleQuantised(
  files: readonly WeightFile[],
  quantisation: Quantisation | null,
): Promise<readonly WeightFile[]> {
  if (quantisation?.method === packing.quant_method) return unfoldPacked(files);
  const held = new Map(files.flatMap(({ tensors }) => tensors).map((tensor) => [tensor.name, tensor]));
  const used = new Set<string>();
  const assembled = new Map<string, HeaderTensor>();
  for (const numbers of held.values()) {
    const scheme = schemes.find(
      ({ numbers: ending, dtype }) => numbers.name.endsWith(ending) && numbers.dtype === dtype,
    );
    if (!scheme) continue;
    const stem = numbers.name.slice(0, -scheme.numbers.length);
    const find = (ending: string | undefined) => (ending ? held.get(stem + ending) : undefined);
    const scales = scheme.scales.map(find).find((found) => found);
    const zeros = find(scheme.zeros);
    if (!scales) throw missing(numbers, 'scales', stem + scheme.scales[0]);
    if (scheme.isTransposed && !zeros) throw missing(numbers, 'zero points', `${stem}${scheme.zeros}`);
    const parts = { numbers, scales, zeros, groups: find(scheme.groups) };
    for (const ending of companions) used.add(stem + ending);
    for (const part of [scales, zeros, parts.groups]) if (part) used.add(part.name);
    assembled.set(numbers.name, await assemble(parts, `${stem}${scheme.ending}`, scheme, quantisation));
  }
  if (assembled.size === 0) return files;
  return files.map((file) => ({
    ...file,
    tensors: file.tensors
      .filter(({ name }) => !used.has(name))
      .map((tensor) => assembled.get(tensor.name) ?? tensor),
  }));
}

const scaleDtypes: Readonly<Record<string, ScaleDtype | undefined>> = {
  F32: 'f32',
  BF16: 'bf16',
  F16: 'f16',
  U8: 'e8m0',
};

async function assemble(
  parts: Parts,
  name: string,
  scheme: Scheme,
  quantisation: Quantisation | null,
): Promise<HeaderTensor> {
  const { numbers, scales, zeros, groups } = parts;
  const codec = scheme.codec(quantisation, parts);
  if (codec === null) throw unfitting(zeros ?? scales, name, numbers.shape, 'zero points');
  const { blockElements, isAcross = false, scales: usual }: Codec = codecs[codec];
  // One that lies across holds neighbours of what goes out.
  const shape = isAcross
    ? [numbers.shape[1] * blockElements, numbers.shape[0]]
    : scheme.shape(numbers.shape, blockElements);
  const dtype = scaleDtypes[scales.dtype];
  const isWhole = shape.length >= 2 && shape[shape.length - (isAcross ? 2 : 1)] % blockElements === 0;
  const sizes = usual?.dtype === 'e8m0' || codec === 'fp8' ? [] : (quantisation?.groupSizes ?? []);
  const toGrid = scheme.isTransposed ? transposedGridOf : gridOf;
  const isOfCodec = dtype && (dtype === 'e8m0') === (usual?.dtype === 'e8m0');
  const grid = isOfCodec && isWhole ? toGrid(shape, scales.shape, sizes) : null;
  if (!dtype || !grid) throw unfitting(scales, name, shape);
  const { path, fileOffset } = scales;
  const groupOfColumn = groups && (await readGroups(groups, shape, grid)) ? placeOf(groups) : null;
  return {
    ...numbers,
    name,
    shape,
    codec,
    ...(scheme.isTransposed && { across: shape[0] }),
    scales: {
      dtype,
      ...grid,
      path,
      fileOffset,
      ...(zeros && { zeros: pointsOf(zeros, name, shape, grid, codec, quantisation) }),
      ...(groupOfColumn && { groupOfColumn }),
    },
  };
}

function placeOf({ path, fileOffset }: HeaderTensor) {
  return { path, fileOffset };
}

/** Zero points: packed as the numbers are, of neighbouring rows, or bytes. */
function pointsOf(
  zeros: HeaderTensor,
  name: string,
  shape: readonly number[],
  grid: Grid,
  numbers: WeightDtype,
  quantisation: Quantisation | null,
): StoredScales['zeros'] {
  const [rows, columns] = shape;
  const gridRows = Number.isFinite(grid.rows) ? rows : 1;
  const gridColumns = Number.isFinite(grid.columns) ? Math.ceil(columns / grid.columns) : 1;
  const codec = zeros.dtype === 'I8' ? 'int8' : (numbers as 'int4' | 'int4_awq' | 'int8_packed');
  const { blockElements } = codecs[codec];
  const words = gridRows / blockElements;
  const isTransposed = grid.groupStride !== undefined;
  const expected = isTransposed ? [gridColumns, words] : [words, gridColumns];
  const isKnown = zeros.dtype === 'I8' ? !isTransposed : zeros.dtype === 'I32' && numbers !== 'int8';
  const stored = zeros.shape.length === 1 ? [...zeros.shape, 1] : zeros.shape;
  const fits = shape.length === 2 && stored.length === 2 && stored.every((size, i) => size === expected[i]);
  if (!isKnown || !fits) throw unfitting(zeros, name, shape, 'zero points');
  const isLessOne = isTransposed && codec !== 'int4_awq' && (quantisation?.isLessOne ?? false);
  return { codec, groupStride: isTransposed ? rows : 0, isLessOne, ...placeOf(zeros) };
}

function missing(numbers: HeaderTensor, what: string, name: string): UserError {
  return new UserError(
    `${numbers.path} holds ${quote(numbers.name)} without its ${what} (${quote(name)}); download the checkpoint again`,
  );
}

function unfitting(part: HeaderTensor, name: string, shape: readonly number[], what = 'scales'): UserError {
  return new UserError(
    `${part.path}: invalid ${what} ${quote(part.name)}: ${part.dtype} ${quote(part.shape)}; expected one for every group, row or square of ${quote(name)} ${quote(shape)}, or one for all; use the files that belong together`,
  );
}
