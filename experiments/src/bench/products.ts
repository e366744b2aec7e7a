/** How fast the processor multiplies weights as stored, beside onnxruntime with the same in fp32, and how fast it decodes them. */

import { largest, type MeasuredProduct, measureProducts, smallest } from '@specoffload/engine';
import { loadNativeCore, type WeightDtype } from '@specoffload/native';
import { formatFlops } from '../terminal/format.js';
import { formatTable } from '../terminal/table.js';
import { type DecodingRate, timeDecoding } from './decoding.js';
import type { BenchOptions } from './main.js';

const dtypes: readonly WeightDtype[] = ['bf16', 'bf16_packed', 'q8_0', 'q4_k', 'mxfp4'];
const rows = [1, 4, 16, 64, 512];

/** From so many rows on, products are bound by arithmetic, and as fast as this share of onnxruntime's. */
const manyRows = 64;
const wantedRatio = 0.9;
const wantedDecoding = { dtypes: ['q4_k', 'mxfp4'], storedBytesPerSecond: 4e9 };

export async function benchProducts({ quick, output, signal }: BenchOptions): Promise<void> {
  const { kernelLevel, allowedCores } = loadNativeCore().probe();
  const sizes = quick ? { depth: 1024, width: 512 } : { depth: 4096, width: 4096 };
  output.note(`bench: products, kernels for ${kernelLevel}`);
  const measured: MeasuredProduct[] = [];
  for (const threads of new Set([1, quick ? 1 : allowedCores.length])) {
    signal.throwIfAborted();
    const products = await measureProducts({ dtypes, rows, ...sizes, threads, seconds: quick ? 0.2 : 4 });
    sayProducts(products, threads, sizes, output);
    measured.push(...products);
  }
  const decoding = timeDecoding(output);
  for (const verdict of verdicts(measured, decoding)) output.say(verdict);
  output.document({ kernelLevel, ...sizes, products: measured, decoding });
}

function sayProducts(
  products: readonly MeasuredProduct[],
  threads: number,
  { depth, width }: { readonly depth: number; readonly width: number },
  output: BenchOptions['output'],
): void {
  output.say(
    `\nproducts of (rows, ${depth}) with (${depth}, ${width}), ${threads} of the cores; times onnxruntime's fp32`,
  );
  const of = (dtype: string, count: number) =>
    products.find((product) => product.dtype === dtype && product.rows === count) as MeasuredProduct;
  output.say(
    formatTable<number>(
      [
        { title: 'rows', text: String },
        {
          title: 'onnxruntime',
          text: (count) => formatFlops(largest(dtypes.map((dtype) => of(dtype, count).fp32FlopsPerSecond))),
        },
        ...dtypes.map((dtype) => ({
          title: dtype,
          text: (count: number) => of(dtype, count).ratio.toFixed(2),
        })),
      ],
      rows,
    ),
  );
}

export function verdicts(products: readonly MeasuredProduct[], decoding: readonly DecodingRate[]): string[] {
  const many = products.filter((product) => product.rows >= manyRows);
  const least = smallest(many.map(({ ratio }) => ratio));
  const rates = decoding.filter(({ dtype }) => wantedDecoding.dtypes.includes(dtype));
  const slowest = smallest(rates.map(({ storedBytesPerSecond }) => storedBytesPerSecond));
  const judge = (reached: number, wanted: number) => (reached >= wanted ? 'reached' : 'not reached');
  return [
    `${judge(least, wantedRatio)}: ${manyRows} rows and more, at least ${least.toFixed(2)} times onnxruntime's fp32, wanted ${wantedRatio}`,
    `${judge(slowest, wantedDecoding.storedBytesPerSecond)}: decoding on one core, at least ${(slowest / 1e9).toFixed(1)} GB/s of ${wantedDecoding.dtypes.join(' and ')}, wanted 4`,
  ];
}
