/** What sequences send through a model together, and where their tokens lie in its KV cache. */

import { sequenceFields, sharedFields } from '@specoffload/native';
import { type AttentionSpec, keyWidth } from '../model/spec.js';
import { type Alternate, noAlternates } from '../speculate/alternates.js';
import type { DrawnText } from '../speculate/row-draws.js';
import type { CacheBlock, Sequence } from '../speculate/sequence.js';
import { cacheCapacity } from './kv-cache.js';

/** How much of one sequence goes through a model: which tokens that is, only a machine that computes asks. */
export interface Feed {
  readonly sequence: Sequence;
  /** Tokens of the sequence that the cache already holds. */
  readonly cached: number;
  /** Tokens behind them, candidates included. */
  readonly count: number;
  /** What may follow in place of some of the candidates: further rows, behind those of the others. */
  readonly alternates: readonly Alternate[];
}

/** Rows of a feed. */
export function rowsOf({ count, alternates }: Feed): number {
  return count + countTokens(alternates);
}

export function countTokens(alternates: readonly Alternate[]): number {
  return alternates.reduce((sum, { ids }) => sum + ids.length, 0);
}

/** The rows that go through the layers together, and the rows among them whose choice is wanted. */
export interface Frame {
  readonly batch: number;
  readonly feeds: readonly Feed[];
  readonly headRows: Int32Array;
}

/** How much attention some feeds ask for in a layer. */
export interface AttentionWork {
  rows: number;
  /** Keys read. */
  cacheTokens: number;
  /** Pairs of a new token and a key it sees. */
  scores: number;
}

export function measureAttention(window: number, feeds: readonly Feed[]): AttentionWork {
  const work: AttentionWork = { rows: 0, cacheTokens: 0, scores: 0 };
  for (const { sequence, cached, count, alternates } of feeds) {
    addAttention(work, window, cached, count);
    for (const { place, ids } of alternates) {
      work.rows += ids.length;
      // Right behind the rows that have just read what comes before them.
      work.cacheTokens += ids.length;
      work.scores += countScores(sequence.length + place, ids.length, window);
    }
  }
  return work;
}

/** Adds `count` new tokens behind `cached` ones, each seeing at most `window` keys. Mutates `work`. */
export function addAttention(work: AttentionWork, window: number, cached: number, count: number): void {
  work.rows += count;
  work.cacheTokens += Math.min(cached + count, window);
  work.scores += countScores(cached, count, window);
}

/** Pairs of a new token and a key it sees, for `count` new ones behind `cached`, each seeing at most `window`. */
export function countScores(cached: number, count: number, window: number): number {
  // Sum of min(i, window) for i from cached + 1 to cached + count: those that still see everything, and those that don't.
  const growing = Math.max(0, Math.min(cached + count, window) - cached);
  return (growing * (2 * cached + growing + 1)) / 2 + (count - growing) * Math.min(window, cached + count);
}

/** The native attention's description of each sequence's block in a layer, and of what stands in for some of its candidates. */
export interface CacheFields {
  readonly sequences: Float64Array;
  readonly shared: Float64Array | undefined;
}

export function cacheFields(
  attention: AttentionSpec,
  feeds: readonly Feed[],
  blocks: readonly CacheBlock[] = feeds.map(({ sequence }) => sequence.targetBlock),
): CacheFields {
  const width = keyWidth(attention);
  if (feeds.every(({ alternates }) => alternates.length === 0)) {
    const fields = new Float64Array(feeds.length * sequenceFields);
    for (const [index, { cached, count }] of feeds.entries())
      fields.set([...blockFields(blocks[index], width), cached, count], index * sequenceFields);
    return { sequences: fields, shared: undefined };
  }
  const sequences: number[] = [];
  const shared: number[] = [];
  for (const [index, { sequence, cached, count, alternates }] of feeds.entries()) {
    const [keys, values, capacity] = blockFields(blocks[index], width);
    sequences.push(keys, values, capacity, cached, count);
    shared.push(keys, values, capacity, 0);
    // Behind the last candidate there is room that nobody keeps anything in.
    let free = cached + count;
    for (const { place, ids } of alternates) {
      const before = sequence.length + place;
      const start = free * attention.headDim;
      sequences.push(keys + start, values + start, capacity, before, ids.length);
      shared.push(keys, values, capacity, before);
      free += ids.length;
    }
  }
  if (shared.length * sequenceFields !== sequences.length * sharedFields)
    throw new Error('a block is described by other fields');
  return { sequences: Float64Array.from(sequences), shared: Float64Array.from(shared) };
}

/** Where a block's keys and values begin in a layer whose keys are so wide, and how many tokens it holds. */
export function blockFields({ tokenOffset, capacity }: CacheBlock, width: number): readonly number[] {
  const keys = 2 * tokenOffset * width;
  return [keys, keys + capacity * width, capacity];
}

/**
 * The feeds' blocks one behind the other, as they lie in a buffer of their own: in the cache itself, blocks of
 * sequences that have ended may lie between them.
 */
export function packBlocks(feeds: readonly Feed[]): {
  readonly blocks: readonly CacheBlock[];
  readonly numTokens: number;
} {
  let numTokens = 0;
  const blocks = feeds.map(({ sequence }) => {
    const { capacity } = sequence.targetBlock;
    const tokenOffset = numTokens;
    numTokens += capacity;
    return { tokenOffset, capacity, firstToken: 0, isOnDevice: false };
  });
  return { blocks, numTokens };
}

/** Tokens of each feed that cross the link: what its rows see of the cache, or what they add to it. */
export function crossingTokens(
  window: number,
  kind: 'fetch' | 'store',
  { cached, count: added }: Feed,
): { readonly first: number; readonly count: number } {
  if (kind === 'store') return { first: cached, count: added };
  const count = Math.min(cached, window - 1);
  return { first: cached - count, count };
}

/**
 * The stretches of one layer's cache that cross the link for the feeds, (stretch, 3): element offsets in the cache
 * and in the packed buffer, and elements.
 */
export function cacheStretches(
  attention: AttentionSpec,
  kind: 'fetch' | 'store',
  feeds: readonly Feed[],
): Float64Array {
  const { numKvHeads, headDim } = attention;
  const tokenElements = 2 * keyWidth(attention);
  const window = attention.window ?? Number.POSITIVE_INFINITY;
  const { blocks } = packBlocks(feeds);
  const stretches: number[] = [];
  for (const [index, feed] of feeds.entries()) {
    const { first, count } = crossingTokens(window, kind, feed);
    if (count === 0) continue;
    const { tokenOffset, capacity } = feed.sequence.targetBlock;
    const [inCache, inBuffer] = [tokenOffset * tokenElements, blocks[index].tokenOffset * tokenElements];
    // Of every head's keys, then of every head's values.
    for (let part = 0; part < 2 * numKvHeads; part += 1) {
      const offset = (part * capacity + first) * headDim;
      stretches.push(inCache + offset, inBuffer + offset, count * headDim);
    }
  }
  return Float64Array.from(stretches);
}

/**
 * Gives the sequences room in a cache, one behind the other from its start.
 * @returns the first token behind all of them
 */
export function assignBlocks(
  sequences: readonly Sequence[],
  block: 'targetBlock' | 'draftBlock',
  isOnDevice = false,
): number {
  let tokenOffset = 0;
  for (const sequence of sequences) {
    const capacity = cacheCapacity(sequence.roomTokens);
    sequence[block] = { tokenOffset, capacity, firstToken: 0, isOnDevice };
    tokenOffset += capacity;
  }
  return tokenOffset;
}

/** All that a sequence has to send behind what a cache of its tokens holds: known tokens, then its candidates. */
export function feedOf(sequence: Sequence, cached: number, alternates = noAlternates): Feed {
  const { length, candidates } = sequence;
  return { sequence, cached, count: length - cached + candidates.length, alternates };
}

/** Index of each feed's last row in the frame. */
export function lastRows(feeds: readonly Feed[]): Int32Array {
  const rows = new Int32Array(feeds.length);
  let end = 0;
  for (const [index, { count }] of feeds.entries()) {
    end += count;
    rows[index] = end - 1;
  }
  return rows;
}

/** The rows after which the target's choice is wanted: the last known token's, every candidate's and every alternate's. */
export function verifiedRows(feeds: readonly Feed[]): Int32Array {
  const wantedOf = ({ sequence, alternates }: Feed) =>
    sequence.candidates.length + 1 + countTokens(alternates);
  const rows = new Int32Array(feeds.reduce((sum, feed) => sum + wantedOf(feed), 0));
  let next = 0;
  let end = 0;
  for (const feed of feeds) {
    end += rowsOf(feed);
    for (let row = end - wantedOf(feed); row < end; row += 1) {
      rows[next] = row;
      next += 1;
    }
  }
  return rows;
}

/** What the tokens of {@link verifiedRows} are drawn behind, in their order. */
export function verifiedTexts({ sequence, alternates }: Feed): DrawnText[] {
  const { noise, candidates, length } = sequence;
  const textOf = (followers: readonly number[], numRows: number): DrawnText => ({
    ...{ noise, numTokens: length + followers.length, numRows },
    tokens: () => [...sequence.tokensFrom(0), ...followers],
  });
  return [
    textOf(candidates, candidates.length + 1),
    ...alternates.map(({ place, ids }) => textOf([...candidates.slice(0, place), ...ids], ids.length)),
  ];
}

/** All tokens of the feeds, row by row. */
export function feedTokens(feeds: readonly Feed[]): Int32Array {
  return Int32Array.from(
    feeds.flatMap(({ sequence, cached, alternates }) => [
      ...sequence.tokensFrom(cached),
      ...sequence.candidates,
      ...alternates.flatMap(({ ids }) => ids),
    ]),
  );
}
