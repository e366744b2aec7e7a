import type { AttentionCall, AttentionShape } from '@specoffload/native';
import { sequenceFields } from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { cores, createRandom, moveBehind, randomWhole, unseen } from './helpers.js';

interface Lengths {
  readonly numPast: number;
  readonly numNew: number;
}

/** What a refused call has wrong, on top of one that is right. */
type Changes = Partial<Omit<AttentionCall, 'shape'>> & { readonly shape?: Partial<AttentionShape> };

/** Shapes that say nothing else scale scores as usual. */
const usual = (headDim: number) => headDim ** -0.5;

/** A random call: ragged sequences in one cache, in shuffled places, with room to spare. */
function createCall(
  shape: AttentionShape,
  lengths: readonly Lengths[],
  seed: number,
  threads = 1,
): AttentionCall {
  const random = createRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const fill = (count: number) => Float32Array.from({ length: count }, normal);
  const { numHeads, numKvHeads, headDim } = shape;
  const numRows = lengths.reduce((sum, { numNew }) => sum + numNew, 0);
  const sequences = new Float64Array(lengths.length * sequenceFields);
  let offset = 3; // not aligned, on purpose
  const order = lengths.map((_, i) => i).sort((a, b) => ((a * 7 + seed) % 5) - ((b * 7 + seed) % 5));
  for (const i of order) {
    const { numPast, numNew } = lengths[i];
    const capacity = numPast + numNew + randomWhole(random, 0, 3);
    const blockLength = numKvHeads * capacity * headDim;
    sequences.set([offset, offset + blockLength, capacity, numPast, numNew], i * sequenceFields);
    offset += 2 * blockLength + 1;
  }
  const numPositions = Math.max(0, ...lengths.map(({ numPast, numNew }) => numPast + numNew));
  const angles = Array.from({ length: numPositions * (headDim / 2) }, (_, i) => {
    const position = Math.floor(i / (headDim / 2));
    return position * 10000 ** (-(i % (headDim / 2)) / (headDim / 2));
  });
  return {
    shape,
    q: fill(numRows * numHeads * headDim),
    k: fill(numRows * numKvHeads * headDim),
    v: fill(numRows * numKvHeads * headDim),
    out: new Float32Array(numRows * numHeads * headDim).fill(Number.NaN),
    cache: fill(offset),
    sequences,
    ropeCos: Float32Array.from(angles, Math.cos),
    ropeSin: Float32Array.from(angles, Math.sin),
    sinks: seed % 3 === 0 ? fill(numHeads) : null,
    threads,
  };
}

function cloneCall(call: AttentionCall, changes: Partial<AttentionCall> = {}): AttentionCall {
  return { ...call, out: call.out.slice(), cache: call.cache.slice(), ...changes };
}

/** Attention as the formula has it, on nested arrays of doubles; shares nothing with the implementations. */
function attendNaively(call: AttentionCall): {
  out: number[];
  appended: { keys: number[]; values: number[] };
} {
  const { numHeads, numKvHeads, headDim, slidingWindow, scale } = call.shape;
  const half = headDim / 2;
  const rope = (x: number[], position: number) =>
    x.map((_, d) => {
      const i = d % half;
      const cos = call.ropeCos[position * half + i];
      const sin = call.ropeSin[position * half + i];
      const partner = d < half ? -x[d + half] : x[d - half];
      return x[d] * cos + partner * sin;
    });
  const slice = (from: Float32Array, index: number) =>
    Array.from(from.subarray(index * headDim, (index + 1) * headDim));
  const out: number[] = [];
  const appended = { keys: [] as number[], values: [] as number[] };
  let firstRow = 0;
  for (let s = 0; s < call.sequences.length; s += sequenceFields) {
    const [keysOffset, valuesOffset, capacity, numPast, numNew] = call.sequences.subarray(
      s,
      s + sequenceFields,
    ) as unknown as [number, number, number, number, number];
    const cached = (offset: number, kvHead: number) =>
      Array.from({ length: numPast }, (_, position) => {
        const at = offset + (kvHead * capacity + position) * headDim;
        return Array.from(call.cache.subarray(at, at + headDim));
      });
    const keys = Array.from({ length: numKvHeads }, (_, h) => cached(keysOffset, h));
    const values = Array.from({ length: numKvHeads }, (_, h) => cached(valuesOffset, h));
    for (let t = 0; t < numNew; t++) {
      for (let h = 0; h < numKvHeads; h++) {
        const key = rope(slice(call.k, (firstRow + t) * numKvHeads + h), numPast + t);
        const value = slice(call.v, (firstRow + t) * numKvHeads + h);
        keys[h].push(key);
        values[h].push(value);
        appended.keys.push(...key);
        appended.values.push(...value);
      }
      for (let h = 0; h < numHeads; h++) {
        const kvHead = Math.floor((h * numKvHeads) / numHeads);
        const query = rope(slice(call.q, (firstRow + t) * numHeads + h), numPast + t);
        const first = slidingWindow > 0 ? Math.max(0, numPast + t + 1 - slidingWindow) : 0;
        const seen = keys[kvHead].slice(first);
        const scores = seen.map((key) => key.reduce((sum, x, d) => sum + x * query[d], 0) * scale);
        const sinks = call.sinks ? [call.sinks[h]] : [];
        const weights = [...scores, ...sinks].map((score) => Math.exp(score - Math.max(...scores, ...sinks)));
        const total = weights.reduce((sum, w) => sum + w, 0);
        const seenValues = values[kvHead].slice(first);
        for (let d = 0; d < headDim; d++) {
          out.push(seenValues.reduce((sum, value, j) => sum + weights[j] * value[d], 0) / total);
        }
      }
    }
    firstRow += numNew;
  }
  return { out, appended };
}

/** What the call appended to the cache, in the order (token, kvHead, headDim) of the oracle. */
function appendedTo(call: AttentionCall): { keys: number[]; values: number[] } {
  const { numKvHeads, headDim } = call.shape;
  const appended = { keys: [] as number[], values: [] as number[] };
  for (let s = 0; s < call.sequences.length; s += sequenceFields) {
    const [keysOffset, valuesOffset, capacity, numPast, numNew] = call.sequences.subarray(
      s,
      s + sequenceFields,
    ) as unknown as [number, number, number, number, number];
    for (let t = 0; t < numNew; t++) {
      for (let h = 0; h < numKvHeads; h++) {
        const at = (h * capacity + numPast + t) * headDim;
        appended.keys.push(...call.cache.subarray(keysOffset + at, keysOffset + at + headDim));
        appended.values.push(...call.cache.subarray(valuesOffset + at, valuesOffset + at + headDim));
      }
    }
  }
  return appended;
}

function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    if (!(difference <= largest)) largest = difference; // NaN is the largest of all
  }
  return largest;
}

/** How often each element of the cache that the call must not touch changed. */
function numForeignChanges(before: AttentionCall, after: AttentionCall): number {
  let changed = 0;
  for (let i = 0; i < before.cache.length; i++) changed += Object.is(before.cache[i], after.cache[i]) ? 0 : 1;
  const appended = appendedTo(after);
  return changed - appended.keys.length - appended.values.length;
}

/** Scores are multiplied with what is usual, or with what some models have instead. */
const scalesOf = (headDim: number) => [usual(headDim), usual(headDim), 0.3 * usual(headDim)];

const randomCases = Array.from({ length: 60 }, (_, seed) => {
  const random = createRandom(seed);
  const pick = <T>(items: readonly T[]) => items[randomWhole(random, 0, items.length - 1)];
  const group = randomWhole(random, 1, 8);
  const numKvHeads = randomWhole(random, 1, 3);
  const headDim = pick([2, 6, 8, 10, 12, 16, 24, 32, 36, 48, 64, 80, 100, 128, 144]);
  const slidingWindow = pick([0, 0, 0, 1, 2, 5, 17, 64]);
  const lengths = Array.from({ length: randomWhole(random, 1, 5) }, () => ({
    numPast: pick([0, 1, 2, 3, 15, 16, 17, 31, 40, 70]),
    numNew: pick([0, 1, 1, 2, 5, 9, 20]),
  }));
  const threads = randomWhole(random, 1, 3);
  return {
    seed,
    shape: {
      numHeads: group * numKvHeads,
      numKvHeads,
      headDim,
      slidingWindow,
      scale: pick(scalesOf(headDim)),
    },
    lengths,
    threads,
  };
});

describe.each(cores)('attend, %s', (kind, core) => {
  test.each(randomCases)(
    'agrees with the formula: case $seed, $shape',
    ({ seed, shape, lengths, threads }) => {
      const call = createCall(shape, lengths, seed, threads);
      const expected = attendNaively(call);
      const before = cloneCall(call);
      core.attend(call);
      // Values are of the order of one; fp32 scores near 20 carry an error of about 1e-6 into the weights.
      expect(largestDifference(call.out, expected.out)).toBeLessThan(kind === 'twin' ? 1e-6 : 4e-6);
      const appended = appendedTo(call);
      expect(largestDifference(appended.keys, expected.appended.keys)).toBeLessThan(1e-6);
      expect(appended.values).toEqual(expected.appended.values);
      expect(numForeignChanges(before, call)).toBe(0);
    },
  );

  test.each([
    { headDim: 64, slidingWindow: 0 },
    { headDim: 20, slidingWindow: 0 },
    { headDim: 64, slidingWindow: 3 },
    { headDim: 20, slidingWindow: 33 },
  ])('gives a row the same bits alone and in company: %o', ({ headDim, slidingWindow }) => {
    const shape = { numHeads: 6, numKvHeads: 2, headDim, slidingWindow, scale: usual(headDim) };
    const lengths = [
      { numPast: 50, numNew: 5 },
      { numPast: 0, numNew: 7 },
      { numPast: 17, numNew: 1 },
      { numPast: 33, numNew: 19 },
    ];
    const start = createCall(shape, lengths, 7);
    const together = cloneCall(start);
    core.attend(together);
    // Token by token, each in a call of its own.
    const alone = cloneCall(start);
    let row = 0;
    lengths.forEach(({ numPast, numNew }, s) => {
      for (let t = 0; t < numNew; t++, row++) {
        const sequences = start.sequences.slice(s * sequenceFields, (s + 1) * sequenceFields);
        sequences.set([numPast + t, 1], 3);
        const rowOf = (view: Float32Array, heads: number) =>
          view.subarray(row * heads * headDim, (row + 1) * heads * headDim);
        core.attend({
          ...alone,
          sequences,
          q: rowOf(alone.q, 6),
          k: rowOf(alone.k, 2),
          v: rowOf(alone.v, 2),
          out: rowOf(alone.out, 6),
        });
      }
    });
    expect(Buffer.from(alone.out.buffer).equals(Buffer.from(together.out.buffer))).toBe(true);
    expect(Buffer.from(alone.cache.buffer).equals(Buffer.from(together.cache.buffer))).toBe(true);
  });

  test.each([
    { headDim: 64, slidingWindow: 0 },
    { headDim: 20, slidingWindow: 33 },
  ])('finds first tokens in another block to the bit: %o', ({ headDim, slidingWindow }) => {
    const shape = { numHeads: 6, numKvHeads: 2, headDim, slidingWindow, scale: usual(headDim) };
    const lengths = [
      { numPast: 90, numNew: 3 },
      { numPast: 40, numNew: 1 },
      { numPast: 7, numNew: 2 },
      { numPast: 70, numNew: 1 },
    ];
    const whole = createCall(shape, lengths, 7);
    const branched = moveBehind(cloneCall(whole), [88, 40, 0, 35]);
    core.attend(whole);
    core.attend(branched);
    expect(Buffer.from(branched.out.buffer).equals(Buffer.from(whole.out.buffer))).toBe(true);
    expect(branched.cache.subarray(whole.cache.length)).not.toContain(unseen); // new tokens came behind
  });

  test.each([
    { headDim: 64, slidingWindow: 0 },
    { headDim: 20, slidingWindow: 33 },
  ])(
    'goes on behind tokens that come in the same call, in the rest of their block: %o',
    ({ headDim, slidingWindow }) => {
      const shape = { numHeads: 6, numKvHeads: 2, headDim, slidingWindow, scale: usual(headDim) };
      // Rows: five in a line, and two branches, of one token behind two of them and of two tokens behind four.
      const start = createCall(shape, [{ numPast: 60, numNew: 8 }], 7);
      const [keys, values, capacity] = start.sequences;
      const inRest = (token: number) => [keys + token * headDim, values + token * headDim, capacity];
      const sequences = [
        [keys, values, capacity, 60, 5],
        [...inRest(65), 62, 1],
        [...inRest(66), 64, 2],
      ];
      const shared = [0, 62, 64].map((numShared) => [keys, values, capacity, numShared]);
      const lines = [
        [0, 1, 5],
        [0, 1, 2, 3, 6, 7],
      ];
      const pick = (view: Float32Array, heads: number, rows: readonly number[]) =>
        Float32Array.from(
          rows.flatMap((row) => [...view.subarray(row * heads * headDim, (row + 1) * heads * headDim)]),
        );
      for (const threads of [1, 2, 5, 2]) {
        const tree = cloneCall(start, { threads });
        core.attend({
          ...tree,
          sequences: Float64Array.from(sequences.flat()),
          shared: Float64Array.from(shared.flat()),
        });
        for (const rows of lines) {
          const line = cloneCall(start);
          const own = { q: pick(line.q, 6, rows), k: pick(line.k, 2, rows), v: pick(line.v, 2, rows) };
          const out = pick(line.out, 6, rows);
          const sequence = Float64Array.of(keys, values, capacity, 60, rows.length);
          core.attend({ ...line, ...own, out, sequences: sequence });
          expect(Buffer.from(pick(tree.out, 6, rows).buffer).equals(Buffer.from(out.buffer))).toBe(true);
        }
      }
    },
  );

  test('gives the same bits on any number of threads', () => {
    const shape = { numHeads: 8, numKvHeads: 4, headDim: 32, slidingWindow: 0, scale: usual(32) };
    const lengths = Array.from({ length: 9 }, (_, i) => ({ numPast: i * 11, numNew: 1 + (i % 4) }));
    const start = createCall(shape, lengths, 11);
    const alone = cloneCall(start);
    core.attend(alone);
    for (const threads of [2, 3, 2, 5, 1]) {
      for (let repeat = 0; repeat < 20; repeat++) {
        const call = cloneCall(start, { threads });
        core.attend(call);
        expect(Buffer.from(call.out.buffer).equals(Buffer.from(alone.out.buffer))).toBe(true);
      }
    }
  });

  test('gives all of the weight to a sink that is far above the scores, and none to one far below', () => {
    const shape = { numHeads: 2, numKvHeads: 1, headDim: 8, slidingWindow: 0, scale: usual(8) };
    const start = createCall(shape, [{ numPast: 5, numNew: 2 }], 1);
    const plain = cloneCall(start);
    core.attend(plain);
    const sunk = cloneCall(start, { sinks: Float32Array.of(1000, -1000) });
    core.attend(sunk);
    for (const [i, value] of sunk.out.entries()) expect(value).toBe(i % 16 < 8 ? 0 : plain.out[i]);
  });

  test('keeps large and hopeless scores exact', () => {
    const shape = { numHeads: 1, numKvHeads: 1, headDim: 8, slidingWindow: 0, scale: usual(8) };
    const call = createCall(shape, [{ numPast: 20, numNew: 1 }], 4);
    call.q.fill(100);
    call.k.fill(100); // one key of 21 takes it all: the others' weights underflow to nothing
    const rotated = cloneCall(call, {
      ropeCos: call.ropeCos.map(() => 1),
      ropeSin: call.ropeSin.map(() => 0),
    });
    core.attend(rotated);
    expect(Array.from(rotated.out)).toEqual(Array.from(call.v));
  });

  test('lets a NaN through instead of hiding it', () => {
    const call = createCall(
      { numHeads: 1, numKvHeads: 1, headDim: 8, slidingWindow: 0, scale: usual(8) },
      [{ numPast: 2, numNew: 1 }],
      3,
    );
    call.q[0] = Number.NaN;
    call.out.fill(0);
    core.attend(call);
    expect(call.out.every(Number.isNaN)).toBe(true);
  });

  test.each<[Changes, string]>([
    [{ shape: { numKvHeads: 4 } }, 'invalid numKvHeads: 4; expected a divisor of numHeads, 6'],
    [{ shape: { headDim: 7 } }, 'invalid headDim: 7; expected an even number'],
    [{ shape: { slidingWindow: -1 } }, 'invalid slidingWindow: -1; expected a whole number from 0'],
    [{ shape: { scale: 0 } }, 'invalid scale: 0; expected a positive number'],
    [{ sinks: new Float32Array(5) }, 'invalid sinks: 5 elements; expected at least 6'],
    [{ threads: 0 }, 'invalid threads: 0; expected a whole number from 1 to 1024'],
    [{ threads: Number.NaN }, 'invalid threads: NaN;'],
    [{ sequences: new Float64Array(4) }, 'invalid sequences: 4 numbers; expected 5 per sequence'],
    [
      { sequences: new Float64Array([0, 0, 4, 2, 3]) },
      'invalid new tokens: 3; expected a whole number from 0 to 2',
    ],
    [{ sequences: new Float64Array([0, 1e9, 4, 2, 1]) }, 'invalid value offset: 1000000000;'],
    [{ q: new Float32Array(3) }, 'invalid q: 3 elements; expected at least 48'],
    [{ shared: new Float64Array(3) }, 'invalid shared: 3 numbers; expected 4 per sequence, 4'],
    [
      { shared: new Float64Array([0, 0, 4, 5]) },
      'invalid shared tokens: 5; expected a whole number from 0 to 4',
    ],
    [
      { shared: new Float64Array([0, 0, 4, 3]) },
      'invalid tokens cached: 2; expected a whole number from 3 to ',
    ],
    [{ ropeSin: new Float32Array(3) }, 'invalid ropeSin: 3 elements; expected at least 12'],
  ])('refuses %o', (changes, message) => {
    const shape = { numHeads: 6, numKvHeads: 2, headDim: 8, slidingWindow: 0, scale: usual(8) };
    const call = createCall(shape, [{ numPast: 2, numNew: 1 }], 5);
    const changed = { ...call, ...changes, shape: { ...shape, ...changes.shape } } as AttentionCall;
    expect(() => core.attend(changed)).toThrow(message);
    expect(call.out.every(Number.isNaN)).toBe(true);
  });
});
