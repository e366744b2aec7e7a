/** Models that can be predicted by name. */

import { modelCatalog } from './catalog-entries.js';
import type { CatalogEntry } from './catalog-entry.js';
import { parseModelSpec } from './config.js';
import { describeModel, type ModelDescription } from './describe.js';
import type { ModelSpec } from './spec.js';
import type { Checkpoint } from './types.js';

export type { CatalogEntry };
export { modelCatalog };

/** @param name one of the catalogue */
export function catalogSpec(name: string): ModelSpec {
  return parseModelSpec(entryOf(name).config, name);
}

/** @param name one of the catalogue */
export function describeCatalogModel(
  name: string,
  unit?: ModelDescription['unit'],
  format?: ModelDescription['format'],
): Checkpoint {
  return describeModel({ name, spec: catalogSpec(name), unit, format, digest: entryOf(name).digest });
}

function entryOf(name: string): CatalogEntry {
  const entry = Object.hasOwn(modelCatalog, name) ? modelCatalog[name] : undefined;
  if (!entry) throw new RangeError(`${name} is not in the catalogue`);
  return entry;
}
