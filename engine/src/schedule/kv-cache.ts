/** How much room a KV cache takes. */

import type { Formats } from '../machine/formats.js';
import type { PoolLayout, Region } from '../machine/pool.js';
import type { ModelConfig } from '../model/types.js';
import { alignUp } from './group-layout.js';

/** Keys and values of one token in all layers. */
export function cacheBytesPerToken(config: ModelConfig, { cacheElementBytes }: Formats): number {
  return config.numLayers * 2 * config.numKvHeads * config.headDim * cacheElementBytes;
}

/**
 * Tokens a sequence's KV block has room for; a few to spare, so that the next block starts on a cache line. The last
 * new token is never fed, and candidates beyond a sequence's limit are never proposed, so no more are needed.
 */
export function cacheCapacity(promptTokens: number, maxNewTokens: number): number {
  return alignUp(promptTokens + maxNewTokens, 4);
}

export function placeCache(
  config: ModelConfig,
  tokens: number,
  pool: PoolLayout,
  label: string,
  formats: Formats,
): Region[] {
  const layerBytes = (tokens * cacheBytesPerToken(config, formats)) / config.numLayers;
  return Array.from({ length: config.numLayers }, () => pool.place(label, layerBytes));
}
