/**
 * MXFP4 in safetensors: four-bit values in a tensor called `…_blocks`, (…, group, 16) bytes of two, and a power of two for
 * each group of 32 in `…_scales`, (…, group). Both become one tensor of the name before. Source:
 * `convert_moe_packed_tensors` in transformers 5, `integrations/mxfp4.py`.
 */

import { quote, UserError } from '@specoffload/input';
import { codecs, type ScaleGrid } from '@specoffload/native';
import type { HeaderTensor, WeightFile } from './header-tensor.js';

const [blocksEnd, scalesEnd] = ['_blocks', '_scales'];
const bytesPerGroup = 16;
const grid = codecs.mxfp4_split.scales as ScaleGrid;

/** @throws UserError where a tensor's scales are missing or of another shape. */
export function pairScales(files: readonly WeightFile[]): readonly WeightFile[] {
  const all = files.flatMap(({ tensors }) => tensors);
  if (!all.some(isBlocks)) return files;
  const byName = new Map(all.map((tensor) => [tensor.name, tensor]));
  const paired = new Map(
    all.filter(isBlocks).map((blocks) => [blocks.name, pair(blocks, byName.get(nameOf(blocks, scalesEnd)))]),
  );
  const taken = new Set([...paired.values()].map(({ name }) => name + scalesEnd));
  return files.map((file) => ({
    ...file,
    tensors: file.tensors.flatMap((tensor) =>
      taken.has(tensor.name) ? [] : [paired.get(tensor.name) ?? tensor],
    ),
  }));
}

function isBlocks({ name, dtype, shape }: HeaderTensor): boolean {
  return name.endsWith(blocksEnd) && dtype === 'U8' && shape.length >= 3 && shape.at(-1) === bytesPerGroup;
}

function nameOf({ name }: HeaderTensor, ending: string): string {
  return name.slice(0, -blocksEnd.length) + ending;
}

function pair(blocks: HeaderTensor, scales: HeaderTensor | undefined): HeaderTensor {
  const { path, shape, fileOffset, byteLength } = blocks;
  const groups = shape.slice(0, -1);
  if (scales?.dtype !== 'U8' || `${scales.shape}` !== `${groups}`)
    throw new UserError(
      `${path}: ${scales ? `invalid shape of ${scales.name}: ${scales.dtype} ${quote(scales.shape)}` : `there is no ${nameOf(blocks, scalesEnd)}`}; expected U8 ${quote(groups)}, one scale for each group of ${quote(blocks.name)}; download the checkpoint again`,
    );
  return {
    ...{ name: nameOf(blocks, ''), path, dtype: 'MXFP4', codec: 'mxfp4_split', fileOffset, byteLength },
    shape: [...groups.slice(0, -1), (groups.at(-1) as number) * grid.columns],
    scales: { ...grid, path: scales.path, fileOffset: scales.fileOffset },
  };
}
