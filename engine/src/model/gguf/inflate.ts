/**
 * Inflation of a GGUF file: more layers, of which every stored block is copied, under the source's own metadata.
 *
 * Which layers have a window is no metadata but a rule of the architecture's, by number. A layer of the source stands
 * where the rule gives it what it had, and where no place can be found the request is refused.
 */

import { isDeepStrictEqual } from 'node:util';
import { UserError } from '@specoffload/input';
import type { TensorReader } from '../inflate-bytes.js';
import { clearedNames, copyOf } from '../inflate-stored.js';
import type { LayerSpec } from '../spec.js';
import type { Checkpoint } from '../types.js';
import type { WriteOptions } from '../write.js';
import { specOfGguf } from './config.js';
import { type Gguf, isGgufPath, readGguf } from './file.js';
import { arrayType, type Value } from './header.js';
import { type CopiedTensor, writeGguf } from './write.js';

/** @throws UserError where layers cannot be added, or as `writeCheckpoint` does */
export async function inflateGguf(
  source: Checkpoint,
  target: string,
  numLayers: number,
  reader: TensorReader,
  options: WriteOptions,
): Promise<void> {
  if (!isGgufPath(target))
    throw new UserError(
      `invalid target: ${target}; expected a name that ends in .gguf, since a GGUF file grows to another; choose such a name`,
    );
  const gguf = await readGguf(source.directory);
  const prefix = `${gguf.metadata.get('general.architecture')}.`;
  const countKey = `${prefix}block_count`;
  const grown = { ...gguf, metadata: new Map(gguf.metadata).set(countKey, numLayers) };
  const places = placeLayers(source.spec.layers, (await specOfGguf(grown)).layers);
  if (!places)
    throw new UserError(
      `invalid layers: ${numLayers}; ${source.name} has kinds of layers by their number, and the source's would not keep theirs among so many; ask for another number, or for ${source.spec.layers.length} or more of the checkpoint that was converted`,
    );
  await writeGguf({
    ...options,
    ...{ path: target, source: gguf, tensors: copyTensors(source, gguf, places, reader) },
    changeEntry: ({ key, type }, value) => {
      if (key.startsWith('split.')) return null; // it is one file
      if (key === countKey) return littleEndian(numLayers, value.length);
      const isByLayer = type === arrayType && key.startsWith(prefix) && isOf(source, gguf.metadata.get(key));
      return isByLayer ? byLayer(value, source.spec.layers.length, places) : value;
    },
  });
}

function littleEndian(count: number, byteLength: number): Buffer {
  const bytes = Buffer.alloc(byteLength);
  bytes.writeUIntLE(count, 0, Math.min(4, byteLength));
  return bytes;
}

/** Whether an entry has numbers, one for each layer. */
function isOf({ spec }: Checkpoint, value: Value | undefined): boolean {
  return Array.isArray(value) && value.length === spec.layers.length && typeof value[0] !== 'string';
}

/** A list with those of the layers that the inflated ones are, behind the type of its elements and their number. */
function byLayer(list: Buffer, numLayers: number, places: readonly LayerPlace[]): Buffer {
  const [type, elements] = [list.subarray(0, 4), list.subarray(12)];
  const width = elements.length / numLayers;
  return Buffer.concat([
    ...[type, littleEndian(places.length, 8)],
    ...places.map(({ from }) => elements.subarray(from * width, (from + 1) * width)),
  ]);
}

/** A layer of the inflated model: the source's layer that it is, or that it is modelled on. */
interface LayerPlace {
  readonly from: number;
  readonly isExtra: boolean;
}

/** The source's layers spread evenly, or one behind the other where that cannot be; null where neither can. */
function placeLayers(source: readonly LayerSpec[], target: readonly LayerSpec[]): LayerPlace[] | null {
  const spread = place(source, target, (layer) => Math.floor((layer * source.length) / target.length));
  return spread ?? place(source, target, (layer) => layer);
}

/** @param due the source's layer that may come at the latest at a place */
function place(
  source: readonly LayerSpec[],
  target: readonly LayerSpec[],
  due: (layer: number) => number,
): LayerPlace[] | null {
  let next = 0;
  const places = target.map((layer, index): LayerPlace => {
    if (next < source.length && due(index) >= next && isDeepStrictEqual(source[next], layer)) {
      next += 1;
      return { from: next - 1, isExtra: false };
    }
    const isAlike = (candidate: LayerSpec) => isDeepStrictEqual(candidate, layer);
    const before = source.slice(0, next).findLastIndex(isAlike);
    return { from: before >= 0 ? before : source.findIndex(isAlike), isExtra: true };
  });
  return next === source.length && places.every(({ from }) => from >= 0) ? places : null;
}

const layerPattern = /(?<=^blk\.)\d+(?=\.)/;

function copyTensors(
  source: Checkpoint,
  { files }: Gguf,
  places: readonly LayerPlace[],
  reader: TensorReader,
): CopiedTensor[] {
  const stored = files.flatMap(({ tensors }) => tensors);
  const cleared = clearedNames(source, stored);
  const layerOf = (name: string) => layerPattern.exec(name)?.[0];
  const outer = stored.filter(({ name }) => layerOf(name) === undefined);
  return [
    ...outer.map((tensor) => copyOf(tensor, tensor.name, false, reader)),
    ...places.flatMap(({ from, isExtra }, layer) =>
      stored
        .filter(({ name }) => layerOf(name) === `${from}`)
        .map((tensor) => {
          const name = tensor.name.replace(layerPattern, `${layer}`);
          return copyOf(tensor, name, isExtra && cleared.has(tensor.name), reader);
        }),
    ),
  ];
}
