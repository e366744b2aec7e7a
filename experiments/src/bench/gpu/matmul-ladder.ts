/** Matrix products rung by rung: how fast for how many rows, and whether the numbers are right. */

import { createRandom, largest } from '@specoffload/engine';
import {
  type Codec,
  type CooperativeMatrices,
  codecs,
  cooperativeMatmul,
  type Dispatch,
  decodeWeights,
  f32,
  type KernelLimits,
  loadNativeCore,
  matmul,
  type StoredFormat,
} from '@specoffload/native';
import type { KernelClock } from './kernel-clock.js';

export interface LadderSizes {
  /** in and out of one matrix. */
  readonly shapes: readonly (readonly [depth: number, width: number])[];
  /** Of every shape in bf16. */
  readonly rows: readonly number[];
  /** The first shape again. */
  readonly others: readonly (readonly [format: StoredFormat, rows: number])[];
  /** Of weights that take turns, so that no cache has them. */
  readonly weightBytes: number;
  /** That a rung is repeated for, about. */
  readonly seconds: number;
}

/** Mixtral's up, down and key projections. */
export const fullLadder: LadderSizes = {
  shapes: [
    [4096, 14_336],
    [14_336, 4096],
    [4096, 1024],
  ],
  rows: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048],
  others: (['bf16_packed', 'f32', 'q8_0', 'q4_k', 'mxfp4'] as const).flatMap((format) =>
    [1, 8, 512].map((rows) => [format, rows] as const),
  ),
  weightBytes: 2 ** 30,
  seconds: 0.1,
};

export const quickLadder: LadderSizes = {
  shapes: [[256, 512]],
  rows: [1, 16, 40],
  others: [
    ['q8_0', 1],
    ['bf16_packed', 16],
  ],
  weightBytes: 2 ** 20,
  seconds: 0.01,
};

export interface Rung {
  readonly depth: number;
  readonly width: number;
  readonly format: StoredFormat;
  readonly rows: number;
  readonly kernel: string;
  /** What is multiplied; sums are fp32 everywhere. */
  readonly arithmetic: 'f32' | CooperativeMatrices['format'];
  readonly seconds: number;
  /** Of weights as stored. */
  readonly weightBytesPerSecond: number;
  readonly flopsPerSecond: number;
  /** Of a few results: difference from double precision over the sum of what was added up, without signs. */
  readonly largestError: number;
}

/** Of the GPU's memory that {@link climbLadder} takes. */
export function ladderBytes({ shapes, rows, weightBytes }: LadderSizes): number {
  const widest = largest(shapes.flat());
  return weightBytes + 2 * f32.bytes(largest(rows) * widest) + 2 ** 20;
}

export async function climbLadder(
  clock: KernelClock,
  sizes: LadderSizes,
  onRung: (rung: Rung) => void,
): Promise<Rung[]> {
  const rungs: Rung[] = [];
  const { shapes, rows, others } = sizes;
  const inBf16 = shapes.flatMap((shape) =>
    rows.map((count): Step => ({ shape, format: 'bf16', count, matrices: null })),
  );
  const { matrices } = clock.facts;
  const steps = [
    ...inBf16,
    ...others.map(([format, count]): Step => ({ shape: shapes[0], format, count, matrices: null })),
    ...(matrices ? inBf16.filter(({ count }) => count >= 16).map((step) => ({ ...step, matrices })) : []),
  ];
  for (const step of steps) {
    const rung = await measureRung(clock, sizes, step);
    if (!rung) continue;
    onRung(rung);
    rungs.push(rung);
  }
  return rungs;
}

interface Step {
  readonly shape: readonly [depth: number, width: number];
  readonly format: StoredFormat;
  /** Rows. */
  readonly count: number;
  /** Null for fp32. */
  readonly matrices: CooperativeMatrices | null;
}

async function measureRung(
  clock: KernelClock,
  { weightBytes, seconds: wantedSeconds }: LadderSizes,
  { shape: [depth, width], format, count: rows, matrices }: Step,
): Promise<Rung | null> {
  const codec: Codec = codecs[format];
  const rowBytes = codec.bytes(depth);
  const matrixBytes = rowBytes * width;
  const numMatrices = Math.max(1, Math.floor(weightBytes / matrixBytes));
  const limits: KernelLimits = clock.facts;
  clock.clear();
  const [weights, x, y] = [numMatrices * matrixBytes, f32.bytes(rows * depth), f32.bytes(rows * width)].map(
    (byteLength) => clock.room(byteLength),
  );
  const patterns = { weights: createWeights(format), x: createInputs() };
  await clock.fill(weights, numMatrices * matrixBytes, patterns.weights);
  await clock.fill(x, f32.bytes(rows * depth), patterns.x);
  const dispatches = Array.from({ length: numMatrices }, (_, index): Dispatch<number> | null => {
    const operation = {
      ...{ x, y, rows, depth, width, isAligned: matrixBytes % 16 === 0 },
      weights: { address: weights + index * matrixBytes, format, rowBytes },
    };
    return matrices ? cooperativeMatmul(operation, matrices, limits) : matmul(operation, limits);
  }).filter((dispatch) => dispatch !== null);
  if (dispatches.length === 0) return null;
  await clock.secondsEach(dispatches.slice(0, 1), 1); // compiles
  const first = await clock.secondsEach(dispatches, 1);
  const turns = Math.min(100, Math.max(1, Math.ceil(wantedSeconds / (first * numMatrices))));
  const seconds = Math.min(first, await clock.secondsEach(dispatches, turns));
  const last = (numMatrices - 1) * matrixBytes;
  const found = new Float32Array(await clock.read(y, f32.bytes(width)));
  const largestError = [0, Math.floor(width / 2), width - 1].reduce((most, output) => {
    const stored = cutOut(patterns.weights, last + output * rowBytes, rowBytes);
    const error = errorOf(found[output], decodeWeights(stored, format), new Float32Array(patterns.x.buffer));
    return error > most || Number.isNaN(error) ? error : most;
  }, 0);
  return {
    ...{ depth, width, format, rows, kernel: dispatches[0].kernel, seconds, largestError },
    arithmetic: matrices?.format ?? 'f32',
    weightBytesPerSecond: matrixBytes / seconds,
    flopsPerSecond: (2 * rows * depth * width) / seconds,
  };
}

const patternBytes = 2 ** 20;

/** Random weights; of blocks with scales random bytes below 64, of which no fp16 scale comes out large. */
function createWeights(format: StoredFormat): Uint8Array {
  const random = createRandom(1);
  const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  if (format === 'bf16' || format === 'f16' || format === 'f32')
    return codecs[format].encode(normals(codecs[format].count(patternBytes)));
  if (format === 'bf16_packed') {
    const values = normals(codecs[format].count(patternBytes));
    const packable = values.map((value) => (Math.abs(value) < 2 ** -10 ? 0 : value));
    const packed = new Uint8Array(codecs[format].bytes(values.length));
    loadNativeCore().packBf16(codecs.bf16.encode(packable), packed);
    return packed;
  }
  return Uint8Array.from({ length: patternBytes }, () => Math.floor(64 * random.uniform()));
}

function createInputs(): Uint8Array {
  const random = createRandom(2);
  const values = Float32Array.from({ length: f32.count(patternBytes) }, () => random.normal());
  return new Uint8Array(values.buffer);
}

/** Bytes of a pattern that goes on and on. */
function cutOut(pattern: Uint8Array, from: number, byteLength: number): Uint8Array {
  return Uint8Array.from({ length: byteLength }, (_, i) => pattern[(from + i) % pattern.length]);
}

function errorOf(found: number, weights: Float32Array, inputs: Float32Array): number {
  let [sum, size] = [0, 0];
  for (const [k, weight] of weights.entries()) {
    sum += weight * inputs[k];
    size += Math.abs(weight * inputs[k]);
  }
  return Math.abs(found - sum) / (size || 1);
}
