/** What is written on a schema beside what it checks: the meaning of fields, for tables and pages. */

import type { JsonRecord } from './json.js';
import type { Schema } from './schema.js';

/** Where an object's schema keeps those of its fields. */
export const entriesKey = Symbol('entries');
export const factsKey = Symbol('facts');
export const nameKey = Symbol('name');
export const shapeKey = Symbol('shape');

/** What people are told of a field, and tables need to know. */
export interface Facts {
  readonly meaning: string;
  /** Empty for names, counts and flags. */
  readonly unit: string;
  /** The schema that was described. */
  readonly schema: Schema;
}

/** The same schema with what it means written on it. */
export function described<Of extends Schema>(schema: Of, unit: string, meaning: string): Of {
  const facts: Facts = { meaning, unit, schema };
  return { ...schema, [factsKey]: facts };
}

/** What {@link described} wrote on the field at a path. */
export function factsAt(schema: Schema, path: readonly string[]): Facts | undefined {
  const { [entriesKey]: entries, [factsKey]: facts, wrapped } = schema as Noted;
  const within = path.length === 0 ? undefined : entries?.[path[0]];
  if (path.length === 0 && facts) return facts;
  if (within) return factsAt(within, path.slice(1));
  return wrapped && factsAt(wrapped, path);
}

/** The same schema, written down once under this name where it is described to other programs. */
export function named<Of extends Schema>(name: string, schema: Of): Of {
  return { ...schema, [nameKey]: name };
}

/** JSON Schema of a schema; `walk` makes that of another. */
export type Shape = JsonRecord | ((walk: (schema: Schema) => JsonRecord) => JsonRecord);

/** The same schema with how JSON Schema says it. */
export function shaped<Of extends object>(schema: Of, shape: Shape): Of {
  return { ...schema, [shapeKey]: shape };
}

export interface Noted {
  readonly [nameKey]?: string;
  readonly [shapeKey]?: Shape;
  readonly [entriesKey]?: Readonly<Record<string, Schema>>;
  readonly [factsKey]?: Facts;
  /** Of one that may be null or missing. */
  readonly wrapped?: Schema;
}
