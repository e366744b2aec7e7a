/** A small seeded generator, passed in wherever randomness is needed; never used for secrets. */

export interface Random {
  /** A uniform integer from 0 to 2^32 - 1. */
  uint32(): number;
  /** A uniform number in [0, 1). */
  uniform(): number;
  /** A standard normal number. */
  normal(): number;
}

/**
 * xoshiro128** (Blackman and Vigna, https://prng.di.unimi.it/), seeded through splitmix32. Equal seeds and streams give
 * equal numbers; different streams of one seed are independent, so work can be reordered without changing its result.
 */
export function createRandom(seed: number, stream = ''): Random {
  const next = splitmix32(hash(`${seed}/${stream}`));
  let [a, b, c, d] = [next(), next(), next(), next()];
  const uint32 = () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  const uniform = () => uint32() / 2 ** 32;
  // Box and Muller, without keeping the second value: one that is free but hidden would be state to explain. 1 - u is never 0.
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uint32, uniform, normal };
}

/**
 * Uniform numbers in [0, 1) that belong to places instead of to an order: whoever asks for one, and however often, gets
 * the same. Murmur3's finaliser (Appleby, https://github.com/aappleby/smhasher) over seed, row and column.
 */
export function createRandomTable(seed: number, stream = ''): (row: number, column: number) => number {
  const start = hash(`${seed}/${stream}`);
  return (row, column) =>
    mix(mix(start ^ Math.imul(row, 0x9e3779b1)) ^ Math.imul(column + 1, 0x85ebca77)) / 2 ** 32;
}

function mix(word: number): number {
  let state = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}

function rotateLeft(word: number, count: number): number {
  return (word << count) | (word >>> (32 - count));
}

function splitmix32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return z ^ (z >>> 16);
  };
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  return state;
}
