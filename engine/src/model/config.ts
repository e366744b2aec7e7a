/** config.json of the families in `families/`, parsed at the door into a `ModelSpec`. */

import { check, is, quote } from '@specoffload/input';
import { ConfigValues, redownload, warnOfCheckpoint } from './config-values.js';
import type { Family } from './families/family.js';
import { families } from './families/index.js';
import type { ModelSpec } from './spec.js';

/**
 * Parses what config.json holds; a missing field means what it means to transformers. Two fields that contradict each
 * other are settled as transformers 5 settles them, and `warn` is told.
 * @param source names the file in messages
 * @throws UserError naming file, field, value, expectation and remedy.
 */
export function parseModelSpec(
  json: unknown,
  source: string,
  warn: (text: string) => void = warnOfCheckpoint,
): ModelSpec {
  const content = check(is.object, json, source, { remedy: redownload });
  const config = new ConfigValues(content, source, warn);
  return familyOf(config).parse(config);
}

/** `model_type` decides, as in transformers; older files name only the class. */
function familyOf(config: ConfigValues): Family {
  const { architectures } = config.json;
  const classes: readonly unknown[] = Array.isArray(architectures) ? architectures : [architectures];
  const ofClass = families.find(({ className }) => classes[0] === className);
  const field = config.get('model_type') === undefined ? 'architectures' : 'model_type';
  const value = config.get(field);
  const family = field === 'architectures' ? ofClass : families.find(({ modelType }) => modelType === value);
  if (family === undefined) {
    const known = new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(
      families.map(({ modelType }) => modelType),
    );
    throw config.unsupported(field, value, known, 'use a checkpoint of one of them');
  }
  if (ofClass !== undefined && ofClass !== family)
    config.warn(
      `model_type ${family.modelType} contradicts architectures ${quote(architectures)}`,
      'model_type holds',
    );
  return family;
}

/** The family that a spec was made by. */
export function familyOfSpec({ architecture }: ModelSpec): Family {
  const family = families.find(({ modelType }) => modelType === architecture);
  if (!family) throw new Error(`no family is called ${architecture}`);
  return family;
}
