/** The safetensors files of a checkpoint directory: one file, or several that an index ties together. */

import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { check, is, maybeReadJson, quote, UserError } from '@specoffload/input';
import { warnOfCheckpoint } from './config-values.js';
import type { WeightFile } from './header-tensor.js';
import { readSafetensors } from './safetensors.js';

export const singleFileName = 'model.safetensors';
export const indexFileName = 'model.safetensors.index.json';

/** Weights as PyTorch, llama.cpp, Mistral and others write them. */
const otherFormats = /\.(bin|pt|pth|gguf|ggml|onnx|msgpack|h5|npz)$|^consolidated.*\.safetensors$/;

const maxIndexBytes = 100_000_000;

/**
 * Reads the headers of all files, the single file first when both forms are there (as transformers does).
 * @throws UserError when a file is missing or malformed, or index and shards disagree.
 */
export async function readShards(directory: string): Promise<readonly WeightFile[]> {
  const singlePath = join(directory, singleFileName);
  const indexPath = join(directory, indexFileName);
  if (await exists(singlePath)) {
    if (await exists(indexPath))
      warnOfCheckpoint(
        `${directory} has ${singleFileName} beside ${indexFileName}; the former holds, as transformers 5 does`,
      );
    return [await readSafetensors(singlePath)];
  }
  const index = await maybeReadJson(indexPath, maxIndexBytes);
  if (index === null) {
    const others = (await readdir(directory)).filter((name) => otherFormats.test(name));
    const instead = others.length === 0 ? '' : `, but ${quote(others[0])} in a format of its own`;
    throw new UserError(
      `${directory} has a configuration, which simulate and plan can predict, but no weights: neither ${singleFileName} nor ${indexFileName}${instead}; download the checkpoint again, in the safetensors format of transformers`,
    );
  }
  const shardOf = parseWeightMap(index, indexPath);
  const files = [];
  for (const shard of new Set(shardOf.values())) files.push(await readSafetensors(join(directory, shard)));
  checkAgreement(shardOf, files, directory, indexPath);
  return files;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A shard lies beside its index: anything else could point at any file of this machine. */
const shardName = is.matching(
  /^[^/\\\0]+\.safetensors$/,
  'the name of a .safetensors file in the same directory',
);

const indexSchema = is.picked({
  weight_map: is.that(
    is.mapOf(shardName),
    (map) => Object.keys(map).length > 0,
    'tensor names and their files',
  ),
});

/** Tensor name to shard name. */
function parseWeightMap(index: unknown, indexPath: string): ReadonlyMap<string, string> {
  const remedy = 'download it again from a source you trust';
  return new Map(Object.entries(check(indexSchema, index, indexPath, { remedy }).weight_map));
}

function checkAgreement(
  shardOf: ReadonlyMap<string, string>,
  files: readonly WeightFile[],
  directory: string,
  indexPath: string,
): void {
  const pathOf = new Map<string, string>();
  for (const { name, path } of files.flatMap((file) => file.tensors)) {
    const other = pathOf.get(name);
    if (other !== undefined) {
      throw new UserError(
        `${path} and ${other} both hold ${quote(name)}; expected every tensor once; download the checkpoint again`,
      );
    }
    pathOf.set(name, path);
  }
  for (const [name, shard] of shardOf) {
    if (pathOf.get(name) === join(directory, shard)) continue;
    throw new UserError(
      `${indexPath} says that ${shard} holds ${quote(name)}, which it does not; download the checkpoint again`,
    );
  }
}
