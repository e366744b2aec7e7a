/** What is looked at of a quantised checkpoint's numbers before anything is loaded: vectors that decide what it means. */

import { open } from 'node:fs/promises';
import { quote, UserError } from '@specoffload/input';
import type { HeaderTensor } from './header-tensor.js';
import type { Grid } from './scale-grid.js';

/**
 * Whether the columns of a matrix are in groups otherwise than with their neighbours (GPTQ's act order).
 * @throws UserError where the vector of groups does not fit the matrix or its scales
 */
export async function readGroups(
  groups: HeaderTensor,
  [, columns]: readonly number[],
  grid: Grid,
): Promise<boolean> {
  const { path, name, dtype, shape } = groups;
  const numGroups = Number.isFinite(grid.columns) ? Math.ceil(columns / grid.columns) : 1;
  if (dtype !== 'I32' || shape.length !== 1 || shape[0] !== columns)
    throw new UserError(
      `${path}: invalid groups ${quote(name)}: ${dtype} ${quote(shape)}; expected I32 ${quote([columns])}, one for every column; use the files that belong together`,
    );
  const values = new Int32Array((await readBytes(groups)).buffer);
  if (values.every((value) => value === -1)) return false; // compressed-tensors' way of saying that there are none
  for (const [column, group] of values.entries())
    if (!(0 <= group && group < numGroups))
      throw new UserError(
        `${path}: invalid group of column ${column} in ${quote(name)}: ${group}; expected 0 to ${numGroups - 1}, one for every scale; download the checkpoint again`,
      );
  return values.some((group, column) => group !== Math.floor(column / grid.columns));
}

/** Whether it is a vector of zeros. */
export async function readIsZero(tensor: HeaderTensor): Promise<boolean> {
  return tensor.shape.length === 1 && (await readBytes(tensor)).every((byte) => byte === 0);
}

async function readBytes({ path, name, fileOffset, byteLength }: HeaderTensor): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const bytes = new Uint8Array(byteLength);
    const { bytesRead } = await file.read(bytes, 0, byteLength, fileOffset);
    if (bytesRead === byteLength) return bytes;
    throw new UserError(`${path} ended inside ${quote(name)}; it was changed meanwhile, try again`);
  } finally {
    await file.close();
  }
}
