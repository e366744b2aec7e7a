/** One spelling for equal values, and digests of it: keys sorted, no spaces. */

import { createHash } from 'node:crypto';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** @throws RangeError for a number that JSON cannot hold. */
export function canonicalJson(value: Json): string {
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new RangeError(`invalid number: ${value}; expected a finite one`);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`);
  return `{${fields.join(',')}}`;
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}

/** sha256 of the canonical JSON, hex. */
export function digestOf(value: Json): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

const known = new WeakMap<object, WeakMap<object, string>>();

const asItIs = (value: object) => value;

/**
 * Of an object that does not change, computed once; a number without limit, which JSON cannot say, is `Infinity`.
 * @param spell what is digested of it
 */
export function digestOnce<Value extends object>(
  value: Value,
  spell: (value: Value) => object = asItIs,
): string {
  const bySpelling = known.get(value) ?? new WeakMap<object, string>();
  known.set(value, bySpelling);
  const digest =
    bySpelling.get(spell) ??
    digestOf(
      JSON.parse(
        JSON.stringify(spell(value), (_, item) => (item === Number.POSITIVE_INFINITY ? 'Infinity' : item)),
      ) as Json,
    );
  bySpelling.set(spell, digest);
  return digest;
}
