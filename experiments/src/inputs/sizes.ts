/** Sizes, rates and times as people write them (`512MB`, `24GiB`, `1.2GB/s`, `10min`), within what flags accept. */

import { parseQuantity, type Unit } from '@specoffload/input';
import { UsageError } from '../terminal/errors.js';

interface Quantity {
  readonly unit: Unit;
  readonly least: number;
  readonly most: number;
  /** The limits in words, and an example. */
  readonly expected: string;
}

// A page is the least that a pool can hold; beyond the upper limits a slip of the unit is likelier than the wish.
const size: Quantity = {
  unit: 'B',
  least: 4096,
  most: 2 ** 46,
  expected: 'a size from 4KiB to 64TiB with its unit, such as 512MB or 24GiB',
};
const rate: Quantity = {
  unit: 'B/s',
  least: 1000,
  most: 1e13,
  expected: 'a rate from 1kB/s to 10TB/s with its unit, such as 1.2GB/s',
};

const flops: Quantity = {
  unit: 'FLOP/s',
  least: 1e5,
  most: 1e18,
  expected: 'a rate from 100kFLOP/s to 1EFLOP/s with its unit, such as 300MFLOP/s',
};
const time: Quantity = {
  unit: 's',
  least: 1,
  most: 30 * 86_400,
  expected: 'a time from 1s to 30days with its unit, such as 90s, 10min or 2h',
};

/** @returns whole bytes. @throws UsageError: `invalid --device-memory: 512; expected a size …`. */
export function parseBytes(flag: string, text: string): number {
  return Math.round(parseWithin(flag, text, size));
}

/** @returns bytes per second. @throws UsageError. */
export function parseBytesPerSecond(flag: string, text: string): number {
  return parseWithin(flag, text, rate);
}

/** @returns floating-point operations per second, with the prefixes that bytes have. @throws UsageError. */
export function parseFlopsPerSecond(flag: string, text: string): number {
  return parseWithin(flag, text, flops);
}

/** The reader of a rate by its unit. */
export const parseRate = { 'B/s': parseBytesPerSecond, 'FLOP/s': parseFlopsPerSecond };

/** Bytes of a text that may be a size; null for any other text. */
export function tryParseBytes(text: string): number | null {
  return parseQuantity(text, 'B');
}

/** @returns seconds. @throws UsageError: `invalid --max-time: 10; expected a time from 1s to 30days …`. */
export function parseSeconds(flag: string, text: string): number {
  return parseWithin(flag, text, time);
}

function parseWithin(flag: string, text: string, { unit, least, most, expected }: Quantity): number {
  const number = parseQuantity(text, unit) ?? Number.NaN;
  if (!(least <= number && number <= most))
    throw new UsageError(`invalid ${flag}: ${text}; expected ${expected}`);
  return number;
}
