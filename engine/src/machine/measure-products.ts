/** The processor's products with weights as stored beside onnxruntime's with the same in fp32, by turns. */

import { codecs, f32, loadNativeCore, type WeightDtype } from '@specoffload/native';
import { largest, smallest } from '../extremes.js';
import { CpuProducts } from './cpu-products.js';
import { sampleWeights } from './measure-decoding.js';
import { productOf } from './measure-device.js';
import { PoolLayout, PoolMemory } from './pool.js';

export interface ProductSizes {
  readonly dtypes: readonly WeightDtype[];
  readonly rows: readonly number[];
  readonly depth: number;
  readonly width: number;
  /** Of one product. */
  readonly threads: number;
  /** That are spent on each number of rows, about; each at least three times. */
  readonly seconds: number;
}

export interface MeasuredProduct {
  readonly dtype: WeightDtype;
  readonly rows: number;
  readonly flopsPerSecond: number;
  /** Of onnxruntime in fp32. */
  readonly fp32FlopsPerSecond: number;
  /** The median of what two products one after the other came to: other programs slow both. */
  readonly ratio: number;
}

export async function measureProducts(sizes: ProductSizes): Promise<MeasuredProduct[]> {
  const { dtypes, rows, depth, width, threads } = sizes;
  const core = loadNativeCore();
  const layout = new PoolLayout('device');
  const mostRows = largest(rows);
  const place = (byteLength: number) => layout.place('products', byteLength).byteOffset;
  const [x, out, norm] = [
    place(f32.bytes(mostRows * depth)),
    place(f32.bytes(mostRows * width)),
    place(f32.bytes(depth)),
  ];
  const all = [...new Set<WeightDtype>(['f32', ...dtypes])];
  const weights = new Map(all.map((dtype) => [dtype, place(codecs[dtype].bytes(depth * width))]));
  const memory = PoolMemory.create(core, layout);
  const models = { target: productOf(width, depth), draft: null };
  const products = new CpuProducts({ core, memory, models, threads });
  try {
    fill(memory, {
      floats: [
        [x, mostRows * depth],
        [norm, depth],
      ],
      weights,
      count: depth * width,
    });
    const secondsOf = async (dtype: WeightDtype, numRows: number) => {
      const head = { address: weights.get(dtype) as number, dtype };
      const start = performance.now();
      await products.run({
        ...{ kind: 'logits', model: 'target', x, rows: numRows, out },
        weights: { finalNorm: { address: norm, dtype: 'f32' }, head },
      });
      return (performance.now() - start) / 1000;
    };
    const measured: MeasuredProduct[] = [];
    for (const numRows of rows)
      for (const dtype of dtypes) measured.push(await compare(dtype, numRows, sizes, secondsOf));
    return measured;
  } finally {
    await products.close();
    memory.release();
  }
}

/**
 * Weights that a core unpacks per second before it multiplies them: what a product takes longer than with bf16, all of it
 * out of memory. Undefined where it takes no longer.
 */
export async function measureUnpacking(): Promise<number | undefined> {
  const [depth, width, rows] = [2048, 2048, 4];
  const dtypes = ['bf16', 'bf16_packed'] as const;
  const [plain, packed] = await measureProducts({
    dtypes,
    rows: [rows],
    depth,
    width,
    threads: 1,
    seconds: 0.3,
  });
  const secondsPerWeight = 2 * rows * (1 / packed.flopsPerSecond - 1 / plain.flopsPerSecond);
  return secondsPerWeight > 0 ? 1 / secondsPerWeight : undefined;
}

async function compare(
  dtype: WeightDtype,
  rows: number,
  { depth, width, seconds, dtypes }: ProductSizes,
  secondsOf: (dtype: WeightDtype, rows: number) => Promise<number>,
): Promise<MeasuredProduct> {
  const rounds: { stored: number; fp32: number }[] = [];
  let spent = 0;
  await secondsOf('f32', rows);
  await secondsOf(dtype, rows);
  while (rounds.length < 3 || spent < seconds / dtypes.length) {
    const round = { stored: await secondsOf(dtype, rows), fp32: await secondsOf('f32', rows) };
    spent += round.stored + round.fp32;
    rounds.push(round);
  }
  const flops = 2 * rows * depth * width;
  const ratios = rounds.map(({ stored, fp32 }) => fp32 / stored).sort((a, b) => a - b);
  return {
    ...{ dtype, rows, ratio: ratios[ratios.length >> 1] },
    flopsPerSecond: flops / smallest(rounds.map(({ stored }) => stored)),
    fp32FlopsPerSecond: flops / smallest(rounds.map(({ fp32 }) => fp32)),
  };
}

/** With numbers, but no particular ones: zeros and numbers too small for fp32's usual form may take another time. */
function fill(
  memory: PoolMemory,
  places: {
    readonly floats: readonly (readonly [address: number, count: number])[];
    readonly weights: ReadonlyMap<WeightDtype, number>;
    readonly count: number;
  },
): void {
  const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i));
  for (const [address, count] of places.floats) memory.floats(address, count).set(values(count));
  for (const [dtype, address] of places.weights) {
    if (dtype === 'f32') memory.floats(address, places.count).fill(0.5);
    else {
      const bytes = memory.bytes(address, codecs[dtype].bytes(places.count));
      bytes.set(sampleWeights(dtype, bytes.length));
    }
  }
}
