/** What sequences send through a model together, and where their tokens lie in its KV cache. */

import { sequenceFields } from '@specoffload/native';
import type { ModelConfig } from '../model/types.js';
import type { Sequence } from '../speculate/sequence.js';
import { cacheCapacity } from './placement.js';

/** Tokens that one sequence sends through a model. */
export interface Feed {
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  /** Tokens of the sequence that the cache already holds. */
  readonly cached: number;
}

/** The rows that go through the layers together, and the rows among them whose choice is wanted. */
export interface Frame {
  readonly batch: number;
  readonly feeds: readonly Feed[];
  readonly headRows: Int32Array;
}

/** How much attention some feeds ask for, in every layer alike. */
export interface AttentionWork {
  readonly rows: number;
  /** Keys read. */
  readonly cacheTokens: number;
  /** Pairs of a new token and a key it sees. */
  readonly scores: number;
}

export function measureAttention(config: ModelConfig, feeds: readonly Feed[]): AttentionWork {
  const window = config.slidingWindow ?? Number.POSITIVE_INFINITY;
  let rows = 0;
  let cacheTokens = 0;
  let scores = 0;
  for (const { ids, cached } of feeds) {
    const last = cached + ids.length;
    rows += ids.length;
    cacheTokens += Math.min(last, window);
    // Sum of min(i, window) for i from cached + 1 to last.
    const growing = Math.max(0, Math.min(last, window) - cached);
    scores +=
      (growing * (2 * cached + growing + 1)) / 2 +
      (growing < ids.length ? (ids.length - growing) * window : 0);
  }
  return { rows, cacheTokens, scores };
}

/** The native attention's description of each sequence's block, the same in every layer. */
export function cacheFields(
  config: ModelConfig,
  feeds: readonly Feed[],
  block: 'targetBlock' | 'draftBlock' = 'targetBlock',
  firstElement = 0,
): Float64Array {
  const fields = new Float64Array(feeds.length * sequenceFields);
  for (const [index, { sequence, ids, cached }] of feeds.entries()) {
    const { elementOffset, capacity } = sequence[block];
    const halfElements = config.numKvHeads * capacity * config.headDim;
    const offset = elementOffset - firstElement;
    fields.set([offset, offset + halfElements, capacity, cached, ids.length], index * sequenceFields);
  }
  return fields;
}

/** The elements of a layer's part of the target's cache that the feeds' blocks span. */
export function cacheSpan(
  { numKvHeads, headDim }: ModelConfig,
  feeds: readonly Feed[],
): { readonly firstElement: number; readonly numElements: number } {
  let first = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const { sequence } of feeds) {
    const { elementOffset, capacity } = sequence.targetBlock;
    first = Math.min(first, elementOffset);
    end = Math.max(end, elementOffset + 2 * numKvHeads * capacity * headDim);
  }
  return { firstElement: first, numElements: end - first };
}

/** Gives the sequences room in a cache, one behind the other from its start. */
export function assignBlocks(
  { numKvHeads, headDim }: ModelConfig,
  sequences: readonly Sequence[],
  block: 'targetBlock' | 'draftBlock',
): void {
  let elementOffset = 0;
  for (const sequence of sequences) {
    const capacity = cacheCapacity(sequence.prompt.length, sequence.maxNewTokens);
    sequence[block] = { elementOffset, capacity };
    elementOffset += 2 * numKvHeads * capacity * headDim;
  }
}

/** Index of each feed's last row in the frame. */
export function lastRows(feeds: readonly Feed[]): Int32Array {
  let row = -1;
  return Int32Array.from(feeds, ({ ids }) => {
    row += ids.length;
    return row;
  });
}

/** All tokens of the feeds, row by row. */
export function feedTokens(feeds: readonly Feed[]): Int32Array {
  return Int32Array.from(feeds.flatMap(({ ids }) => ids));
}
