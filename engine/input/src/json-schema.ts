/** What our schemas let through, in JSON Schema (draft 2020-12), for editors and other programs. */

import type { JsonRecord } from './json.js';
import type { Schema } from './schema.js';
import { entriesKey, factsKey, type Noted, nameKey, shapeKey } from './schema-facts.js';

interface Walked extends Noted {
  /** valibot's own words for it. */
  readonly type: string;
  readonly default?: unknown;
}

type Walk = (schema: Schema) => JsonRecord;

/** Named schemas come under `$defs`; tests that JSON Schema has no word for are left out. */
export function toJsonSchema(schema: Schema): JsonRecord {
  const $defs: Record<string, JsonRecord> = {};
  const walk: Walk = (part) => {
    const { [nameKey]: name, [factsKey]: facts } = part as Walked;
    const about = facts?.meaning ? { description: facts.meaning } : {};
    if (name === undefined) return { ...shapeOf(part as Walked, walk), ...about };
    if (!Object.hasOwn($defs, name)) {
      $defs[name] = {}; // one that holds itself ends here
      $defs[name] = shapeOf(part as Walked, walk);
    }
    return { $ref: `#/$defs/${name}`, ...about };
  };
  return { ...walk(schema), $defs };
}

function shapeOf(schema: Walked, walk: Walk): JsonRecord {
  const { [shapeKey]: shape = {}, [entriesKey]: entries, type, wrapped } = schema;
  if (type === 'nullable') return { anyOf: [walk(wrapped!), { type: 'null' }] };
  if (wrapped) return { ...walk(wrapped), ...(schema.default !== undefined && { default: schema.default }) };
  if (!entries) return typeof shape === 'function' ? shape(walk) : shape;
  const fields = Object.entries(entries);
  return {
    type: 'object',
    ...(type === 'strict_object' && { additionalProperties: false }),
    required: fields.filter(([, field]) => (field as Walked).type !== 'optional').map(([name]) => name),
    properties: Object.fromEntries(fields.map(([name, field]) => [name, walk(field)])),
  };
}
