/**
 * Quantised weights of safetensors files: numbers and scales that lie in tensors of their own, put together under the
 * name of the tensor that was quantised.
 *
 * Sources: `modeling_gpt_oss.py` and `integrations/mxfp4.py` (blocks and scales), `integrations/finegrained_fp8.py`
 * (weight_scale_inv) of transformers 5.18; compressed-tensors 0.12, `pack_quantized.py` and `naive_quantized.py`.
 */

import { quote, UserError } from '@specoffload/input';
import { type Codec, codecs, type ScaleDtype, type WeightDtype } from '@specoffload/native';
import type { HeaderTensor, WeightFile } from './header-tensor.js';

interface Scheme {
  /** How the name of the numbers ends, and what the quantised tensor's name ends with instead. */
  readonly numbers: string;
  readonly ending: string;
  /** How the names of their scales may end. */
  readonly scales: readonly string[];
  readonly dtype: string;
  readonly codec: WeightDtype;
  /** Of the quantised tensor. */
  shape(stored: readonly number[]): readonly number[];
}

const schemes: readonly Scheme[] = [
  {
    ...{ numbers: '_blocks', ending: '', scales: ['_scales'], dtype: 'U8', codec: 'mxfp4_split' },
    shape: (stored) => [
      ...stored.slice(0, -2),
      2 * stored.slice(-2).reduce((product, size) => product * size, 1),
    ],
  },
  {
    ...{ numbers: '.weight', ending: '.weight', scales: ['.weight_scale_inv', '.weight_scale'] },
    ...{ dtype: 'F8_E4M3', codec: 'fp8' },
    shape: (stored) => stored,
  },
  {
    ...{
      numbers: '.weight_packed',
      ending: '.weight',
      scales: ['.weight_scale'],
      dtype: 'I32',
      codec: 'int4',
    },
    shape: (stored) => [...stored.slice(0, -1), 8 * stored[stored.length - 1]],
  },
];

/** What goes with quantised weights and is not needed: shapes that follow, and scales of activations. */
const companions = ['.weight_shape', '.input_scale'];

/** @throws UserError when scales are missing or do not fit their numbers */
export function assembleQuantised(files: readonly WeightFile[]): readonly WeightFile[] {
  const held = new Map(files.flatMap(({ tensors }) => tensors).map((tensor) => [tensor.name, tensor]));
  const used = new Set<string>();
  const assembled = new Map<string, HeaderTensor>();
  for (const tensor of held.values()) {
    const scheme = schemes.find(
      ({ numbers, dtype }) => tensor.name.endsWith(numbers) && tensor.dtype === dtype,
    );
    if (!scheme) continue;
    const stem = tensor.name.slice(0, -scheme.numbers.length);
    const scales = scheme.scales.map((ending) => held.get(stem + ending)).find((found) => found);
    if (!scales)
      throw new UserError(
        `${tensor.path} holds ${quote(tensor.name)} without its scales (${quote(stem + scheme.scales[0])}); download the checkpoint again`,
      );
    for (const ending of companions) used.add(stem + ending);
    used.add(scales.name);
    assembled.set(tensor.name, assemble(tensor, scales, `${stem}${scheme.ending}`, scheme));
  }
  if (assembled.size === 0) return files;
  return files.map((file) => ({
    ...file,
    tensors: file.tensors
      .filter(({ name }) => !used.has(name))
      .map((tensor) => assembled.get(tensor.name) ?? tensor),
  }));
}

const scaleDtypes: Readonly<Record<string, ScaleDtype>> = {
  F32: 'f32',
  BF16: 'bf16',
  F16: 'f16',
  U8: 'e8m0',
};

function assemble(
  numbers: HeaderTensor,
  scales: HeaderTensor,
  name: string,
  { codec, shape: shapeOf }: Scheme,
): HeaderTensor {
  const shape = shapeOf(numbers.shape);
  const { blockElements }: Codec = codecs[codec];
  const columns = shape[shape.length - 1];
  const dtype = scaleDtypes[scales.dtype];
  const isOfCodec = (dtype === 'e8m0') === (codecs[codec].scales?.dtype === 'e8m0');
  const grid =
    isOfCodec && shape.length >= 2 && columns % blockElements === 0 ? gridOf(shape, scales.shape) : null;
  if (!grid)
    throw new UserError(
      `${scales.path}: invalid scales ${quote(scales.name)}: ${scales.dtype} ${quote(scales.shape)}; expected one for every group, row or square of ${quote(name)} ${quote(shape)}, or one for all; use the files that belong together`,
    );
  const { path, fileOffset } = scales;
  return { ...numbers, name, shape, codec, scales: { dtype, ...grid, path, fileOffset } };
}

/** How many rows and columns share a scale; null where the shapes do not fit. */
function gridOf(
  shape: readonly number[],
  scales: readonly number[],
): { rows: number; columns: number } | null {
  const [rows, columns] = shape.slice(-2);
  const count = scales.reduce((product, size) => product * size, 1);
  if (shape.length === 2 && count === 1)
    return { rows: Number.POSITIVE_INFINITY, columns: Number.POSITIVE_INFINITY };
  // One per row may lack the dimension of columns.
  const isPerRow = scales.length === shape.length - 1 && scales[scales.length - 1] === rows;
  const full = isPerRow ? [...scales, 1] : scales;
  const leading = shape.slice(0, -2);
  if (full.length !== shape.length || leading.some((size, i) => size !== full[i])) return null;
  const [sharedRows, sharedColumns] = [
    side(rows, full[full.length - 2]),
    side(columns, full[full.length - 1]),
  ];
  return sharedRows === null || sharedColumns === null ? null : { rows: sharedRows, columns: sharedColumns };
}

/** How many neighbours share one of so many scales: all, each its own, or a power of two. */
function side(size: number, numScales: number): number | null {
  if (numScales === 1) return Number.POSITIVE_INFINITY;
  if (numScales === size) return 1;
  for (let shared = 2; shared < size; shared *= 2) if (Math.ceil(size / shared) === numScales) return shared;
  return null;
}
