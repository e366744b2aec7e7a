/**
 * Noise that belongs to places instead of to an order: a pure function of seed, sequence, position and token, in 32-bit
 * integers alone, so that target, draft and any device find the same.
 */

/** Two 32-bit words that stand for a seed, a sequence and a position. */
export type NoiseKey = readonly [number, number];

/** What a position's randomness is for; the streams of one position are independent of each other. */
export const noiseUses = { gumbel: 0, draft: 1, coins: 2 } as const;

export type NoiseUse = keyof typeof noiseUses;

/** @param seed a whole number from 0 to 2^53 - 1 */
export function noiseKey(
  seed: number,
  sequence: number,
  position: number,
  use: NoiseUse = 'gumbel',
): NoiseKey {
  const ofSequence = threefry([seed >>> 0, Math.floor(seed / 2 ** 32)], [sequence, noiseUses[use]]);
  return threefry(ofSequence, [position, 0]);
}

const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const;

/**
 * Threefry-2x32 with 20 rounds, a counter-based generator. Source: Salmon, Moraes, Dror and Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011; github.com/DEShawResearch/random123.
 */
export function threefry([k0, k1]: NoiseKey, [c0, c1]: NoiseKey): NoiseKey {
  const keys = [k0, k1, 0x1bd11bda ^ k0 ^ k1];
  let [x, y] = [(c0 + k0) | 0, (c1 + k1) | 0];
  for (let round = 0; round < 20; round += 1) {
    x = (x + y) | 0;
    const rotation = rotations[round % 8] as number;
    y = ((y << rotation) | (y >>> (32 - rotation))) ^ x;
    if (round % 4 !== 3) continue;
    const injection = (round + 1) / 4;
    x = (x + (keys[injection % 3] as number)) | 0;
    y = (y + (keys[(injection + 1) % 3] as number) + injection) | 0;
  }
  return [x >>> 0, y >>> 0];
}

/**
 * A token's 32 bits: Murmur3's finaliser (Appleby, https://github.com/aappleby/smhasher) with a word of the key before
 * each of two turns. Threefry again would take five times as long, and a row of logits needs one for every token.
 */
export function tokenBits(k0: number, k1: number, token: number): number {
  let state = Math.imul(token, 0x9e3779b1) ^ k0;
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  state = (state ^ (state >>> 16)) + k1;
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}

/** A uniform number in (0, 1), never either of them. */
export function uniformOf(bits: number): number {
  return (bits + 0.5) / 2 ** 32;
}

/** A standard Gumbel number; the fewer the bits say, the larger it is. */
export function gumbelOf(bits: number): number {
  return -Math.log(-Math.log1p(-uniformOf(bits)));
}

/** Not below {@link gumbelOf}, without logarithms: -log(-log(1 - u)) < -log(u), and u is above 2^(-1 - leading zeros). */
export function mostGumbelOf(bits: number): number {
  return (Math.clz32(bits) + 1) * Math.LN2;
}
