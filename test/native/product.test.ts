import {
  type Codec,
  codecs,
  decodeWeights,
  loadNativeCore,
  type NativeCore,
  type PlainWeights,
  type WeightDtype,
} from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { addonIsBuilt, cores, createRandom, randomWhole } from './helpers.js';

const random = createRandom(7);
const uniform = (count: number) => Float32Array.from({ length: count }, () => 2 * random() - 1);

/** Random bytes whose fp16 and bf16 numbers, scales among them, are moderate. */
function storedMatrix(dtype: WeightDtype, width: number, depth: number): Uint8Array {
  const bytes = codecs[dtype].bytes(depth) * width;
  if (dtype === 'f32') return new Uint8Array(uniform(width * depth).buffer);
  for (let tries = 0; tries < 100; tries += 1) {
    const stored = Uint8Array.from({ length: bytes }, () => randomWhole(random, 0, 255));
    limitScales(dtype, stored);
    if (decodeWeights(stored, dtype).every(Number.isFinite)) return stored;
  }
  throw new Error(`no finite ${dtype}`);
}

/** Where a block's numbers of two bytes stand; of the plain ones, each is such a number. */
const halvesAt: Readonly<Partial<Record<WeightDtype, readonly number[]>>> = {
  ...{ bf16: [0], f16: [0], q8_0: [0], q4_0: [0], q4_1: [0, 2], q5_0: [0], q5_1: [0, 2] },
  ...{ q4_k: [0, 2], q5_k: [0, 2], q6_k: [208] },
};

function limitScales(dtype: WeightDtype, stored: Uint8Array): void {
  const codec: Codec = codecs[dtype];
  const blockBytes = codec.bytes(codec.blockElements);
  for (let at = 0; at < stored.length; at += blockBytes) {
    for (const half of halvesAt[dtype] ?? []) stored[at + half + 1] = (stored[at + half + 1]! & 0x83) | 0x38;
    if (dtype === 'mxfp4') stored[at] = 120 + (stored[at]! & 7);
    if (dtype === 'bf16_packed') stored[at] = 110 + (stored[at]! & 15);
    if (dtype === 'fp8') stored[at] = stored[at]! & 0xbf;
  }
}

interface Problem {
  readonly dtype: WeightDtype;
  readonly rows: number;
  readonly depth: number;
  readonly width: number;
  readonly paired: number;
  readonly step: number;
  readonly weights: Uint8Array;
  readonly x: Float32Array;
  readonly bias: Float32Array | null;
  readonly addend: Float32Array | null;
}

function problemOf(dtype: WeightDtype, rows: number, width: number, paired: number, step = 1): Problem {
  const { blockElements }: Codec = codecs[dtype];
  const depth = blockElements === 1 ? 521 : blockElements * (blockElements < 256 ? 19 : 3); // more than a panel
  return {
    ...{
      dtype,
      rows,
      depth,
      width,
      paired,
      step,
      weights: storedMatrix(dtype, (width - 1) * step + 1, depth),
      x: uniform(rows * depth),
    },
    bias: width % 2 === 0 ? uniform(width) : null,
    addend: width % 3 === 0 ? uniform(rows * width) : null,
  };
}

function multiply(core: NativeCore, problem: Problem, threads = 1): Float32Array {
  const y = new Float32Array(problem.rows * problem.width).fill(Number.NaN);
  core.multiply({ ...problem, y, threads });
  return y;
}

/** In double precision, and the sum of the magnitudes that an error is in proportion to. */
function exactly({ dtype, rows, depth, width, paired, step, weights, x, bias, addend }: Problem) {
  const w = decodeWeights(weights, dtype);
  const lies = (out: number) => {
    if (paired === 1) return out;
    const within = out % paired;
    return out - within + (within < paired / 2 ? 2 * within : 2 * within - paired + 1);
  };
  const at = (row: number, out: number) => {
    const terms = [bias?.[out] ?? 0, addend?.[row * width + out] ?? 0];
    for (let k = 0; k < depth; k += 1) terms.push(x[row * depth + k]! * w[lies(out) * step * depth + k]!);
    return {
      value: terms.reduce((sum, term) => sum + term, 0),
      size: terms.reduce((sum, term) => sum + Math.abs(term), 0),
    };
  };
  return Array.from({ length: rows * width }, (_, i) => at(Math.floor(i / width), i % width));
}

/** Some of the rows alone, and all of them on three threads. */
function expectSameRows(core: NativeCore, problem: Problem): void {
  const { dtype, depth, width } = problem;
  const whole = multiply(core, problem, 3);
  for (const [first, rows] of [
    [0, 1],
    [1, 2],
    [3, 5],
    [8, 63],
  ] as const) {
    const part = { ...problem, rows, x: problem.x.subarray(first * depth, (first + rows) * depth) };
    const expected = whole.subarray(first * width, (first + rows) * width);
    expect(multiply(core, part), `${dtype}, ${rows} rows from ${first}`).toEqual(expected);
  }
}

const dtypes = Object.keys(codecs) as WeightDtype[];

describe.each(cores)('products with stored weights, %s', (_, core) => {
  test.each(dtypes)('%s is what double precision makes of it', (dtype) => {
    for (const [rows, width, paired, step] of [
      [1, 33, 1, 1],
      [3, 6, 1, 2],
      [17, 40, 8, 1],
    ] as const) {
      const problem = problemOf(dtype, rows, width, paired, step);
      const y = multiply(core, problem);
      for (const [i, { value, size }] of exactly(problem).entries())
        expect(Math.abs(y[i]! - value)).toBeLessThanOrEqual(1e-6 * size);
    }
  });

  test('a row is the same to the bit among any others, on any number of threads', () => {
    for (const dtype of ['bf16', 'f32', 'q4_k', 'mxfp4'] as const)
      expectSameRows(core, problemOf(dtype, 71, 70, 1));
  });

  test('norms, with what is added to them', () => {
    for (const width of [1, 7, 48]) {
      const [x, weight, addend] = [uniform(3 * width), uniform(width), uniform(3 * width)];
      const y = new Float32Array(3 * width);
      core.normalise({ ...{ x, weight, addend, y, rows: 3, width }, eps: 1e-5, offset: 1 });
      for (let row = 0; row < 3; row += 1) {
        const squares = x
          .slice(row * width, (row + 1) * width)
          .reduce((sum, value) => sum + value * value, 0);
        for (let i = 0; i < width; i += 1) {
          const value = (x[row * width + i]! / Math.sqrt(squares / width + 1e-5)) * (1 + weight[i]!);
          expect(y[row * width + i]).toBeCloseTo(value + addend[row * width + i]!, 5);
        }
      }
      core.normalise({ ...{ x, weight, addend: null, y: x, rows: 3, width }, eps: 1e-5, offset: 1 });
      for (const [i, value] of x.entries()) expect(value).toBeCloseTo(y[i]! - addend[i]!, 5);
    }
  });

  test('activations, of what is large and what is no number too', () => {
    const special = [0, -0, 1, -1, 30, -30, 1e4, -1e4, Number.NaN];
    const [limit, alpha] = [7, 1.702];
    const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));
    const expected = {
      silu: (g: number, u: number) => g * sigmoid(g) * u,
      'gelu-tanh': (g: number, u: number) =>
        0.5 * g * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3))) * u,
      'clamped-swiglu': (g: number, u: number) =>
        Math.min(g, limit) * sigmoid(alpha * Math.min(g, limit)) * (Math.max(-limit, Math.min(limit, u)) + 1),
    };
    for (const activation of Object.keys(expected) as (keyof typeof expected)[]) {
      const gate = Float32Array.from([...special, ...uniform(30).map((value) => 6 * value)]);
      const up = uniform(gate.length).map((value) => 10 * value);
      const values = Array.from(gate, (value, i) => expected[activation](value, up[i]!));
      core.activate({ activation, gate, up, count: gate.length, limit, alpha });
      for (const [i, value] of values.entries()) {
        if (Number.isNaN(value)) expect(gate[i]).toBeNaN();
        else expect(Math.abs(gate[i]! - value)).toBeLessThanOrEqual(2e-6 * Math.max(1, Math.abs(value)));
      }
    }
  });

  test('calls that do not fit are refused', () => {
    const problem = problemOf('q8_0', 2, 4, 1);
    const refusal = (change: Partial<Problem>) => () => multiply(core, { ...problem, ...change });
    expect(refusal({ depth: 33 })).toThrow('invalid depth: 33; expected a multiple of 32, the block of q8_0');
    expect(refusal({ weights: problem.weights.subarray(1) })).toThrow(
      'invalid weights: 2583 bytes; expected at',
    );
    expect(refusal({ x: problem.x.subarray(1) })).toThrow('invalid x: 1215 elements; expected at least 1216');
    expect(refusal({ paired: 3 })).toThrow('invalid paired: 3; expected 1 or an even divisor of width, 4');
  });
});

describe.runIf(addonIsBuilt)('bf16, which processors with tiles multiply by those', () => {
  const core = addonIsBuilt ? loadNativeCore('native') : cores[0]![1];
  const { kernelLevel: usual, kernelLevels } = core.probe();

  test.each(kernelLevels)('%s: deeper than a stretch, more rows than are laid in tiles at once', (level) => {
    core.useKernels(level);
    try {
      for (const dtype of ['bf16', 'bf16_packed'] as const) {
        const depth = 4096 + 64 * 5;
        const problem: Problem = {
          ...{ ...problemOf(dtype, 71, 18, 1), depth, bias: uniform(18), addend: uniform(71 * 18) },
          ...{ weights: storedMatrix(dtype, 18, depth), x: uniform(71 * depth) },
        };
        const y = multiply(core, problem, 2);
        for (const [i, { value, size }] of exactly(problem).entries())
          expect(Math.abs(y[i]! - value)).toBeLessThanOrEqual(1e-6 * size);
        expectSameRows(core, { ...problem, addend: null });
      }
    } finally {
      core.useKernels(usual);
    }
  });

  test.each(kernelLevels)('%s: the same weights, plain and packed, come to the same bits', (level) => {
    core.useKernels(level);
    try {
      const plain = { ...problemOf('bf16_packed', 37, 50, 1), dtype: 'bf16' } as const;
      const packed = { ...plain, dtype: 'bf16_packed' } as const;
      const bits = Uint32Array.from(decodeWeights(plain.weights, 'bf16_packed'), bitsOfFloat);
      const halves = Uint16Array.from(bits, (each) => each >>> 16);
      const weights = new Uint8Array(halves.buffer);
      expect(multiply(core, { ...plain, weights })).toEqual(multiply(core, packed));
    } finally {
      core.useKernels(usual);
    }
  });

  test.each(kernelLevels)(
    '%s: an FFN at once comes to the bits of its products, or is left to them',
    (level) => {
      core.useKernels(level);
      try {
        for (const [dtype, rows, depth, width] of [
          ['bf16', 1, 40, 83],
          ['bf16', 37, 130, 4200],
          ['bf16_packed', 17, 64, 128],
          ['bf16_packed', 200, 128, 192],
          ['f32', 3, 8, 16],
        ] as const) {
          const plain = (out: number, values: number) => ({
            ...{ dtype, paired: 1, step: 1, weights: storedMatrix(dtype, out, values) },
          });
          const [gate, up, down] = [plain(width, depth), plain(width, depth), plain(depth, width)];
          const x = uniform(rows * depth);
          const y = new Float32Array(rows * depth);
          const isDone = core.feedForward({
            ...{ gate, up, down, x, y, rows, depth, width, threads: 2 },
            ...{ activation: 'silu', limit: 7, alpha: 1.702 },
          });
          expect(isDone, dtype).toBe(level === 'amx' && dtype !== 'f32');
          if (isDone)
            expect(y, `${dtype}, ${rows} rows`).toEqual(fedForward(core, { gate, up, down }, x, rows));
          else expect(y.every((value) => value === 0)).toBe(true);
        }
      } finally {
        core.useKernels(usual);
      }
    },
  );

  test('an FFN that does not fit is refused', () => {
    const weights = { dtype: 'bf16', paired: 1, step: 1, weights: new Uint8Array(2 * 8 * 16) } as const;
    const call = { gate: weights, up: weights, down: weights, rows: 1, depth: 8, width: 16, threads: 1 };
    const [x, y] = [new Float32Array(8), new Float32Array(8)];
    const ask = (change: object) => () =>
      core.feedForward({ ...call, x, y, ...{ activation: 'silu', limit: 7, alpha: 1 }, ...change });
    expect(ask({ width: 17 })).toThrow(
      'invalid weights: 256 bytes; expected at least 272, 17 rows of 8 in bf16',
    );
    expect(ask({ rows: 2 })).toThrow('invalid x: 8 elements; expected at least 16');
    expect(ask({ up: { ...weights, paired: 3 } })).toThrow(
      'invalid paired: 3; expected 1 or an even divisor',
    );
  });

  test.each(kernelLevels)('%s: what is not finite stays so, what is tiny or huge is right', (level) => {
    core.useKernels(level);
    try {
      const x = Float32Array.of(3e38, 1e-30, 1 + 2 ** -23, -0, Number.POSITIVE_INFINITY, Number.NaN);
      const y = new Float32Array(x.length);
      const weights = new Uint8Array(Uint16Array.of(0x3f80).buffer); // 1
      const call = { dtype: 'bf16', weights, paired: 1, step: 1, x, y, rows: x.length, depth: 1 } as const;
      core.multiply({ ...call, width: 1, bias: null, addend: null, threads: 1 });
      expect(y.slice(0, 4)).toEqual(x.slice(0, 4).map((value) => value + 0));
      expect(y.slice(4).some(Number.isFinite)).toBe(false);
    } finally {
      core.useKernels(usual);
    }
  });
});

/** Product by product. */
function fedForward(
  core: NativeCore,
  { gate, up, down }: Record<'gate' | 'up' | 'down', PlainWeights>,
  x: Float32Array,
  rows: number,
): Float32Array {
  const depth = x.length / rows;
  const width = gate.weights.length / codecs[gate.dtype].bytes(depth);
  const product = { rows, bias: null, addend: null, threads: 1 } as const;
  const [gates, ups, y] = [rows * width, rows * width, rows * depth].map((count) => new Float32Array(count));
  core.multiply({ ...product, ...gate, x, y: gates!, depth, width });
  core.multiply({ ...product, ...up, x, y: ups!, depth, width });
  const activated = { gate: gates!, up: ups!, count: rows * width } as const;
  core.activate({ activation: 'silu', ...activated, limit: 7, alpha: 1.702 });
  core.multiply({ ...product, ...down, x: gates!, y: y!, depth: width, width: depth });
  return y!;
}

function bitsOfFloat(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}
