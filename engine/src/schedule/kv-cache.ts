/** How much room a KV cache takes. */

import { cacheBytes, type Formats } from '../machine/formats.js';
import type { PoolLayout, Region } from '../machine/pool.js';
import { type AttentionSpec, keyWidth, type ModelSpec } from '../model/spec.js';
import { alignUp } from './group-layout.js';

/** Keys and values of one token in one layer. */
export function layerCacheBytes(attention: AttentionSpec, formats: Formats): number {
  return cacheBytes(formats, 2 * keyWidth(attention));
}

/** Keys and values of one token in all layers. */
export function cacheBytesPerToken({ layers }: ModelSpec, formats: Formats): number {
  return layers.reduce((sum, { attention }) => sum + layerCacheBytes(attention, formats), 0);
}

/**
 * Tokens a sequence's KV block has room for; a few to spare, so that the next block starts on a cache line. The last
 * new token is never fed, and candidates beyond a sequence's limit are never proposed, so no more are needed.
 */
export function cacheCapacity(roomTokens: number): number {
  return alignUp(roomTokens, 4);
}

export function placeCache(
  { layers }: ModelSpec,
  tokens: number,
  pool: PoolLayout,
  label: string,
  formats: Formats,
): Region[] {
  return layers.map(({ attention }) => pool.place(label, tokens * layerCacheBytes(attention, formats)));
}

/** Counts what was placed under a label as so many times its bytes. */
export function countCache(pool: PoolLayout, label: string, factor: number): void {
  if (factor > 1) pool.reserve(label, (factor - 1) * pool.bytesOf(label));
}
