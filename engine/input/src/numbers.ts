/** The one way of a stranger's text to a number. */

const decimal = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/**
 * A decimal number as people and JSON write it: `12`, `-0.5`, `.5`, `1e-7`.
 * @returns null for any other text, and for a number that would become another one: beyond what 64 bits hold
 * (`1e999`, `1e-999`), or a whole number that would be rounded (`12345678901234567890`).
 */
export function parseNumber(text: string): number | null {
  if (!decimal.test(text)) return null;
  const number = Number(text);
  if (!Number.isFinite(number)) return null;
  const isWhole = /^[+-]?\d+$/.test(text);
  const isKept = isWhole ? isExact(text, number) : number !== 0 || !/[1-9]/.test(text.split(/e/i)[0]);
  return isKept ? number : null;
}

function isExact(whole: string, number: number): boolean {
  return Number.isSafeInteger(number) || BigInt(whole.replace('+', '')) === BigInt(number);
}

/**
 * Whether JSON holds a number that would become another one when it is read.
 * @returns that number as it is written, or null
 */
export function findRoundedNumber(json: string): string | null {
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g))
    if (!token.startsWith('"') && parseNumber(token) === null) return token;
  return null;
}
