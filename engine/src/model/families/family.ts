/** What a model family is: a name in config.json, and how its fields become a `ModelSpec`. */

import type { JsonRecord } from '@specoffload/input';
import type { ConfigValues } from '../config-values.js';
import type { ModelSpec } from '../spec.js';

export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** The first of `architectures` in config.json. */
  readonly className: string;
  /** A missing field means what it means to transformers' configuration class. @throws UserError */
  parse(config: ConfigValues): ModelSpec;
  /** The fields of a config.json like `original` that say how many layers and experts a spec has, and how wide. */
  sizeFields(spec: ModelSpec, original: JsonRecord): JsonRecord;
}
