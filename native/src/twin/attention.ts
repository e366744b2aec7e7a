/** Attention one row at a time, in double precision between its fp32 inputs and outputs: slow, and easy to check. */

import type { AttentionCall } from '../types.js';
import { sequenceFields, sharedFields } from '../types.js';

/** Trusts its arguments; `threads` changes nothing. Mutates `out` and `cache`. */
export function attend(call: AttentionCall): void {
  const { sequences, shared, shape } = call;
  let firstRow = 0;
  for (let i = 0; i < sequences.length; i += sequenceFields) {
    const own = blockOf(sequences.subarray(i));
    const others = shared?.subarray((i / sequenceFields) * sharedFields);
    const sequence: CachedSequence = {
      own,
      shared: others ? blockOf(others) : own,
      numShared: others?.[3] ?? 0,
    };
    const numPast = sequences[i + 3];
    const numNew = sequences[i + 4];
    for (let token = 0; token < numNew; token++) {
      appendToken(call, sequence, firstRow + token, numPast + token);
      for (let head = 0; head < shape.numHeads; head++) {
        attendRow(call, sequence, firstRow + token, numPast + token, head);
      }
    }
    firstRow += numNew;
  }
}

interface Block {
  readonly keysOffset: number; // of (kvHead, capacity, headDim)
  readonly valuesOffset: number; // of (kvHead, capacity, headDim)
  readonly capacity: number;
}

interface CachedSequence {
  readonly own: Block;
  readonly shared: Block;
  readonly numShared: number;
}

function blockOf([keysOffset, valuesOffset, capacity]: Float64Array): Block {
  return { keysOffset, valuesOffset, capacity };
}

/** Where a position's key and value begin in a head. */
function placeOf(
  { own, shared, numShared }: CachedSequence,
  position: number,
  kvHead: number,
  headDim: number,
) {
  const [block, index] = position < numShared ? [shared, position] : [own, position - numShared];
  const offset = (kvHead * block.capacity + index) * headDim;
  return { key: block.keysOffset + offset, value: block.valuesOffset + offset };
}

/** RoPE, rotate-half convention, on one head: (headDim) at `from` of `source` -> at `to` of `target`. */
function rotate(
  call: AttentionCall,
  position: number,
  source: Float32Array,
  from: number,
  target: Float32Array | Float64Array,
  to: number,
): void {
  const half = call.shape.headDim / 2;
  for (let i = 0; i < half; i++) {
    const cos = call.ropeCos[position * half + i];
    const sin = call.ropeSin[position * half + i];
    const a = source[from + i];
    const b = source[from + half + i];
    target[to + i] = a * cos - b * sin;
    target[to + half + i] = b * cos + a * sin;
  }
}

function appendToken(call: AttentionCall, sequence: CachedSequence, row: number, position: number): void {
  const { numKvHeads, headDim } = call.shape;
  for (let kvHead = 0; kvHead < numKvHeads; kvHead++) {
    const from = (row * numKvHeads + kvHead) * headDim;
    const { key, value } = placeOf(sequence, position, kvHead, headDim);
    rotate(call, position, call.k, from, call.cache, key);
    for (let d = 0; d < headDim; d++) call.cache[value + d] = call.v[from + d];
  }
}

function attendRow(
  call: AttentionCall,
  sequence: CachedSequence,
  row: number,
  position: number,
  head: number,
): void {
  const { numHeads, numKvHeads, headDim, slidingWindow, scale } = call.shape;
  const { cache } = call;
  const kvHead = Math.floor(head / (numHeads / numKvHeads));
  const firstKey = slidingWindow === 0 ? 0 : Math.max(0, position + 1 - slidingWindow);
  const at = (row * numHeads + head) * headDim;

  const query = new Float64Array(headDim);
  rotate(call, position, call.q, at, query, 0);
  const scores = new Float64Array(position + 1 - firstKey);
  const sink = call.sinks ? call.sinks[head] : -Infinity;
  let largest = sink;
  for (let j = 0; j < scores.length; j++) {
    const { key } = placeOf(sequence, firstKey + j, kvHead, headDim);
    let dot = 0;
    for (let d = 0; d < headDim; d++) dot += query[d] * cache[key + d];
    scores[j] = dot * scale;
    largest = Math.max(largest, scores[j]);
  }
  let total = Math.exp(sink - largest);
  const sums = new Float64Array(headDim);
  for (let j = 0; j < scores.length; j++) {
    const weight = Math.exp(scores[j] - largest);
    const { value } = placeOf(sequence, firstKey + j, kvHead, headDim);
    for (let d = 0; d < headDim; d++) sums[d] += weight * cache[value + d];
    total += weight;
  }
  for (let d = 0; d < headDim; d++) call.out[at + d] = sums[d] / total;
}
