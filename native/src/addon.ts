/** The C++ addon as a {@link NativeCore}; the only place that knows the addon's raw functions. */

import { constants } from 'node:buffer';
import { createRequire } from 'node:module';
import {
  checkArenaByteLength,
  checkAttention,
  checkCores,
  checkDecodeMatrix,
  checkFeedForward,
  checkGating,
  checkKernelLevel,
  checkNorm,
  checkOptions,
  checkPacking,
  checkProduct,
  checkRanges,
  checkWiden,
} from './checks.js';
import type { WeightDtype } from './codecs/index.js';
import { layoutOf, type MatrixLayout } from './codecs/matrix.js';
import { probeSystem } from './probe.js';
import type {
  Arena,
  ArenaHandle,
  AttentionCall,
  FeedForwardCall,
  GatingCall,
  NativeCore,
  NormCall,
  ProbeReport,
  ProductCall,
  ReadRange,
  ReadReport,
  Streamer,
  StreamerOptions,
  StreamFile,
} from './types.js';

interface RawStreamer {
  open(path: string): { id: number; byteLength: number; direct: boolean };
  /** ranges: (range, 4): file id, file offset, byte length, arena offset. At least one. */
  read(
    ranges: Float64Array,
    arenaId: number,
  ): Promise<[startSeconds: number, endSeconds: number, bytesRead: number]>;
  /** Call once. */
  close(): Promise<void>;
}

interface RawAddon {
  createArena(byteLength: number): { id: number; buffer: ArrayBuffer };
  openArena(id: number): ArrayBuffer;
  releaseArena(id: number): void;
  /** bytesPerSecondCap is 0 for none. */
  Streamer: new (
    readsInFlight: number,
    chunkBytes: number,
    direct: boolean,
    bytesPerSecondCap: number,
  ) => RawStreamer;
  widen(
    sourceId: number,
    sourceOffset: number,
    dtype: WeightDtype,
    count: number,
    targetId: number,
    targetOffset: number,
  ): void;
  decodeMatrix(
    sourceId: number,
    valuesOffset: number,
    dtype: WeightDtype,
    layout: MatrixLayout,
    targetId: number,
    targetOffset: number,
  ): void;
  packBf16(values: Uint8Array, packed: Uint8Array): boolean;
  unpackBf16(packed: Uint8Array, values: Uint8Array): void;
  attend(
    numHeads: number,
    numKvHeads: number,
    headDim: number,
    slidingWindow: number,
    scale: number,
    threads: number,
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    out: Float32Array,
    cache: Float32Array,
    sequences: Float64Array,
    ropeCos: Float32Array,
    ropeSin: Float32Array,
    sinks: Float32Array | null,
    shared: Float64Array | null,
  ): void;
  multiply(
    dtype: WeightDtype,
    weights: Uint8Array,
    paired: number,
    step: number,
    x: Float32Array,
    y: Float32Array,
    rows: number,
    depth: number,
    width: number,
    bias: Float32Array | null,
    addend: Float32Array | null,
    threads: number,
    layout: MatrixLayout | null,
  ): void;
  normalise(
    x: Float32Array,
    weight: Float32Array,
    addend: Float32Array | null,
    y: Float32Array,
    rows: number,
    width: number,
    eps: number,
    offset: number,
  ): void;
  activate(
    activation: GatingCall['activation'],
    gate: Float32Array,
    up: Float32Array,
    count: number,
    limit: number,
    alpha: number,
  ): void;
  /** Of gate, up and down each: dtype, weights, paired, step. */
  feedForward(
    activation: GatingCall['activation'],
    limit: number,
    alpha: number,
    x: Float32Array,
    y: Float32Array,
    rows: number,
    depth: number,
    width: number,
    threads: number,
    ...weights: (WeightDtype | Uint8Array | number)[]
  ): boolean;
  pinThread(cores: readonly number[]): boolean;
  allowedCores(): number[];
  setVariable(name: string, value: string): void;
  kernelLevels(): string[];
  kernelLevel(): string;
  /** False where the processor has no such level. */
  useKernels(level: string): boolean;
}

const rangeFields = 4;

class AddonArena implements Arena {
  readonly byteLength: number;
  readonly handle: ArenaHandle;
  readonly #addon: RawAddon;
  #buffer: ArrayBuffer | null;

  constructor(addon: RawAddon, id: number, buffer: ArrayBuffer) {
    this.#addon = addon;
    this.#buffer = buffer;
    this.byteLength = buffer.byteLength;
    this.handle = { kind: 'native', id, byteLength: buffer.byteLength };
  }

  get buffer(): ArrayBuffer {
    if (this.#buffer) return this.#buffer;
    throw new Error('invalid arena: it is released; expected one in use');
  }

  release(): void {
    if (!this.#buffer) return;
    this.#buffer = null;
    this.#addon.releaseArena(idOf(this));
  }
}

function idOf(arena: Arena): number {
  if (arena.handle.kind === 'native') return arena.handle.id;
  throw new TypeError('invalid arena: made by the twin; expected one of the native core');
}

class AddonStreamer implements Streamer {
  readonly #raw: RawStreamer;
  readonly #fileIds = new Map<StreamFile, number>();
  #closed: Promise<void> | null = null;

  constructor(raw: RawStreamer) {
    this.#raw = raw;
  }

  open(path: string): StreamFile {
    const { id, byteLength, direct } = this.#raw.open(path);
    const file: StreamFile = Object.freeze({ path, byteLength, direct });
    this.#fileIds.set(file, id);
    return file;
  }

  // Async, so that a refused call rejects; it still queues the reads before it returns.
  async read(ranges: readonly ReadRange[], arena: Arena): Promise<ReadReport> {
    if (this.#closed) throw new Error('the streamer is closed');
    checkRanges(ranges, arena, (file) => this.#fileIds.has(file));
    if (ranges.length === 0) {
      const seconds = Number(process.hrtime.bigint()) * 1e-9;
      return { startSeconds: seconds, endSeconds: seconds, bytesRead: 0 };
    }
    const fields = new Float64Array(ranges.length * rangeFields);
    let at = 0;
    for (const { file, fileOffset, byteLength, arenaOffset } of ranges) {
      fields[at] = this.#fileIds.get(file)!;
      fields[at + 1] = fileOffset;
      fields[at + 2] = byteLength;
      fields[at + 3] = arenaOffset;
      at += rangeFields;
    }
    const [startSeconds, endSeconds, bytesRead] = await this.#raw.read(fields, idOf(arena));
    return { startSeconds, endSeconds, bytesRead };
  }

  close(): Promise<void> {
    this.#closed ??= this.#raw.close();
    this.#fileIds.clear();
    return this.#closed;
  }
}

/** Loads the addon. @throws Error when it is not built or does not load. */
export function loadAddon(): NativeCore {
  const addon = createRequire(import.meta.url)('../build/specoffload.node') as RawAddon;
  return {
    kind: 'native',
    createArena(byteLength: number): Arena {
      checkArenaByteLength(byteLength);
      // Node makes external ArrayBuffers through Buffer, so Buffer's limit is theirs.
      if (!(byteLength <= constants.MAX_LENGTH)) {
        throw new RangeError(
          `invalid byteLength: ${byteLength}; expected at most ${constants.MAX_LENGTH} in this version of Node; make several arenas`,
        );
      }
      const { id, buffer } = addon.createArena(byteLength);
      return new AddonArena(addon, id, buffer);
    },
    openArena(handle: ArenaHandle): Arena {
      if (handle.kind !== 'native') {
        throw new TypeError(`invalid arena handle: ${handle.kind}; expected one of the native core`);
      }
      return new AddonArena(addon, handle.id, addon.openArena(handle.id));
    },
    createStreamer(options: StreamerOptions = {}): Streamer {
      const { readsInFlight, chunkBytes, direct, bytesPerSecondCap } = checkOptions(options);
      return new AddonStreamer(new addon.Streamer(readsInFlight, chunkBytes, direct, bytesPerSecondCap ?? 0));
    },
    widen(source, sourceOffset, dtype, count, target, targetOffset): void {
      checkWiden(source, sourceOffset, dtype, count, target, targetOffset);
      addon.widen(idOf(source), sourceOffset, dtype, count, idOf(target), targetOffset);
    },
    decodeMatrix(source, valuesOffset, dtype, layout, target, targetOffset): void {
      checkDecodeMatrix(source, valuesOffset, dtype, layout, target, targetOffset);
      addon.decodeMatrix(idOf(source), valuesOffset, dtype, layout, idOf(target), targetOffset);
    },
    packBf16(values, packed): boolean {
      checkPacking(values, packed);
      return addon.packBf16(values, packed);
    },
    unpackBf16(packed, values): void {
      checkPacking(values, packed);
      addon.unpackBf16(packed, values);
    },
    attend(call: AttentionCall): void {
      checkAttention(call);
      const { numHeads, numKvHeads, headDim, slidingWindow, scale } = call.shape;
      const { threads, q, k, v, out, cache, sequences, shared, ropeCos, ropeSin, sinks } = call;
      // biome-ignore format: as the addon declares it
      addon.attend(
        numHeads, numKvHeads, headDim, slidingWindow, scale, threads,
        q, k, v, out, cache, sequences, ropeCos, ropeSin, sinks, shared ?? null,
      );
    },
    multiply(call: ProductCall): void {
      checkProduct(call);
      const { dtype, weights, paired, step, x, y, rows, depth, width, bias, addend, threads } = call;
      // biome-ignore format: as the addon declares it
      addon.multiply(
        dtype, weights, paired, step, x, y, rows, depth, width, bias, addend, threads,
        layoutOf(call, depth, width),
      );
    },
    normalise(call: NormCall): void {
      checkNorm(call);
      const { x, weight, addend, y, rows, width, eps, offset } = call;
      addon.normalise(x, weight, addend, y, rows, width, eps, offset);
    },
    activate(call: GatingCall): void {
      checkGating(call);
      const { activation, gate, up, count, limit, alpha } = call;
      addon.activate(activation, gate, up, count, limit, alpha);
    },
    feedForward(call: FeedForwardCall): boolean {
      checkFeedForward(call);
      const { activation, limit, alpha, x, y, rows, depth, width, threads, gate, up, down } = call;
      // biome-ignore format: as the addon declares it
      return addon.feedForward(
        activation, limit, alpha, x, y, rows, depth, width, threads,
        gate.dtype, gate.weights, gate.paired, gate.step,
        up.dtype, up.weights, up.paired, up.step,
        down.dtype, down.weights, down.paired, down.step,
      );
    },
    pinThread(cores: readonly number[]): boolean {
      checkCores(cores);
      return addon.pinThread(cores);
    },
    useKernels(level: string): void {
      checkKernelLevel(level, addon.kernelLevels());
      addon.useKernels(level);
    },
    setVariable: (name, value) => addon.setVariable(name, value),
    probe(): ProbeReport {
      return {
        ...probeSystem(),
        allowedCores: addon.allowedCores(),
        kernelLevel: addon.kernelLevel(),
        kernelLevels: addon.kernelLevels(),
      };
    },
  };
}
