/** Numbers with their unit, as people write them: `24GiB`, `1.2 GB/s`, `165TFLOP/s`, `20us`. */

import { parseNumber } from './numbers.js';

/** Bytes, bytes per second, floating-point operations per second, seconds, watts, hertz. */
export type Unit = 'B' | 'B/s' | 'FLOP/s' | 's' | 'W' | 'Hz';

/** Powers of ten. */
const decimal: Readonly<Record<string, number>> = { '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
/** Powers of two. */
const binary: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
/** Powers of ten, of seconds. */
const fractions: Readonly<Record<string, number>> = { s: 0, ms: -3, us: -6, ns: -9 };
const seconds: Readonly<Record<string, number>> = {
  ...{ sec: 1, second: 1, seconds: 1, min: 60, minute: 60, minutes: 60, h: 3600, hour: 3600, hours: 3600 },
  ...{ day: 86_400, days: 86_400 },
};

/** @returns the number in that unit, as near as 64 bits come; null for any other text: `512Mb` is megabits, surely a slip */
export function parseQuantity(text: string, unit: Unit): number | null {
  const [, number = '', written = ''] = /^\s*([\d.]+(?:e[+-]?\d+)?)\s*(\S.*?)\s*$/i.exec(text) ?? [];
  if (parseNumber(number) === null) return null;
  if (unit === 's') return toSeconds(number, written);
  const bare = written.replace(/\s*\/\s*/, '/');
  if (!bare.endsWith(unit)) return null;
  const prefix = bare.slice(0, -unit.length);
  if (Object.hasOwn(decimal, prefix)) return shift(number, decimal[prefix]);
  return Object.hasOwn(binary, prefix) ? Number(number) * 2 ** binary[prefix] : null;
}

function toSeconds(number: string, written: string): number | null {
  if (Object.hasOwn(fractions, written)) return shift(number, fractions[written]);
  return Object.hasOwn(seconds, written) ? Number(number) * seconds[written] : null;
}

/** Times a power of ten, by its digits: 4.35 times a billion would be off by its rounding. */
function shift(number: string, exponent: number): number {
  const [digits, written = '0'] = number.toLowerCase().split('e');
  return Number(`${digits}e${Number(written) + exponent}`);
}
