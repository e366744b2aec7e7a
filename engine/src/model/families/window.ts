/** Which keys each layer sees, by `sliding_window` and `layer_types`. */

import type { ConfigValues } from '../config-values.js';

/** The window of Mistral and Mixtral, the same in all layers. @param missing what a field that is not there means */
export function parseSameWindow(config: ConfigValues, missing: number | null): number | null {
  const field = config.get('sliding_window');
  const isNone = field === null || (field === undefined && missing === null);
  const window = isNone ? null : config.count('sliding_window', 2 ** 28, missing ?? undefined);
  refuseMixedLayers(config, window);
  if (window !== null && config.get('use_sliding_window') === false)
    config.warn(`use_sliding_window false contradicts sliding_window ${window}`, 'the window holds');
  return window;
}

/** transformers takes Mistral with `layer_types` for Ministral, whose layers differ; here all have the same window. */
export function refuseMixedLayers(config: ConfigValues, window: number | null): void {
  const types = config.get('layer_types') ?? [];
  const expected = window === null ? 'full_attention' : 'sliding_attention';
  if (Array.isArray(types) && types.every((type) => type === expected)) return;
  throw config.unsupported(
    'layer_types',
    types,
    `"${expected}" only, beside ${window === null ? 'no sliding_window' : `a sliding_window of ${window}`}`,
    'use a checkpoint whose layers all attend alike',
  );
}
