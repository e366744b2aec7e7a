/**
 * Checkpoints of which some bf16 tensors are stored packed (`bf16_packed` of the native codecs): `quantization_config` in
 * config.json says so, and such a tensor is one of bytes, whose rows are as long as their blocks.
 */

import { quote, UserError } from '@specoffload/input';
import { codecs } from '@specoffload/native';
import type { HeaderTensor, WeightFile } from './header-tensor.js';
import type { TargetFormat } from './target-format.js';
import type { Checkpoint } from './types.js';

/** What config.json says. */
export const packing = { quant_method: 'bf16_packed', version: 1 } as const;

const { bf16_packed } = codecs;
const blockBytes = bf16_packed.bytes(bf16_packed.blockElements);
const storedType = 'U8';

/** The same files with packed tensors in the shapes of what they hold. @throws UserError where rows are no whole blocks */
export function unfoldPacked(files: readonly WeightFile[]): readonly WeightFile[] {
  return files.map((file) => ({ ...file, tensors: file.tensors.map(unfold) }));
}

function unfold(tensor: HeaderTensor): HeaderTensor {
  const { path, name, dtype, shape } = tensor;
  if (dtype !== storedType) return tensor;
  const rowBytes = shape.at(-1) ?? 0;
  if (shape.length < 2 || rowBytes === 0 || rowBytes % blockBytes !== 0)
    throw new UserError(
      `${path}: invalid shape of ${quote(name)}: ${quote(shape)}; expected rows of whole blocks of ${blockBytes} bytes, as ${packing.quant_method} has; pack the checkpoint again`,
    );
  return { ...tensor, codec: 'bf16_packed', shape: [...shape.slice(0, -1), bf16_packed.count(rowBytes)] };
}

/** How a tensor of bf16 is stored packed; null where its rows are no whole blocks. */
export function packedType(shape: readonly number[]) {
  const columns = shape.at(-1) ?? 0;
  if (shape.length < 2 || columns === 0 || columns % bf16_packed.blockElements !== 0) return null;
  const stored = [...shape.slice(0, -1), bf16_packed.bytes(columns)];
  return {
    dtype: storedType,
    shape: stored,
    byteLength: stored.reduce((product, size) => product * size, 1),
  };
}

export function isPacked({ tensors }: Pick<Checkpoint, 'tensors'>): boolean {
  return [...tensors.values()].some(({ dtype }) => dtype === 'bf16_packed');
}

/** How all matrices are stored that can be: as imagined, or packed for real; null: as published. */
export function formatOf({ format, tensors }: Pick<Checkpoint, 'format' | 'tensors'>): TargetFormat | null {
  return format ?? (isPacked({ tensors }) ? 'bf16_packed' : null);
}
