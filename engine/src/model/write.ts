/**
 * Writes a checkpoint directory as a stream, all or nothing: everything goes to a temporary directory beside the
 * target, which takes the target's name only when it is complete and on the disk.
 */

import { randomBytes } from 'node:crypto';
import { access, mkdir, open, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { currentSignal, reasonOf, UserError } from '@specoffload/input';
import { type Codec, codecs, directIoAlignmentBytes, type WeightDtype } from '@specoffload/native';
import { tensorBytes } from './safetensors.js';
import { indexFileName, singleFileName } from './shards.js';

/** A tensor to be written: of weights, or as it is stored elsewhere. */
export type TensorSource = {
  readonly name: string;
  readonly shape: readonly number[];
  /** Its bytes in order. A chunk is written before the next is asked for, so one buffer may serve all of them. */
  chunks(): AsyncIterable<Uint8Array>;
} & (WeightType | StoredType);

interface WeightType {
  readonly dtype: WeightDtype;
}

interface StoredType {
  /** The type as safetensors names it. */
  readonly stored: { readonly dtype: string; readonly byteLength: number };
}

/** What the header says of it. */
function storedTypeOf(tensor: TensorSource): StoredType['stored'] {
  if ('stored' in tensor) return tensor.stored;
  const { dtype, shape } = tensor;
  return { dtype: (codecs[dtype] as Codec).storedName ?? '', byteLength: tensorBytes(dtype, shape) };
}

export interface WriteProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface WriteCheckpointOptions {
  /** Must not exist yet. */
  readonly targetDirectory: string;
  /** Tensors in the order of the file; a shard ends only between two sections. */
  readonly sections: readonly (readonly TensorSource[])[];
  /** Small files beside the weights (config.json, tokenizer.json, …), by name. */
  readonly sidecars: ReadonlyMap<string, string | Uint8Array>;
  /** Above this the weights go to several files with an index. @default 8e9 */
  readonly maxShardBytes?: number;
  readonly onProgress?: (progress: WriteProgress) => void;
  /** Stops between two chunks; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** What a test puts in place of the disk. */
  readonly disk?: Disk;
}

/** The operations that fail when a disk is full. */
export interface Disk {
  /** Bytes that this user may still write to the file system of `directory`. */
  freeBytes(directory: string): Promise<number>;
  create(path: string): Promise<OutputFile>;
}

export interface OutputFile {
  write(bytes: Uint8Array): Promise<void>;
  /** Returns when everything written is on the disk, and closes. */
  finish(): Promise<void>;
  /** Closes without waiting for the disk. May follow `finish`. */
  abandon(): Promise<void>;
}

export const localDisk: Disk = {
  async freeBytes(directory) {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  },
  async create(path) {
    const file = await open(path, 'wx');
    return {
      async write(bytes) {
        for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten;
      },
      async finish() {
        await file.sync();
        await file.close();
      },
      async abandon() {
        await file.close();
      },
    };
  },
};

interface Shard {
  readonly name: string;
  readonly tensors: readonly TensorSource[];
  readonly header: Buffer;
  readonly byteLength: number;
}

/**
 * @throws UserError when the target exists, the disk is too small, or a write fails; then nothing is left behind.
 */
export async function writeCheckpoint(options: WriteCheckpointOptions): Promise<void> {
  const shards = createShards(options.sections, options.maxShardBytes ?? 8e9);
  const bytesTotal = shards.reduce((total, shard) => total + shard.byteLength, 0);
  await writeWhole(options.targetDirectory, bytesTotal, options, async (temporary, disk) => {
    await mkdir(temporary);
    await writeSidecars(temporary, options.sidecars, shards);
    await writeShards(temporary, shards, bytesTotal, disk, options);
    await syncDirectory(temporary);
  });
}

/** What whoever writes tensors is told of, and may be asked. */
export type WriteOptions = Pick<WriteCheckpointOptions, 'onProgress' | 'signal' | 'disk'>;

/**
 * A file or directory that takes its name when it is complete.
 * @param write makes it under another name
 * @throws UserError as {@link writeCheckpoint} does
 */
export async function writeWhole(
  path: string,
  bytesTotal: number,
  { signal = currentSignal(), disk = localDisk }: WriteOptions,
  write: (temporary: string, disk: Disk) => Promise<void>,
): Promise<void> {
  const target = resolve(path);
  const parent = dirname(target);
  signal?.throwIfAborted();
  const temporary = join(parent, `.${basename(target)}.partial-${randomBytes(6).toString('hex')}`);
  try {
    await refuseExisting(target);
    await mkdir(parent, { recursive: true });
    await refuseTooLarge(bytesTotal, parent, disk);
    await write(temporary, disk);
    signal?.throwIfAborted();
    await rename(temporary, target);
    await syncDirectory(parent);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw await explain(error, target, bytesTotal, disk, signal);
  }
}

/** One shard while everything fits into `maxShardBytes`; a section is never divided. */
function createShards(sections: readonly (readonly TensorSource[])[], maxShardBytes: number): Shard[] {
  const bytesOf = (tensors: readonly TensorSource[]) =>
    tensors.reduce((total, tensor) => total + storedTypeOf(tensor).byteLength, 0);
  const parts: TensorSource[][] = [[]];
  let partBytes = 0;
  for (const section of sections) {
    const sectionBytes = bytesOf(section);
    if (partBytes > 0 && partBytes + sectionBytes > maxShardBytes) {
      parts.push([]);
      partBytes = 0;
    }
    for (const tensor of section) parts.at(-1)!.push(tensor);
    partBytes += sectionBytes;
  }
  const number = (n: number) => String(n).padStart(5, '0');
  return parts.map((tensors, i) => {
    const header = encodeHeader(tensors);
    const name =
      parts.length === 1 ? singleFileName : `model-${number(i + 1)}-of-${number(parts.length)}.safetensors`;
    return { name, tensors, header, byteLength: header.length + bytesOf(tensors) };
  });
}

/**
 * Length and JSON, padded with spaces so that the data starts on a block that direct reads can start on. Tensors
 * follow each other without gaps, which the format asks for.
 */
function encodeHeader(tensors: readonly TensorSource[]): Buffer {
  // transformers refuses files that do not say which framework's layout they have.
  const entries: [string, unknown][] = [['__metadata__', { format: 'pt' }]];
  let end = 0;
  for (const tensor of tensors) {
    const begin = end;
    const { dtype, byteLength } = storedTypeOf(tensor);
    end += byteLength;
    entries.push([tensor.name, { dtype, shape: tensor.shape, data_offsets: [begin, end] }]);
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const blocks = Math.ceil((8 + json.length) / directIoAlignmentBytes);
  const header = Buffer.alloc(blocks * directIoAlignmentBytes, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  return header;
}

async function refuseExisting(target: string): Promise<void> {
  const exists = await access(target).then(
    () => true,
    () => false,
  );
  if (exists) throw new UserError(`${target} exists already; choose another name or remove it`);
}

async function refuseTooLarge(neededBytes: number, parent: string, disk: Disk): Promise<void> {
  const freeBytes = await disk.freeBytes(parent);
  if (freeBytes >= neededBytes) return;
  throw new UserError(
    `${parent} has ${freeBytes} bytes free where ${neededBytes} are needed; free some or choose another disk`,
  );
}

async function writeSidecars(
  directory: string,
  sidecars: WriteCheckpointOptions['sidecars'],
  shards: readonly Shard[],
): Promise<void> {
  const files = new Map(sidecars);
  if (shards.length > 1) files.set(indexFileName, encodeIndex(shards));
  for (const [name, contents] of files)
    await writeFile(join(directory, name), contents, { flag: 'wx', flush: true });
}

function encodeIndex(shards: readonly Shard[]): string {
  const total_size = shards.reduce((total, shard) => total + shard.byteLength - shard.header.length, 0);
  const weight_map = Object.fromEntries(
    shards.flatMap(({ name, tensors }) => tensors.map((t) => [t.name, name])),
  );
  return `${JSON.stringify({ metadata: { total_size }, weight_map }, null, 2)}\n`;
}

async function writeShards(
  directory: string,
  shards: readonly Shard[],
  bytesTotal: number,
  disk: Disk,
  { onProgress, signal }: WriteCheckpointOptions,
): Promise<void> {
  let bytesDone = 0;
  const onWrite = (byteLength: number) => {
    bytesDone += byteLength;
    onProgress?.({ bytesDone, bytesTotal });
  };
  for (const { name, header, tensors } of shards)
    await writeFileOf(join(directory, name), disk, signal, onWrite, async (put) => {
      await put(header);
      for (const tensor of tensors) await writeTensor(tensor, put);
    });
}

type Put = (bytes: Uint8Array) => Promise<void>;

/** One file, on the disk when the promise resolves. */
export async function writeFileOf(
  path: string,
  disk: Disk,
  signal: AbortSignal | undefined,
  onWrite: (byteLength: number) => void,
  write: (put: Put) => Promise<void>,
): Promise<void> {
  const file = await disk.create(path);
  try {
    await write(async (bytes) => {
      signal?.throwIfAborted();
      await file.write(bytes);
      onWrite(bytes.length);
    });
    await file.finish();
  } catch (error) {
    await file.abandon();
    throw error;
  }
}

export async function writeTensor(tensor: TensorSource, put: Put): Promise<void> {
  let bytes = 0;
  for await (const chunk of tensor.chunks()) {
    await put(chunk);
    bytes += chunk.length;
  }
  const { byteLength: expected } = storedTypeOf(tensor);
  if (bytes !== expected) throw new Error(`${tensor.name} yielded ${bytes} bytes; expected ${expected}`);
}

/** Renames and new files reach the disk with their directory; Windows does not open directories. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What the user is told: the abort's own reason, a sentence about the disk, or the defect as it is. */
async function explain(
  error: unknown,
  target: string,
  neededBytes: number,
  disk: Disk,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  if (signal?.aborted) return signal.reason;
  const isSystemError = error instanceof Error && 'code' in error && 'syscall' in error;
  if (error instanceof UserError || !isSystemError) return error;
  const free = await disk.freeBytes(dirname(target)).catch(() => 'an unknown number of');
  return new UserError(
    `cannot write ${target} (${reasonOf(error)}): ${neededBytes} bytes are needed and ${free} are free; make room or choose another place`,
    { cause: error },
  );
}
