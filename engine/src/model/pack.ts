/**
 * A bf16 checkpoint stored packed, and the way back: every tensor comes out bit for bit, so every run writes the tokens
 * that it wrote before, from 0.78 of the bytes.
 *
 * Packed are matrices that the model multiplies with, all but routers, whose rows are whole blocks and whose exponents
 * lie close enough; tensor by tensor, read once to see whether they do and once more to write. All else stays as it is,
 * and so does how tensors are shared out among files.
 */

import { join } from 'node:path';
import { maybeReadText, quote, UserError, withJsonFields, withoutJsonField } from '@specoffload/input';
import { codecs, loadNativeCore, type NativeCore, plainCodecs } from '@specoffload/native';
import { openCheckpoint } from './checkpoint.js';
import { maxConfigBytes } from './configuration.js';
import { isGgufPath } from './gguf/file.js';
import type { HeaderTensor } from './header-tensor.js';
import { TensorReader } from './inflate-bytes.js';
import { copyOf } from './inflate-stored.js';
import { isPacked, packedType, packing, unfoldPacked } from './packed.js';
import { modelGroups } from './roles.js';
import { readShards } from './shards.js';
import { readSidecars } from './sidecars.js';
import type { ModelSpec } from './spec.js';
import type { Checkpoint } from './types.js';
import { type Disk, type TensorSource, type WriteProgress, writeCheckpoint } from './write.js';

export interface PackingOptions {
  readonly sourceDirectory: string;
  /** Must not exist yet; it appears complete or not at all. */
  readonly targetDirectory: string;
  /** Tensors are looked at first, then written. */
  readonly onProgress?: (progress: WriteProgress, step: 'checked' | 'written') => void;
  readonly signal?: AbortSignal;
  /** What a test puts in place of the disk. */
  readonly disk?: Disk;
}

export interface Packing {
  readonly source: Checkpoint;
  readonly target: Checkpoint;
  readonly numPacked: number;
  /** Matrices that stay bf16: rows are no whole blocks, columns are read, or exponents lie too far apart. */
  readonly unpacked: readonly string[];
}

/**
 * @example await packCheckpoint({ sourceDirectory: 'models/big', targetDirectory: 'models/big-packed' })
 * @throws UserError when nothing can be packed or the disk does not fit; then nothing is left behind.
 */
export async function packCheckpoint(options: PackingOptions): Promise<Packing> {
  const { sourceDirectory, targetDirectory } = options;
  const source = await openPlain(sourceDirectory);
  const files = await readInOrder(sourceDirectory);
  const candidates = matricesOf(source.spec);
  const [bf16, converter] = [files.flatMap(({ tensors }) => tensors.filter(isBf16)), new Converter()];
  try {
    const matrices = bf16.filter(({ name }) => candidates.has(name));
    const rowByRow = matrices.filter(({ name }) => candidates.get(name));
    const packed = await findPackable(rowByRow, converter, options);
    if (packed.size === 0) throw nothingToPack(source, matrices.length);
    await writeCheckpoint({
      ...written(options),
      sections: files.map(({ tensors }) =>
        tensors.map((tensor) =>
          packed.has(tensor.name) ? converter.packed(tensor) : converter.copy(tensor),
        ),
      ),
      sidecars: await sidecarsOf(sourceDirectory, (text, path) =>
        withJsonFields(text, { quantization_config: { ...packing, packed_from: source.digest } }, path),
      ),
    });
    const unpacked = matrices.map(({ name }) => name).filter((name) => !packed.has(name));
    return { source, target: await openCheckpoint(targetDirectory), numPacked: packed.size, unpacked };
  } finally {
    await converter.close();
  }
}

/** The way back. @throws UserError when the source is not packed or the disk does not fit; then nothing is left behind. */
export async function unpackCheckpoint(options: PackingOptions): Promise<Checkpoint> {
  const { sourceDirectory, targetDirectory } = options;
  const source = await openCheckpoint(sourceDirectory);
  if (!isPacked(source))
    throw new UserError(`${sourceDirectory} is not packed; expected a checkpoint that model pack wrote`);
  const files = unfoldPacked(await readInOrder(sourceDirectory));
  const converter = new Converter();
  try {
    await writeCheckpoint({
      ...written(options),
      sections: files.map(({ tensors }) =>
        tensors.map((tensor) =>
          tensor.codec === 'bf16_packed' ? converter.unpacked(tensor) : converter.copy(tensor),
        ),
      ),
      sidecars: await sidecarsOf(sourceDirectory, (text, path) =>
        withoutJsonField(text, 'quantization_config', path),
      ),
    });
  } finally {
    await converter.close();
  }
  return openCheckpoint(targetDirectory);
}

async function openPlain(directory: string): Promise<Checkpoint> {
  const source = await openCheckpoint(directory);
  const others = [...source.tensors.values()].find(({ dtype }) => !Object.hasOwn(plainCodecs, dtype));
  if (!others && !isGgufPath(directory)) return source;
  const how = isPacked(source)
    ? 'is packed already'
    : others
      ? `holds weights in ${others.dtype}`
      : 'is a GGUF file';
  throw new UserError(
    `${directory} ${how}; expected a directory of safetensors in bf16; use the one it was made from`,
  );
}

function nothingToPack({ directory, tensors }: Checkpoint, numMatrices: number): UserError {
  const dtypes = [...new Set([...tensors.values()].map(({ dtype }) => dtype))].join(', ');
  const why =
    numMatrices === 0 ? `its weights are ${dtypes}` : 'none of its matrices fits blocks of 64 values';
  return new UserError(
    `nothing of ${directory} can be packed: ${why}; expected matrices in bf16 of trained weights`,
  );
}

const isBf16 = ({ dtype }: HeaderTensor) => dtype === plainCodecs.bf16.storedName;

/** Files by name, so that shards keep their order. */
async function readInOrder(directory: string) {
  return (await readShards(directory)).toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** Stored tensors that products read, by name, and whether they read them row by row. */
function matricesOf(spec: ModelSpec): ReadonlyMap<string, boolean> {
  const { embedding, head, layers } = modelGroups(spec);
  const groups = [embedding, head, ...layers.flatMap(({ attention, experts }) => [attention, ...experts])];
  const matrices = groups
    .flatMap(({ tensors }) => tensors)
    .filter(({ shape, role }) => shape.length > 1 && role !== 'router');
  return new Map(matrices.map(({ name, within }) => [within?.name ?? name, !within?.slice.isTransposed]));
}

/** Names of those whose blocks all fit. */
async function findPackable(
  matrices: readonly HeaderTensor[],
  converter: Converter,
  { onProgress, signal }: PackingOptions,
): Promise<ReadonlySet<string>> {
  const packable = new Set<string>();
  const bytesTotal = matrices.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let bytesDone = 0;
  for (const tensor of matrices) {
    if (await converter.fits(tensor, signal)) packable.add(tensor.name);
    bytesDone += tensor.byteLength;
    onProgress?.({ bytesDone, bytesTotal }, 'checked');
  }
  return packable;
}

function written({ targetDirectory, onProgress, signal, disk }: PackingOptions) {
  return {
    ...{ targetDirectory, signal, disk, maxShardBytes: 0 }, // a file for each that there was
    onProgress: (progress: WriteProgress) => onProgress?.(progress, 'written'),
  };
}

async function sidecarsOf(directory: string, change: (config: string, path: string) => string) {
  const path = join(directory, 'config.json');
  const config = (await maybeReadText(path, maxConfigBytes)) ?? '{}';
  return new Map<string, string | Uint8Array>([
    ['config.json', change(config, path)],
    ...(await readSidecars(directory)),
  ]);
}

const { bf16, bf16_packed } = codecs;
const chunkElements = 2 ** 21;

/** Bytes of tensors, chunk by chunk, in the one form or the other. */
class Converter {
  readonly #reader = new TensorReader();
  readonly #core: NativeCore = loadNativeCore();

  copy(tensor: HeaderTensor): TensorSource {
    return copyOf(tensor, tensor.name, false, this.#reader);
  }

  packed(tensor: HeaderTensor): TensorSource {
    const { name } = tensor;
    const { shape, ...stored } = packedType(tensor.shape)!;
    return { name, shape, stored, chunks: () => this.#pack(tensor) };
  }

  unpacked(tensor: HeaderTensor): TensorSource {
    const { name, shape } = tensor;
    return { name, shape, dtype: 'bf16', chunks: () => this.#unpack(tensor) };
  }

  async fits(tensor: HeaderTensor, signal: AbortSignal | undefined): Promise<boolean> {
    if (packedType(tensor.shape) === null) return false;
    const packed = new Uint8Array(bf16_packed.bytes(chunkElements));
    for await (const values of this.#reader.chunks(tensor, bf16.bytes(chunkElements))) {
      signal?.throwIfAborted();
      const target = packed.subarray(0, bf16_packed.bytes(bf16.count(values.length)));
      if (!this.#core.packBf16(values, target)) return false;
    }
    return true;
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  async *#pack(tensor: HeaderTensor): AsyncGenerator<Uint8Array> {
    const packed = new Uint8Array(bf16_packed.bytes(chunkElements));
    for await (const values of this.#reader.chunks(tensor, bf16.bytes(chunkElements))) {
      const target = packed.subarray(0, bf16_packed.bytes(bf16.count(values.length)));
      if (!this.#core.packBf16(values, target))
        throw new UserError(`${tensor.path}: ${quote(tensor.name)} was changed meanwhile; try again`);
      yield target;
    }
  }

  async *#unpack(tensor: HeaderTensor): AsyncGenerator<Uint8Array> {
    const values = new Uint8Array(bf16.bytes(chunkElements));
    for await (const packed of this.#reader.chunks(tensor, bf16_packed.bytes(chunkElements))) {
      const target = values.subarray(0, bf16.bytes(bf16_packed.count(packed.length)));
      this.#core.unpackBf16(packed, target);
      yield target;
    }
  }
}
