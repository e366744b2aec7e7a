/** Which keys each layer sees, by `sliding_window` and `layer_types`. */

import type { ConfigValues } from '../config-values.js';

/** The window of Mistral and Mixtral, the same in all layers. @param missing what a field that is not there means */
export function parseSameWindow(
  config: ConfigValues,
  missing: number | null,
  numLayers: number,
): number | null {
  const field = config.get('sliding_window');
  const isNone = field === null || (field === undefined && missing === null);
  const window = isNone ? null : config.count('sliding_window', 2 ** 28, missing ?? undefined);
  refuseMixedLayers(config, window, numLayers);
  if (window !== null && config.get('use_sliding_window') === false)
    config.warn(`use_sliding_window false contradicts sliding_window ${window}`, 'the window holds');
  return window;
}

/** transformers takes Mistral with `layer_types` for Ministral, whose layers differ; here all have the same window. */
export function refuseMixedLayers(config: ConfigValues, window: number | null, numLayers: number): void {
  const types = config.get('layer_types') ?? null;
  const expected = window === null ? 'full_attention' : 'sliding_attention';
  const isForAll = Array.isArray(types) && types.length === numLayers;
  if (types === null || (isForAll && types.every((type) => type === expected))) return;
  throw config.unsupported(
    'layer_types',
    types,
    `${numLayers} times "${expected}", beside ${window === null ? 'no sliding_window' : `a sliding_window of ${window}`}`,
    'use a checkpoint whose layers all attend alike',
  );
}

export type LayerType = 'full_attention' | 'sliding_attention';

/**
 * The window of each layer, where `layer_types` says which layers have one.
 * @param window of those that have; null where the configuration has none
 * @param missing what a `layer_types` that is not there means
 */
export function parseLayerWindows(
  config: ConfigValues,
  numLayers: number,
  window: number | null,
  missing: (layer: number) => LayerType,
): (number | null)[] {
  const types = config.get('layer_types') ?? Array.from({ length: numLayers }, (_, layer) => missing(layer));
  const known: readonly unknown[] = window === null ? ['full_attention'] : layerTypes;
  if (Array.isArray(types) && types.length === numLayers && types.every((type) => known.includes(type)))
    return types.map((type) => (type === 'sliding_attention' ? window : null));
  throw config.unsupported(
    'layer_types',
    types,
    `${numLayers} times ${known.map((type) => `"${type}"`).join(' or ')}${window === null ? ', beside no window' : ''}`,
    'use a checkpoint with such layers',
  );
}

const layerTypes: readonly LayerType[] = ['full_attention', 'sliding_attention'];
