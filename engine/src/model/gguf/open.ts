/** A GGUF file as a checkpoint's parts. */

import type { WeightFile } from '../header-tensor.js';
import type { ModelSpec } from '../spec.js';
import { ropeFactorsName, specOfGguf } from './config.js';
import { readGguf } from './file.js';

export interface OpenGguf {
  readonly spec: ModelSpec;
  readonly files: readonly WeightFile[];
}

/** @throws UserError naming what is wrong and what to do. */
export async function openGguf(path: string): Promise<OpenGguf> {
  const gguf = await readGguf(path);
  const spec = await specOfGguf(gguf);
  // What the spec says already.
  const files = gguf.files.map((file) => ({
    ...file,
    tensors: file.tensors.filter(({ name }) => name !== ropeFactorsName),
  }));
  return { spec, files };
}
