/** Every kernel against plain arithmetic in double precision, on the first Vulkan device. */

import {
  type AttentionCall,
  activate,
  argmax,
  argmaxScratchBytes,
  attend,
  type Codec,
  clipValues,
  codecs,
  createAttentionTables,
  decodeWeights,
  embed,
  gather,
  type KernelLimits,
  leastLimits,
  loadNativeCore,
  matmul,
  norm,
  plainCodecs,
  type StoredFormat,
  scatterAdd,
  startsFinite,
} from '@specoffload/native';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyNoVulkan } from '../engine/vulkan.js';
import { createRandom, moveBehind, randomWhole, twin } from './helpers.js';
import { KernelRunner } from './kernel-runner.js';

const random = createRandom(1);
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const draw = (count: number) => Float32Array.from({ length: count }, normal);
const whole = (least: number, most: number) => randomWhole(random, least, most);

/** A matrix as stored, and what it stands for. */
interface Drawn {
  readonly format: StoredFormat;
  readonly bytes: Uint8Array;
  readonly values: Float32Array;
}

function drawPlain(format: keyof typeof plainCodecs, count: number): Drawn {
  const bytes = plainCodecs[format].encode(draw(count));
  return { format, bytes, values: decodeWeights(bytes, format) };
}

/** Where blocks have fp16 numbers, which random bytes must not make infinite. */
const halves = {
  ...{ q8_0: [0], q4_0: [0], q4_1: [0, 2], q5_0: [0], q5_1: [0, 2] },
  ...{ q4_k: [0, 2], q5_k: [0, 2], q6_k: [208], mxfp4: [] },
  ...{ fp8: [], int4: [], mxfp4_split: [], int8: [], int8_packed: [], bf16_packed: [] },
} satisfies Partial<Record<StoredFormat, number[]>>;

function drawBlocks(format: keyof typeof halves, count: number): Drawn {
  const codec: Codec = codecs[format];
  const bytes = Uint8Array.from({ length: codec.bytes(count) }, () => whole(0, 255));
  const blockBytes = codec.bytes(codec.blockElements);
  for (let block = 0; block < bytes.length; block += blockBytes) {
    for (const at of halves[format]) bytes[block + at + 1] = 0x80 * whole(0, 1) + whole(0x1c, 0x24); // 2^-8 to 2^-6
    if (format === 'mxfp4') bytes[block] = whole(118, 128);
    // Exceptions anywhere, exponents near those that codes reach.
    if (format === 'bf16_packed') bytes.set([whole(126, 130), 64 * whole(0, 3) + whole(0, 63)], block);
    if (format === 'fp8') bytes[block] = 0x80 * whole(0, 1) + whole(0, 0x7e); // no NaN
  }
  return { format, bytes, values: decodeWeights(bytes, format) };
}

const toBf16 = (value: number) => decodeWeights(plainCodecs.bf16.encode(Float32Array.of(value)), 'bf16')[0]!;

describe.skipIf(whyNoVulkan !== null)(`kernels${whyNoVulkan ? ` (${whyNoVulkan})` : ''}`, () => {
  let runner: KernelRunner;
  beforeAll(async () => {
    runner = await KernelRunner.open();
  });
  afterAll(() => runner.close());

  /** Fewer workgroups along an axis than there are, and what every device has. */
  const limitsOf = (what: 'own' | 'least' | 'few workgroups'): KernelLimits => {
    const { leastSubgroupSize } = runner.limits;
    if (what === 'least') return { ...leastLimits, leastSubgroupSize };
    return what === 'own' ? runner.limits : { ...runner.limits, workgroups: 5 };
  };

  interface Product {
    readonly rows: number;
    readonly depth: number;
    readonly width: number;
    readonly weights: Drawn;
    readonly paired?: number;
    readonly isAligned?: boolean;
    readonly extras?: boolean;
    readonly limits?: Parameters<typeof limitsOf>[0];
    readonly roundsInputs?: boolean;
  }

  async function checkProduct(product: Product) {
    const {
      rows,
      depth,
      width,
      weights,
      paired = 1,
      isAligned = true,
      extras = false,
      limits = 'own',
      roundsInputs = false,
    } = product;
    const taken = (value: number) => (roundsInputs ? toBf16(value) : value);
    const x = draw(rows * depth);
    const bias = drawPlain('bf16', width);
    const addend = draw(rows * width);
    const y = runner.output(rows * width * 4);
    const dispatch = matmul(
      {
        ...{ rows, depth, width, isAligned, roundsInputs, x: runner.input(x), y: y.address },
        weights: {
          ...{ address: runner.input(weights.bytes), format: weights.format, paired },
          rowBytes: codecs[weights.format].bytes(depth),
        },
        bias: extras ? { address: runner.input(bias.bytes), format: bias.format } : undefined,
        addend: extras ? runner.input(addend) : undefined,
      },
      limitsOf(limits),
    );
    await runner.run(dispatch);
    const found = y.floats();
    const step = Math.ceil((rows * width) / 100_000); // of many, a sample
    for (let row = 0; row < rows; row += 1)
      for (let output = row % step; output < width; output += step) {
        const within = output % paired;
        const stored =
          paired === 1
            ? output
            : output - within + 2 * (within % (paired / 2)) + Number(within >= paired / 2);
        let [sum, size] = extras ? [bias.values[output]! + addend[row * width + output]!, 1] : [0, 1e-3];
        for (let k = 0; k < depth; k += 1) {
          const weight = weights.values[stored * depth + k]!;
          const term = taken(x[row * depth + k]!) * taken(weight);
          sum += term;
          size += Math.abs(term);
        }
        const error = Math.abs(found[row * width + output]! - sum) / size;
        if (!(error < 1e-6))
          expect.fail(`${dispatch.kernel} ${dispatch.constants}: ${row}, ${output}: ${error}`);
      }
  }

  test.each([
    [1, 64, 520, 'bf16', {}],
    [2, 7, 3, 'f16', {}],
    [3, 1000, 65, 'bf16', { extras: true }],
    [5, 24, 2049, 'f32', { limits: 'few workgroups' }],
    [16, 264, 130, 'f16', { extras: true, limits: 'least' }],
    [3, 40, 33, 'f32', { roundsInputs: true }],
    [18, 21, 9, 'f16', { roundsInputs: true }],
    [17, 40, 65, 'bf16', { extras: true }],
    [40, 33, 129, 'f32', { limits: 'least' }],
    [129, 8, 32_800, 'bf16', { limits: 'few workgroups' }], // in the largest tiles
  ] as const)('matmul of %i rows, %i x %i, %s, %o', (rows, depth, width, format, options) =>
    checkProduct({ rows, depth, width, weights: drawPlain(format, width * depth), ...options }),
  );

  test.each(
    (Object.keys(halves) as (keyof typeof halves)[]).filter((format) => !('scales' in codecs[format])),
  )('matmul of %s', async (format) => {
    const [depth, width] = [2 * codecs[format].blockElements, 16];
    const weights = drawBlocks(format, depth * width);
    await checkProduct({ rows: 3, depth, width, weights, paired: 8 });
    // What reads them is the same everywhere.
    if (format === 'q4_k') await checkProduct({ rows: 18, depth, width, weights });
    if (format === 'q6_k') await checkProduct({ rows: 1, depth, width, weights, isAligned: false });
  });

  test('packed weights are those of bf16 to the bit, in every kernel', async () => {
    const [depth, width] = [192, 24];
    const values = draw(depth * width).map((value, i) =>
      i % 64 === 7 ? 2 ** -(i % 30) * value : i % 41 === 0 ? 0 : value,
    );
    const plain = plainCodecs.bf16.encode(values);
    const packed = new Uint8Array(codecs.bf16_packed.bytes(values.length));
    expect(loadNativeCore().packBf16(plain, packed)).toBe(true);
    for (const rows of [1, 18]) {
      const inputs = draw(rows * depth);
      const found: Float32Array[] = [];
      for (const [format, bytes] of [
        ['bf16', plain],
        ['bf16_packed', packed],
      ] as const) {
        const [x, y] = [runner.input(inputs), runner.output(rows * width * 4)];
        const weights = { address: runner.input(bytes), format, rowBytes: codecs[format].bytes(depth) };
        await runner.run(
          matmul({ x, y: y.address, rows, depth, width, weights, isAligned: true }, runner.limits),
        );
        found.push(y.floats());
      }
      expect(found[1]).toEqual(found[0]);
    }
  });

  test('whatever bytes are packed, what comes out is what the processor makes of them', async () => {
    const [numBlocks, format] = [64, 'bf16_packed' as const];
    const bytes = Uint8Array.from({ length: 100 * numBlocks }, () => whole(0, 255));
    const target = runner.output(4 * 64 * numBlocks);
    const table = { address: runner.input(bytes), format, rowBytes: 100 };
    const ids = runner.input(Int32Array.from({ length: numBlocks }, (_, i) => i));
    await runner.run(
      embed({ table, ids, target: target.address, rows: numBlocks, width: 64, scale: 1 }, runner.limits),
    );
    const leastNormal = 2 ** -126; // what is smaller a device may take for 0
    const expected = decodeWeights(bytes, format).map((value) => (Math.abs(value) < leastNormal ? 0 : value));
    expect(target.floats().map((value) => (Math.abs(value) < leastNormal ? 0 : value))).toEqual(expected);
  });

  test('a row of few has the same bits whatever other rows there are', async () => {
    const [depth, width] = [512, 40];
    const weights = drawPlain('bf16', depth * width);
    const x = draw(16 * depth);
    const results: Float32Array[] = [];
    for (const rows of [1, 3, 16]) {
      const y = runner.output(rows * width * 4);
      const operands = { x: runner.input(x), y: y.address, rows, depth, width, isAligned: true };
      const address = runner.input(weights.bytes);
      await runner.run(
        matmul({ ...operands, weights: { address, format: 'bf16', rowBytes: 2 * depth } }, runner.limits),
      );
      results.push(y.floats().subarray(0, width));
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  test.each([
    [1, 1, 0, false],
    [7, 300, 1, true],
    [40, 64, 0, true],
    [3, 4096, 1, false],
  ] as const)(
    'norm of %i rows of %i, offset %i, in place or added to: %s',
    async (rows, width, offset, isAdded) => {
      const [x, addend, weight] = [draw(rows * width), draw(rows * width), drawPlain('bf16', width)];
      const y = runner.output(isAdded ? rows * width * 4 : x);
      await runner.run(
        norm(
          {
            ...{ x: isAdded ? runner.input(x) : y.address, y: y.address, rows, width, offset, eps: 1e-6 },
            weight: { address: runner.input(weight.bytes), format: 'bf16' },
            addend: isAdded ? runner.input(addend) : undefined,
          },
          runner.limits,
        ),
      );
      const wanted = x.map((value, i) => {
        const row = x.subarray(i - (i % width), i - (i % width) + width);
        const scale = 1 / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / width + 1e-6);
        return value * scale * (offset + weight.values[i % width]!) + (isAdded ? addend[i]! : 0);
      });
      expect(largestDifference(y.floats(), wanted)).toBeLessThan(1e-5);
    },
  );

  const prompts = [
    [0, 40],
    [0, 1],
    [0, 17],
  ];
  const single = [
    [33, 1],
    [0, 1],
    [70, 1],
  ];
  const candidates = [
    [33, 4],
    [20, 0],
    [64, 5],
  ];

  test.each([
    ['prompts', prompts, { numHeads: 4, numKvHeads: 2, headDim: 64, slidingWindow: 0, hasSinks: false }],
    ['single tokens', single, { numHeads: 7, numKvHeads: 1, headDim: 128, slidingWindow: 5, hasSinks: true }],
    [
      'candidates',
      candidates,
      { numHeads: 6, numKvHeads: 3, headDim: 10, slidingWindow: 1, hasSinks: false },
    ],
    ['prompts', prompts, { numHeads: 3, numKvHeads: 3, headDim: 80, slidingWindow: 9, hasSinks: true }],
    [
      'candidates',
      candidates,
      { numHeads: 8, numKvHeads: 2, headDim: 256, slidingWindow: 0, hasSinks: false },
    ],
    [
      'long contexts in parts',
      [
        [700, 1],
        [300, 5],
        [513, 0],
        [10, 2],
        [900, 1],
      ],
      { numHeads: 8, numKvHeads: 2, headDim: 10, slidingWindow: 0, hasSinks: true },
    ],
    [
      'long contexts in parts, of a window',
      [
        [700, 2],
        [0, 20],
        [400, 1],
      ],
      { numHeads: 4, numKvHeads: 2, headDim: 64, slidingWindow: 300, hasSinks: true },
    ],
    [
      'shared, in parts, no window',
      [
        [600, 1],
        [31, 2],
        [900, 1],
      ],
      { numHeads: 8, numKvHeads: 2, headDim: 64, slidingWindow: 0, hasSinks: false },
    ],
  ] as const)('attention: %s, %o', async (what, lengths, { hasSinks, ...heads }) => {
    const { numHeads, numKvHeads, headDim, slidingWindow } = heads;
    // Little: rows in groups, larger parts.
    const scratchBytes = what.endsWith('parts') ? 4000 : what.endsWith('window') ? 26_000 : 0;
    const scale = 0.2;
    const sequences: number[] = [];
    let elements = 3; // not aligned, on purpose
    for (const [numPast = 0, numNew = 0] of lengths) {
      const capacity = numPast + numNew + whole(0, 3);
      const block = numKvHeads * capacity * headDim;
      sequences.push(elements, elements + block, capacity, numPast, numNew);
      elements += 2 * block + 1;
    }
    const rows = lengths.reduce((sum, [, numNew = 0]) => sum + numNew, 0);
    const angles = Array.from(
      { length: (910 * headDim) / 2 },
      (_, i) => Math.floor((2 * i) / headDim) * 10000 ** (-(i % (headDim / 2)) / (headDim / 2)),
    );
    const uncut: AttentionCall = {
      ...{ q: draw(rows * numHeads * headDim), k: draw(rows * numKvHeads * headDim) },
      ...{ v: draw(rows * numKvHeads * headDim), out: new Float32Array(rows * numHeads * headDim) },
      ...{ cache: draw(elements), sequences: Float64Array.from(sequences), threads: 1 },
      ...{ ropeCos: Float32Array.from(angles, Math.cos), ropeSin: Float32Array.from(angles, Math.sin) },
      ...{ sinks: hasSinks ? draw(numHeads) : null, shape: { ...heads, scale } },
    };
    // Most of a context lies in another's block.
    const call = what.startsWith('shared')
      ? moveBehind(
          uncut,
          lengths.map(([numPast = 0]) => Math.floor(0.9 * numPast)),
        )
      : uncut;
    const limits = { window: slidingWindow || null, scratchBytes };
    const tables = createAttentionTables(call.sequences, heads, limits, call.shared ?? null);
    expect(tables.groups.some(({ mostParts }) => mostParts > 1)).toBe(scratchBytes > 0);
    if (what.endsWith('parts')) expect(tables.groups.length).toBeGreaterThan(1);
    const [cache, out] = [runner.output(call.cache), runner.output(call.out.byteLength)];
    await runner.run(
      ...attend(
        {
          ...{
            ...heads,
            scale,
            window: slidingWindow || null,
            tables,
            cache: cache.address,
            out: out.address,
          },
          ...{ q: runner.input(call.q), k: runner.input(call.k), v: runner.input(call.v) },
          ...{ ropeCos: runner.input(call.ropeCos), ropeSin: runner.input(call.ropeSin) },
          ...{ places: runner.input(tables.places), runs: runner.input(tables.runs) },
          shared: tables.shared ? runner.input(tables.shared) : undefined,
          scratch: runner.output(scratchBytes || 4).address,
          sinks: call.sinks ? { address: runner.input(call.sinks), format: 'f32' } : undefined,
        },
        limitsOf(headDim === 80 ? 'least' : 'own'),
      ),
    );
    twin.attend(call);
    expect(largestDifference(out.floats(), call.out)).toBeLessThan(5e-6);
    expect(largestDifference(cache.floats(), call.cache)).toBeLessThan(2e-6);
  });

  test.each([
    ['silu', (g: number, u: number) => (g / (1 + Math.exp(-g))) * u],
    [
      'gelu-tanh',
      (g: number, u: number) =>
        0.5 * g * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3))) * u,
    ],
    [
      'clamped-swiglu',
      (g: number, u: number) => {
        const [gate, up] = [Math.min(g, 7), Math.max(-7, Math.min(u, 7))];
        return (gate / (1 + Math.exp(-1.702 * gate))) * (up + 1);
      },
    ],
  ] as const)('activation %s', async (activation, plain) => {
    const [gate, up] = [draw(777).map((v) => 5 * v), draw(777).map((v) => 5 * v)];
    const out = runner.output(gate.byteLength);
    const operands = { gate: runner.input(gate), up: runner.input(up), out: out.address, count: gate.length };
    await runner.run(activate({ ...operands, activation }, limitsOf('few workgroups')));
    const wanted = gate.map((g, i) => plain(g, up[i]!));
    expect(largestDifference(out.floats(), wanted)).toBeLessThan(2e-5);
  });

  test('clipping', async () => {
    const values = draw(777).map((v) => 3 * v);
    values.set([Number.NaN, Number.POSITIVE_INFINITY, -9]);
    const out = runner.output(values);
    await runner.run(clipValues({ values: out.address, count: 776, clip: 1.5 }, limitsOf('few workgroups')));
    const wanted = values.map((v, i) => (i === 776 ? v : Math.max(-1.5, Math.min(1.5, v))));
    expect(out.floats()).toEqual(wanted);
  });

  test('embedding, gather and scatter', async () => {
    const [width, rows] = [70, 9];
    const table = drawPlain('bf16', 20 * width);
    const ids = Int32Array.from({ length: rows }, () => whole(0, 19));
    const scales = draw(rows);
    const target = draw(20 * width);
    const [embedded, gathered] = [runner.output(rows * width * 4), runner.output(rows * width * 4)];
    const [repeated, distinct] = [runner.output(target), runner.output(target)];
    const indices = runner.input(ids);
    const own = runner.input(Int32Array.from(ids, (_, row) => 2 * row));
    const size = { rows, width };
    const matrix = { address: runner.input(table.bytes), format: 'bf16', rowBytes: 2 * width } as const;
    const source = runner.input(table.values);
    const scaleAt = runner.input(scales);
    await runner.run(
      embed({ ...size, table: matrix, ids: indices, target: embedded.address, scale: 3 }, runner.limits),
      gather({ ...size, source, indices, target: gathered.address }, runner.limits),
      ...[
        { indices, target: repeated.address, areDistinct: false },
        { indices: own, target: distinct.address, areDistinct: true },
      ].map((operands) => scatterAdd({ ...size, ...operands, source, scales: scaleAt }, runner.limits)),
    );
    const at = (i: number) => table.values[ids[Math.floor(i / width)]! * width + (i % width)]!;
    expect(embedded.floats()).toEqual(Float32Array.from({ length: rows * width }, (_, i) => 3 * at(i)));
    expect(gathered.floats()).toEqual(Float32Array.from({ length: rows * width }, (_, i) => at(i)));
    const [repeatedly, once] = [Float64Array.from(target), Float64Array.from(target)];
    for (let i = 0; i < rows * width; i += 1) {
      const [row, column] = [Math.floor(i / width), i % width];
      const value = scales[row]! * table.values[i]!;
      repeatedly[ids[row]! * width + column]! += value;
      once[2 * row * width + column]! += value;
    }
    expect(largestDifference(repeated.floats(), repeatedly)).toBeLessThan(2e-6);
    expect(largestDifference(distinct.floats(), once)).toBeLessThan(2e-6);
  });

  test.each([
    [3, 1],
    [4, 100],
    [2, 20_000], // in parts
  ])('argmax of %i rows of %i, and whether they start finite', async (rows, width) => {
    const values = draw(rows * width).map((value) => Math.round(10 * value) / 10); // with equals
    const odd = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY][rows % 3]!;
    values[(rows - 1) * width] = odd;
    const [target, starts] = [runner.output(8 * rows), runner.output(4)];
    const [allStart, startsOdd] = [runner.input(values), starts.address];
    const scratch = runner.output(argmaxScratchBytes(rows, width) || 4).address;
    const without = runner.output(4);
    await runner.run(
      ...argmax({ source: allStart, target: target.address, scratch, rows, width }, runner.limits),
      startsFinite({ source: allStart, target: startsOdd, rows, width }),
      startsFinite({ source: allStart, target: without.address, rows: rows - 1, width }),
    );
    expect([new Uint32Array(starts.bytes())[0], new Uint32Array(without.bytes())[0]]).toEqual([0, 1]);
    const [ids, margins] = [new Uint32Array(target.bytes()), target.floats()];
    expect(margins[2 * rows - 1]).toBeNaN();
    for (let row = 0; row < rows - 1; row += 1) {
      const [best, second] = [...values.subarray(row * width, (row + 1) * width).entries()]
        .sort(([i, a], [j, b]) => b - a || i - j)
        .concat([[width, Number.NEGATIVE_INFINITY]]);
      expect([ids[2 * row], margins[2 * row + 1]]).toEqual([best![0], Math.fround(best![1] - second![1])]);
    }
  });
});

function largestDifference(found: Float32Array, wanted: ArrayLike<number>): number {
  expect(found.length).toBe(wanted.length);
  return found.reduce((most, value, i) => {
    const difference = Math.abs(value - wanted[i]!);
    return difference > most || Number.isNaN(difference) ? difference : most;
  }, 0);
}
