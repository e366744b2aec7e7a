/** Sizes and rates as people write them (`512MB`, `24GiB`, `1.2GB/s`), read by mathjs units. */

import { parseNumber } from '@specoffload/input';
import { UsageError } from '../terminal/errors.js';
import { loadMath } from './math.js';

interface Quantity {
  readonly unit: 'B' | 'B/s';
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

/** @returns whole bytes. @throws UsageError: `invalid --device-memory: 512; expected a size …`. */
export function parseBytes(flag: string, text: string): number {
  return Math.round(parseQuantity(flag, text, size));
}

/** @returns bytes per second. @throws UsageError. */
export function parseBytesPerSecond(flag: string, text: string): number {
  return parseQuantity(flag, text, rate);
}

/** @returns floating-point operations per second, with the prefixes that bytes have. @throws UsageError. */
export function parseFlopsPerSecond(flag: string, text: string): number {
  const number = /FLOP\s*\/\s*s\s*$/.test(text) ? toNumber(text.replace('FLOP', 'B'), 'B/s') : Number.NaN;
  if (!(1e5 <= number && number <= 1e18))
    throw new UsageError(
      `invalid ${flag}: ${text}; expected a rate from 100kFLOP/s to 1EFLOP/s with its unit, such as 300MFLOP/s`,
    );
  return number;
}

/** Bytes of a text that may be a size; null for any other text. */
export function tryParseBytes(text: string): number | null {
  const bytes = toNumber(text, size.unit);
  return Number.isNaN(bytes) ? null : bytes;
}

/** @returns seconds. @throws UsageError: `invalid --max-time: 10; expected a time from 1s to 30days …`. */
export function parseSeconds(flag: string, text: string): number {
  const seconds = toSeconds(text);
  if (!(1 <= seconds && seconds <= 30 * 86_400))
    throw new UsageError(
      `invalid ${flag}: ${text}; expected a time from 1s to 30days with its unit, such as 90s, 10min or 2h`,
    );
  return seconds;
}

/** NaN for anything that is not a number with a unit of time. */
function toSeconds(text: string): number {
  const [number, unit] = splitQuantity(text);
  return /^[A-Za-z]+$/.test(unit) ? convert(number, unit, 's') : Number.NaN;
}

function parseQuantity(flag: string, text: string, quantity: Quantity): number {
  const number = toNumber(text, quantity.unit);
  if (!(quantity.least <= number && number <= quantity.most))
    throw new UsageError(`invalid ${flag}: ${text}; expected ${quantity.expected}`);
  return number;
}

/** NaN for anything that is not a number with a unit of bytes: `512Mb` is megabits, surely a slip. */
function toNumber(text: string, unit: Quantity['unit']): number {
  const [number, written] = splitQuantity(text);
  return /^[A-Za-z]*B(\s*\/\s*s)?$/.test(written) ? convert(number, written, unit) : Number.NaN;
}

/** `1.5e3 MB` as 1500 and `MB`; NaN where there is no number. */
function splitQuantity(text: string): readonly [number: number, unit: string] {
  const [, number = '', unit = ''] = /^\s*([\d.]+(?:e[+-]?\d+)?)\s*(\S.*?)\s*$/i.exec(text) ?? [];
  return [parseNumber(number) ?? Number.NaN, unit];
}

function convert(number: number, from: string, to: string): number {
  if (Number.isNaN(number)) return number;
  try {
    return loadMath().unit(number, from).toNumber(to);
  } catch {
    return Number.NaN; // mathjs does not know the unit, or it measures something else
  }
}
