/** Reads through Node's own asynchronous file calls: buffered, but in the same order and with the same reports. */

import { close, closeSync, fstatSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
import type { ResolvedStreamerOptions } from '../checks.js';
import { checkRanges } from '../checks.js';
import { type LinkSlot, Pacer } from '../pacer.js';
import type { Arena, ReadRange, ReadReport, Streamer, StreamFile } from '../types.js';

const readDescriptor = promisify(read);
const closeDescriptor = promisify(close);

interface Chunk {
  readonly file: StreamFile;
  readonly fileOffset: number;
  readonly target: Uint8Array;
}

interface Request {
  readonly askedSeconds: number;
  /** Chunks not under way yet, in order. */
  waiting: Chunk[];
  numUnderWay: number;
  startSeconds: number;
  endSeconds: number;
  bytesRead: number;
  failure: Error | null;
  readonly resolve: (report: ReadReport) => void;
  readonly reject: (error: Error) => void;
}

export class TwinStreamer implements Streamer {
  readonly #options: ResolvedStreamerOptions;
  readonly #descriptors = new Map<StreamFile, number>();
  /** Requests with chunks left to hand out, in the order of the calls. */
  readonly #queue: Request[] = [];
  #numUnderWay = 0;
  readonly #pacer: Pacer | null;
  #closed: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;

  constructor(options: ResolvedStreamerOptions) {
    this.#options = options;
    this.#pacer = options.bytesPerSecondCap === null ? null : new Pacer(options.bytesPerSecondCap);
  }

  open(path: string): StreamFile {
    if (this.#closed) throw new Error('the streamer is closed');
    const descriptor = openSync(path, 'r');
    const status = fstatSync(descriptor);
    if (!status.isFile()) {
      closeSync(descriptor);
      const code = status.isDirectory() ? 'EISDIR' : 'ESPIPE';
      throw Object.assign(new Error(`cannot stream ${path}: not a regular file`), { code });
    }
    const file: StreamFile = Object.freeze({ path, byteLength: status.size, direct: false });
    this.#descriptors.set(file, descriptor);
    return file;
  }

  async read(ranges: readonly ReadRange[], arena: Arena): Promise<ReadReport> {
    if (this.#closed) throw new Error('the streamer is closed');
    checkRanges(ranges, arena, (file) => this.#descriptors.has(file));
    const askedSeconds = nowSeconds();
    const waiting = ranges.flatMap((range) => chunksOf(range, arena, this.#options.chunkBytes));
    if (waiting.length === 0) return { startSeconds: askedSeconds, endSeconds: askedSeconds, bytesRead: 0 };
    return new Promise((resolve, reject) => {
      this.#queue.push({
        askedSeconds,
        waiting,
        numUnderWay: 0,
        startSeconds: Infinity,
        endSeconds: -Infinity,
        bytesRead: 0,
        failure: null,
        resolve,
        reject,
      });
      this.#startChunks();
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    if (this.#numUnderWay > 0 || this.#queue.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await Promise.all([...this.#descriptors.values()].map((descriptor) => closeDescriptor(descriptor)));
    this.#descriptors.clear();
  }

  /** Keeps `readsInFlight` chunks under way, across requests. */
  #startChunks(): void {
    while (this.#numUnderWay < this.#options.readsInFlight && this.#queue.length > 0) {
      const request = this.#queue[0];
      const chunk = request.waiting.shift()!;
      if (request.waiting.length === 0) this.#queue.shift();
      void this.#readChunk(request, chunk);
    }
    if (this.#numUnderWay === 0) this.#onIdle?.();
  }

  async #readChunk(request: Request, chunk: Chunk): Promise<void> {
    this.#numUnderWay += 1;
    request.numUnderWay += 1;
    const now = nowSeconds();
    const slot: LinkSlot = this.#pacer?.reserve(chunk.target.byteLength, request.askedSeconds, now) ?? {
      startSeconds: now,
      endSeconds: now,
    };
    // A paced read takes place when the link carries it, whenever the timer fires.
    request.startSeconds = Math.min(request.startSeconds, slot.startSeconds);
    try {
      const bytesRead = await readWhole(chunk, this.#descriptors.get(chunk.file)!);
      request.bytesRead += bytesRead; // not before the await: other chunks of the request count too
      request.endSeconds = Math.max(request.endSeconds, nowSeconds(), slot.endSeconds);
      await sleepUntil(slot.endSeconds);
    } catch (error) {
      request.failure ??= error as Error;
      request.waiting = []; // hand out no more of it
      const index = this.#queue.indexOf(request);
      if (index >= 0) this.#queue.splice(index, 1);
    }
    this.#numUnderWay -= 1;
    request.numUnderWay -= 1;
    if (request.numUnderWay === 0 && request.waiting.length === 0) settle(request);
    this.#startChunks();
  }
}

function chunksOf(range: ReadRange, arena: Arena, chunkBytes: number): Chunk[] {
  return Array.from({ length: Math.ceil(range.byteLength / chunkBytes) }, (_, i) => {
    const offset = i * chunkBytes;
    const byteLength = Math.min(chunkBytes, range.byteLength - offset);
    const target = new Uint8Array(arena.buffer, range.arenaOffset + offset, byteLength);
    return { file: range.file, fileOffset: range.fileOffset + offset, target };
  });
}

/** Reads up to the end of the file as it was when opened; less than that is an error. */
async function readWhole({ file, fileOffset, target }: Chunk, descriptor: number): Promise<number> {
  const expectedBytes = Math.max(0, Math.min(target.byteLength, file.byteLength - fileOffset));
  let doneBytes = 0;
  while (doneBytes < expectedBytes) {
    const { bytesRead } = await readDescriptor(
      descriptor,
      target,
      doneBytes,
      expectedBytes - doneBytes,
      fileOffset + doneBytes,
    ).catch((error: NodeJS.ErrnoException) => {
      error.message = `cannot read ${file.path} at byte ${fileOffset + doneBytes}: ${error.message}`;
      throw error;
    });
    doneBytes += bytesRead;
    if (bytesRead === 0) {
      throw Object.assign(
        new Error(
          `short read of ${file.path}: it ended at byte ${fileOffset + doneBytes} and had ${file.byteLength} bytes when it was opened`,
        ),
        { code: 'EIO' },
      );
    }
  }
  return doneBytes;
}

function settle(request: Request): void {
  const { startSeconds, endSeconds, bytesRead, failure } = request;
  if (failure) request.reject(failure);
  else request.resolve({ startSeconds, endSeconds, bytesRead });
}

/** The clock of process.hrtime, as in the addon. */
function nowSeconds(): number {
  return Number(process.hrtime.bigint()) * 1e-9;
}

/** Timers count whole milliseconds, so one may fire a little early. */
async function sleepUntil(seconds: number): Promise<void> {
  for (let left = seconds - nowSeconds(); left > 0; left = seconds - nowSeconds()) {
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(left * 1000)));
  }
}
