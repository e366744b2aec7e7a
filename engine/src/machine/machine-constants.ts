/** A constant of a machine file, with its unit and where it comes from, and what can exist. */

import { is, isRecord, parseQuantity, type Schema, type Unit } from '@specoffload/input';
import type { ComputeRates } from './machine-model.js';

/** Nothing that exists is outside these; a rate that is was written in the wrong unit. */
export const rateLimits = {
  overheadSeconds: [0, 10],
  gapSeconds: [0, 10],
  bytesPerSecond: [1e6, 1e14],
  pageableBytesPerSecond: [1e6, 1e14],
  cacheBytesPerSecond: [1e6, 1e14],
  memoryBytesPerSecond: [1e6, 1e15],
  scoreFlopsPerSecond: [1e6, 1e18],
  flopsPerSecond: [1e5, 1e18],
  weightsPerSecond: [1e5, 1e17],
  secondsPerRow: [0, 1],
  secondsPerByte: [0, 1e-6],
  latencySeconds: [0, 10],
  bytes: [1e6, 1e18],
  reservedBytes: [0, 1e18],
  sigma: [0, 3],
  factor: [0.01, 10],
  traffic: [0, 1000],
  watts: [0, 1e5],
  joulesPerByte: [0, 1e-3],
  joulesPerOperation: [0, 1e-6],
  noise: [0, 1],
  hertz: [1e3, 1e12],
  exponent: [1, 4],
} as const;

export type Limited = keyof typeof rateLimits;

/** Its unit in words, as people write it, and an example. */
function unitOf(limited: Limited): readonly [words: string, unit: Unit | null, example: string] {
  if (limited === 'bytes' || limited === 'reservedBytes') return ['bytes', 'B', '24GiB'];
  if (limited === 'sigma') return ['standard deviation of the logarithm', null, ''];
  if (limited === 'weightsPerSecond') return ['weights per second', null, ''];
  if (limited === 'factor') return ['times as long', null, ''];
  if (limited === 'traffic') return ['bytes moved per byte', null, ''];
  if (limited === 'watts') return ['watts', 'W', '450W'];
  if (limited === 'hertz') return ['hertz', 'Hz', '816MHz'];
  if (limited === 'secondsPerByte') return ['seconds per byte', null, ''];
  if (limited === 'joulesPerByte') return ['joules per byte', null, ''];
  if (limited === 'joulesPerOperation') return ['joules per multiplication or addition', null, ''];
  if (limited === 'noise') return ['standard deviation over the size of what is disturbed', null, ''];
  if (limited === 'exponent') return ['power of the frequency', null, ''];
  if (limited.endsWith('Seconds') || limited === 'secondsPerRow') return ['seconds', 's', '20us'];
  return limited === 'flopsPerSecond' || limited === 'scoreFlopsPerSecond'
    ? ['floating-point operations per second', 'FLOP/s', '165TFLOP/s']
    : ['bytes per second', 'B/s', '16GB/s'];
}

function read(limited: Limited, value: unknown): number | undefined {
  const [least, most] = rateLimits[limited];
  const [, unit] = unitOf(limited);
  const number = typeof value === 'string' && unit ? parseQuantity(value, unit) : value;
  return typeof number === 'number' && least <= number && number <= most ? number : undefined;
}

/** A number, a text with its unit, or either as `{"value", "source", "assumed"}`. */
export function constant(limited: Limited): Schema<number> {
  const [minimum, maximum] = rateLimits[limited];
  const [words, unit, example] = unitOf(limited);
  const expected = `a number from ${minimum} to ${maximum} (${words})${unit ? ` or a text such as ${example}` : ''}`;
  const type = unit ? ['number', 'string'] : 'number';
  const number = is.readAs((value) => read(limited, value), expected, {
    ...{ type, minimum, maximum, description: expected },
  });
  return sourced(limited, number);
}

const [leastFlops, mostFlops] = rateLimits.flopsPerSecond;
const flopsShape = { type: ['number', 'string'], minimum: leastFlops, maximum: mostFlops };
const pointShape = { type: 'array', prefixItems: [{ type: 'number' }, flopsShape], minItems: 2, maxItems: 2 };

/** One rate for any number of rows, or pairs of rows and the rate they reach. */
export const arithmetic: Schema<ComputeRates['arithmetic']> = sourced(
  'arithmetic',
  is.readAs(
    readArithmetic,
    `a rate such as 165TFLOP/s, or pairs of ascending rows and floating-point operations per second from ${leastFlops} to ${mostFlops}`,
    { anyOf: [flopsShape, { type: 'array', minItems: 1, items: pointShape }] },
  ),
);

function readArithmetic(value: unknown): ComputeRates['arithmetic'] | undefined {
  if (!Array.isArray(value)) {
    const rate = read('flopsPerSecond', value);
    return rate === undefined ? undefined : [[1, rate]];
  }
  const points: [number, number][] = [];
  for (const point of value as unknown[]) {
    const [rows, written] = Array.isArray(point) && point.length === 2 ? (point as unknown[]) : [];
    const rate = read('flopsPerSecond', written);
    const lastRows = points.at(-1)?.[0] ?? 0;
    if (!(typeof rows === 'number' && rows > lastRows && rate !== undefined)) return undefined;
    points.push([rows, rate]);
  }
  return points.length > 0 ? points : undefined;
}

function sourced<Value>(name: string, plain: Schema<Value>): Schema<Value> {
  const value = is.named(`${name}Value`, plain);
  const withSource = is.into(
    is.onlyFields({ value, source: is.text, assumed: is.orElse(is.flag, false) }),
    (constant) => constant.value as Value,
  );
  const either = is.chosen((input) => (isRecord(input) ? withSource : value), [value, withSource]);
  return is.named(name, either);
}

const points = 'pairs of ascending frequencies and watts, such as [["306MHz", "9W"], ["816MHz", "24W"]]';

/** Pairs of a frequency and what is drawn at it. */
export const wattsByHertz: Schema<readonly (readonly [hertz: number, watts: number])[]> = sourced(
  'wattsByHertz',
  is.readAs(readWattsByHertz, points, { type: 'array', minItems: 2, description: points }),
);

function readWattsByHertz(value: unknown): [number, number][] | undefined {
  if (!Array.isArray(value) || value.length < 2) return undefined;
  const read2 = (value as unknown[]).map((point) =>
    Array.isArray(point) && point.length === 2 ? [read('hertz', point[0]), read('watts', point[1])] : [],
  );
  const isRead = (pair: (number | undefined)[]): pair is [number, number] =>
    pair.length === 2 && pair.every((number) => number !== undefined);
  const pairs = read2.filter(isRead);
  const isAscending = pairs.every(([hertz], index) => index === 0 || hertz > pairs[index - 1][0]);
  return pairs.length === value.length && isAscending ? pairs : undefined;
}
