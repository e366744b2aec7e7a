/** What every kind of device has to do, command by command, against plain arithmetic; a new kind is tested by its name. */

import { codecs } from '@specoffload/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Completion } from '../../engine/dist/machine/device.js';
import { formatsOf } from '../../engine/dist/machine/devices.js';
import { isKept } from '../../engine/dist/machine/formats.js';
import { drawTokens } from '../../engine/dist/speculate/draw-token.js';
import { drawRows } from '../../engine/dist/speculate/row-draws.js';
import { parseSampling, type SamplingInput } from '../../engine/dist/speculate/sampling.js';
import { attend } from '../../native/dist/twin/attention.js';
import { Bench, devices, f32At, linear, rmsNorm } from './device-bench.js';
import { maxDifference } from './model/golden.js';
import { specOf } from './tiny.js';

const sizes = {
  ...{ vocabSize: 11, hiddenSize: 8, numLayers: 1, numHeads: 4, numKvHeads: 2, headDim: 4, ffnSize: 12 },
  ...{ numExperts: 3, expertsPerToken: 2, slidingWindow: null, ropeTheta: 1e4, ropeScaling: null },
  ...{ rmsNormEps: 1e-5, tieEmbeddings: false, maxPositions: 40, eosTokenIds: [] },
};

const spec = specOf({ architecture: 'mixtral', ...sizes });
const add = (a: Float32Array, b: Float32Array) => a.map((value, i) => value + b[i]);
const { hiddenSize: h, ffnSize: f, numExperts, vocabSize } = sizes;
const a = sizes.numHeads * sizes.headDim;
const b = sizes.numKvHeads * sizes.headDim;
const rows = 5;

/** How tokens are drawn, and whether masks keep more than a device looks at. */
const maskedDraws: [SamplingInput, boolean?][] = [
  [{ topK: 40 }],
  [{ topP: 0.9 }],
  [{ topP: 0.999, temperature: 0.7 }],
  [{ minP: 0.05, temperature: 1.5 }],
  [{ topK: 300, topP: 0.6, minP: 0.01 }],
  [{ topK: 20, repetitionPenalty: 1.3, presencePenalty: 0.2 }],
  [{ topP: 0.8, frequencyPenalty: 2, repetitionPenalty: 0.8 }],
  [{ temperature: 0, repetitionPenalty: 1.2 }],
  [{ repetitionPenalty: 1.1, penaltyWindow: 30 }],
  [{ topK: 90, topP: 0.9, rule: 'rejection' }],
  [{ rule: 'rejection' }],
  [{ topK: 2000 }, true],
];

describe.each(devices)('$title', ({ choice, skipped }) => {
  if (skipped !== null) return it.skip('computes');
  let bench: Bench;

  beforeAll(() => {
    bench = new Bench(choice, spec);
  });

  afterAll(() => bench.close());

  it('projects', async () => {
    const [x, norm, wq, wk, wv] = [rows * h, h, a * h, b * h, b * h].map((count) => bench.draw(count));
    const places = [];
    for (const values of [x, norm, wq, wk, wv]) places.push(await bench.put(values!));
    const [q, k, v] = [bench.room(rows * a), bench.room(rows * b), bench.room(rows * b)];
    const weights = {
      ...{ inputNorm: f32At(places[1]), q: f32At(places[2]), k: f32At(places[3]), v: f32At(places[4]) },
      ...{ o: f32At(0), postNorm: f32At(0) },
    };
    await bench.submit({
      ...{ kind: 'project', model: 'target', layer: 0, x: places[0], rows, weights, q, k, v },
    });
    const normed = rmsNorm(x!, norm!, sizes.rmsNormEps);
    expect(maxDifference(await bench.get(q, rows * a), linear(normed, wq!, h))).toBeLessThan(1e-5);
    expect(maxDifference(await bench.get(k, rows * b), linear(normed, wk!, h))).toBeLessThan(1e-5);
    expect(maxDifference(await bench.get(v, rows * b), linear(normed, wv!, h))).toBeLessThan(1e-5);
  });

  it('mixes', async () => {
    const counts = [rows * a, rows * h, h * a, h, numExperts * h];
    const [attention, x, wo, norm, wr] = counts.map((count) => bench.draw(count));
    const places: number[] = [];
    for (const values of [attention, x, wo, norm, wr]) places.push(await bench.put(values!));
    const [y, normed, router] = [rows * h, rows * h, rows * numExperts].map((count) => bench.room(count));
    await bench.submit({
      ...{ kind: 'mix', model: 'target', layer: 0, attention: places[0], x: places[1], rows },
      weights: {
        ...{ inputNorm: f32At(0), q: f32At(0), k: f32At(0), v: f32At(0) },
        ...{ o: f32At(places[2]), postNorm: f32At(places[3]), router: f32At(places[4]) },
      },
      ...{ y: y!, normed: normed!, router: router! },
    });
    const mixed = add(linear(attention!, wo!, a), x!);
    expect(maxDifference(await bench.get(y!, rows * h), mixed)).toBeLessThan(1e-5);
    const expected = rmsNorm(mixed, norm!, sizes.rmsNormEps);
    expect(maxDifference(await bench.get(normed!, rows * h), expected)).toBeLessThan(1e-5);
    const scores = linear(expected, wr!, h);
    expect(maxDifference(await bench.get(router!, rows * numExperts), scores)).toBeLessThan(1e-5);
  });

  it('gathers rows, feeds them forward and adds them where they belong', async () => {
    const [x, gate, up, down, y] = [rows * h, f * h, f * h, h * f, rows * h].map((count) =>
      bench.draw(count),
    );
    const places: number[] = [];
    for (const values of [x, gate, up, down, y]) places.push(await bench.put(values!));
    const indices = Int32Array.of(3, 0, 4);
    const scales = Float32Array.of(0.5, 2, -1);
    const [gathered, out] = [bench.room(3 * h), bench.room(3 * h)];
    const weights = { gate: f32At(places[1]), up: f32At(places[2]), down: f32At(places[3]) };
    await bench.submit(
      { kind: 'gather', source: places[0], indices, width: h, target: gathered },
      { kind: 'feed-forward', model: 'target', layer: 0, x: gathered, rows: 3, weights, out },
      { kind: 'scatter-add', source: out, indices, scales, width: h, target: places[4] },
    );
    const picked = Float32Array.from([...indices].flatMap((row) => [...x!.subarray(row * h, (row + 1) * h)]));
    const gates = linear(picked, gate!, h).map((value) => value / (1 + Math.exp(-value)));
    const inner = gates.map((value, i) => value * linear(picked, up!, h)[i]);
    const expected = Float32Array.from(y!);
    for (const [row, value] of linear(inner, down!, f).entries())
      expected[indices[Math.floor(row / h)] * h + (row % h)] += scales[Math.floor(row / h)] * value;
    expect(maxDifference(await bench.get(places[4], rows * h), expected)).toBeLessThan(1e-5);
  });

  it('chooses experts, lists their rows, and gathers and adds by those lists', async () => {
    const numRows = 90; // more than a GPU has threads for
    const scores = bench.draw(numRows * numExperts).map((value) => Math.round(4 * value) / 4); // with equals
    scores[numExperts * 7] = Number.NEGATIVE_INFINITY;
    const [lists, gathered] = [bench.room(16 * numRows), bench.room(2 * numRows * h)];
    const [x, y] = [bench.draw(numRows * h), bench.draw(numRows * h)];
    const [source, target] = [await bench.put(x), await bench.put(y)];
    const route = { kind: 'route', model: 'target', layer: 0, rows: numRows, lists } as const;
    const { choices } = await bench.submit({ ...route, scores: await bench.put(scores) });
    const { experts, margins } = choices[0]!;
    const rowsOf = Array.from({ length: numExperts }, (): number[] => []);
    const shares = new Map<string, number>();
    for (let row = 0; row < numRows; row += 1) {
      const own = [...scores.subarray(row * numExperts, (row + 1) * numExperts)];
      const order = [...own.keys()].sort((one, other) => own[other]! - own[one]! || one - other);
      if (row === 7) expect(margins[row]).toBeNaN();
      else expect(margins[row]).toBe(own[order[1]!]! - own[order[2]!]!);
      expect([...experts.subarray(2 * row, 2 * row + 2)]).toEqual(order.slice(0, 2));
      const weights = order.slice(0, 2).map((expert) => Math.exp(own[expert]! - own[order[0]!]!));
      for (const [place, expert] of order.slice(0, 2).entries()) {
        rowsOf[expert]!.push(row);
        shares.set(`${row} ${expert}`, weights[place]! / (weights[0]! + weights[1]!));
      }
    }
    const listed = await bench.get(lists, 4 * numRows);
    expect([...new Int32Array(listed.buffer, 0, 2 * numRows)]).toEqual(rowsOf.flat());
    const wanted = rowsOf.flatMap((own, expert) => own.map((row) => shares.get(`${row} ${expert}`)!));
    const scales = listed.subarray(2 * numRows);
    for (const [place, scale] of scales.entries()) expect(scale).toBeCloseTo(wanted[place]!, 6);
    const [skipped, length] = [rowsOf[0]!.length, rowsOf[1]!.length];
    const at = (list: number) => ({ address: lists + 4 * (list * 2 * numRows + skipped), length });
    await bench.submit(
      { kind: 'gather', source, indices: at(0), width: h, target: gathered },
      { kind: 'scatter-add', source: gathered, indices: at(0), scales: at(1), width: h, target },
    );
    const expected = Float32Array.from(y);
    for (const [place, row] of rowsOf[1]!.entries())
      for (let i = row * h; i < (row + 1) * h; i += 1) expected[i]! += scales[skipped + place]! * x[i]!;
    expect(maxDifference(await bench.get(target, numRows * h), expected)).toBeLessThan(1e-6);
  });

  it('finds the largest logits, their leads, and what is not finite', async () => {
    const [x, norm, head] = [rows * h, h, vocabSize * h].map((count) => bench.draw(count));
    const places: number[] = [];
    for (const values of [x, norm, head]) places.push(await bench.put(values!));
    const out = bench.room(rows * vocabSize);
    const weights = { finalNorm: f32At(places[1]), head: f32At(places[2]) };
    const spoiled = await bench.put(Float32Array.of(1, 2, 2, 5, Number.NaN, 0, Number.POSITIVE_INFINITY, 0));
    const { maxima, areFinite } = await bench.submit(
      { kind: 'logits', model: 'target', x: places[0], rows, weights, out },
      { kind: 'argmax', source: out, rows, width: vocabSize },
      { kind: 'argmax', source: spoiled, rows: 2, width: 4 },
      { kind: 'starts-finite', source: spoiled, rows: 2, width: 2 },
      { kind: 'starts-finite', source: spoiled, rows: 4, width: 2 },
    );
    const expected = linear(rmsNorm(x!, norm!, sizes.rmsNormEps), head!, h);
    for (let row = 0; row < rows; row += 1) {
      const logits = [...expected.subarray(row * vocabSize, (row + 1) * vocabSize)];
      const [best, second] = [...logits].sort((one, other) => other - one);
      expect(maxima[0].ids[row]).toBe(logits.indexOf(best!));
      expect(maxima[0].margins[row]).toBeCloseTo(best! - second!, 4);
    }
    expect(maxima[1].ids[0]).toBe(3);
    expect([...maxima[1].margins]).toEqual([3, Number.NaN]);
    expect(areFinite).toEqual([true, false]);
  });

  it('attends over a cache in its memory', async () => {
    const [capacity, cached, numPositions] = [8, 2, 8];
    const half = b * capacity;
    const sequences = Float64Array.of(0, half, capacity, cached, rows);
    const [q, k, v, cache] = [rows * a, rows * b, rows * b, 2 * half].map((count) => bench.draw(count));
    const tables = bench.draw(numPositions * sizes.headDim);
    const [ropeCos, ropeSin] = [tables.slice(0, tables.length / 2), tables.slice(tables.length / 2)];
    const places: number[] = [];
    for (const values of [q, k, v, cache, ropeCos, ropeSin]) places.push(await bench.put(values!));
    const out = bench.room(rows * a);
    await bench.submit({
      ...{
        kind: 'attend',
        model: 'target',
        layer: 0,
        q: places[0],
        k: places[1],
        v: places[2],
        out,
        rows,
      },
      ...{ cache: places[3], cacheElements: 2 * half, sequences, numPositions },
      ...{ ropeCos: places[4], ropeSin: places[5], sinks: null },
    });
    const expected = new Float32Array(rows * a);
    const { numHeads, numKvHeads, headDim } = sizes;
    attend({
      shape: { numHeads, numKvHeads, headDim, slidingWindow: 0, scale: headDim ** -0.5 },
      sinks: null,
      ...{ q: q!, k: k!, v: v!, out: expected, cache: cache!, sequences, ropeCos, ropeSin, threads: 1 },
    });
    expect(maxDifference(await bench.get(out, rows * a), expected)).toBeLessThan(1e-5);
    expect(maxDifference(await bench.get(places[3], 2 * half), cache!)).toBeLessThan(1e-5);
  });

  it.each([
    ['as usual', 1, 1, false],
    ['where only noise tells tokens apart', 0, 50, false],
    ['where fp32 cannot tell them apart', 1e-9, 1e-3, true],
  ])('draws what the logits and the noise of each row say: %s', async (_, spread, temperature, isHard) => {
    const [numRows, width] = [3, 5000]; // a GPU looks at parts of a row
    const logits = bench.draw(numRows * width).map((value) => spread * value + (isHard ? 1e3 : 0));
    logits[2 * width + 7] = isHard ? 1e3 : Number.NaN;
    const draws = drawRows(parseSampling({ temperature, seed: 3 })!, [
      { noise: 4, numTokens: 9, numRows, tokens: () => [] },
    ]);
    const argmax = { kind: 'argmax', source: await bench.put(logits), rows: numRows, width, draws } as const;
    const { maxima } = await bench.submit(argmax);
    if (!isHard) expect(maxima[0]!.isPartial ?? false).toBe(false);
    const whole = maxima[0]!.isPartial ? await bench.submit({ ...argmax, fromAll: true }) : { maxima };
    const expected = drawTokens(draws, numRows, (row) => logits.subarray(row * width, (row + 1) * width));
    expect(whole.maxima[0]!.ids).toEqual(expected.ids);
    expect(whole.maxima[0]!.margins).toEqual(expected.margins);
  });

  // The processor draws by the very functions that are compared with.
  it.each<[SamplingInput, boolean?]>(choice.kind === 'vulkan' ? maskedDraws : maskedDraws.slice(0, 1))(
    'draws what masks and penalties leave, with the tokens of the processor: %o',
    async (input, isFlat = false) => {
      const [numRows, width] = [34, 3000]; // more rows than are answered at once
      const logits = bench.draw(numRows * width).map((value) => (isFlat ? value : 3 * value));
      logits.copyWithin(3 * width, 2 * width, 2 * width + 50); // equals
      const text = Array.from({ length: 200 }, (_, i) => [i % 90, 17, 2999 - i][i % 3]!);
      const draws = drawRows(parseSampling({ seed: 5, ...input })!, [
        { noise: 4, numTokens: text.length, numRows, tokens: () => text },
      ]);
      const source = await bench.put(logits);
      const argmax = { kind: 'argmax', source, rows: numRows, width, draws } as const;
      const { maxima, values } = await bench.submit(argmax, { kind: 'read', source, count: width });
      expect(values[0]).toEqual(logits.subarray(0, width)); // as they were
      if (choice.kind === 'vulkan') expect(maxima[0]!.isPartial ?? false).toBe(isFlat);
      const whole = maxima[0]!.isPartial ? await bench.submit({ ...argmax, fromAll: true }) : { maxima };
      const expected = drawTokens(draws, numRows, (row) => logits.subarray(row * width, (row + 1) * width));
      const { ids, margins, shares } = whole.maxima[0]!;
      expect(ids).toEqual(expected.ids);
      const ends = (all = shares) => all?.map((own) => [own.ids.at(-1), own.shares[0], own.shares.length]);
      expect(ends()).toEqual(ends(expected.shares));
      for (const [row, margin] of margins.entries())
        if (Math.min(margin, expected.margins[row]!) < 0.25)
          expect(margin).toBeCloseTo(expected.margins[row]!, 3);
    },
  );

  it.each(['bf16', 'f16', 'f32'] as const)('decodes and embeds what is stored in %s', async (dtype) => {
    const table = Float32Array.from({ length: vocabSize * h }, (_, i) => (i % 64) - 32); // exact in all three
    const bytes = codecs[dtype].encode(table);
    const source = bench.hostRoom(bytes.length);
    const { arena, offset } = bench.host.locate(source);
    new Uint8Array(arena.buffer, offset, bytes.length).set(bytes);
    const [target, embedded, again] = [bench.room(table.length), bench.room(2 * h), bench.room(2 * h)];
    const ids = Int32Array.of(10, 3);
    await bench.copy({ kind: 'decode', source, dtype, count: table.length, target });
    const isStored = isKept(formatsOf(choice), { dtype });
    const onDevice = { address: target, dtype: isStored ? dtype : ('f32' as const) };
    const embedding = { kind: 'embed', model: 'target', table: source, dtype, ids } as const;
    await bench.submit({ ...embedding, target: embedded }, { ...embedding, onDevice, target: again });
    const lies = await bench.get(target, table.length);
    // As stored, or widened.
    const expected = isStored ? bytes : new Uint8Array(table.buffer);
    expect(new Uint8Array(lies.buffer, 0, expected.length)).toEqual(expected);
    for (const rows of [embedded, again])
      expect([...(await bench.get(rows, 2 * h))]).toEqual(
        [...ids].flatMap((id) => [...table.subarray(id * h, (id + 1) * h)]),
      );
  });

  it('copies stretches across the link, zeros what it is told to, and leaves the rest', async () => {
    const values = bench.draw(12);
    const [host, back] = [bench.hostRoom(48), bench.hostRoom(48)];
    bench.host.floats(host, 12).set(values);
    bench.host.floats(back, 12).fill(7);
    const device = await bench.put(new Float32Array(12).fill(1));
    await bench.copy({ kind: 'upload', host, device, stretches: Float64Array.of(0, 4, 3, 8, 0, 2) });
    await bench.submit({ kind: 'zero', target: device + 32, byteLength: 8 });
    const [v0, v1, v2, , , , , , v8, v9] = values;
    const expected = [v8, v9, 1, 1, v0, v1, v2, 1, 0, 0, 1, 1];
    expect([...(await bench.get(device, 12))]).toEqual(expected);
    await bench.copy({ kind: 'read-back', host: back, device, stretches: Float64Array.of(1, 4, 3) });
    expect([...bench.host.floats(back, 12)]).toEqual([7, v0, v1, v2, 7, 7, 7, 7, 7, 7, 7, 7]);
  });

  it('keeps the order of a queue, awaited or not, and takes nothing too', async () => {
    const place = bench.room(1);
    const completions: Promise<Completion>[] = [];
    for (let value = 0; value < 20; value += 1)
      completions.push(
        bench.submit(
          { kind: 'write', values: Float32Array.of(value), target: place },
          { kind: 'read', source: place, count: 1 },
        ),
      );
    const done = await Promise.all(completions);
    expect(done.map(({ values }) => values[0][0])).toEqual(Array.from({ length: 20 }, (_, i) => i));
    for (const [i, { startSeconds, endSeconds }] of done.entries()) {
      expect(endSeconds).toBeGreaterThanOrEqual(startSeconds);
      if (i > 0) expect(startSeconds).toBeGreaterThanOrEqual(done[i - 1].endSeconds);
    }
    expect(await bench.submit()).toMatchObject({ values: [], maxima: [], areFinite: [] });
  });

  it('goes on behind commands that fail', async () => {
    const place = await bench.put(Float32Array.of(3));
    const weights = { finalNorm: f32At(0), head: f32At(0) };
    await expect(
      bench.copy({ kind: 'logits', model: 'target', x: 0, rows: 1, weights, out: 0 }),
    ).rejects.toThrow('cannot logits');
    await expect(
      bench.submit({ kind: 'logits', model: 'draft', x: 0, rows: 1, weights, out: 0 }),
    ).rejects.toThrow('draft');
    expect([...(await bench.get(place, 1))]).toEqual([3]);
  });
});

describe('the isolated device', () => {
  /** The order in which the answers to commands that were submitted together come. */
  async function orderOfAnswers(seed: number): Promise<number[]> {
    const bench = new Bench({ kind: 'isolated' }, spec, { seed });
    const place = await bench.put(Float32Array.of(0));
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 30 }, async (_, i) => {
        await bench.submit({ kind: 'read', source: place, count: 1 });
        order.push(i);
      }),
    );
    await bench.close();
    return order;
  }

  it('holds nothing at first that looks like zeros', async () => {
    const bench = new Bench({ kind: 'isolated' }, spec);
    expect((await bench.get(0, 1000)).every(Number.isNaN)).toBe(true);
    await bench.close();
  });

  it('answers in another order than it was asked', async () => {
    // On a busy machine commands may come so slowly that the device has answered each before the next: then once more.
    let seed = 5;
    let order: number[];
    const inOrder = Array.from({ length: 30 }, (_, i) => i);
    do {
      order = await orderOfAnswers(seed);
      expect([...order].sort((one, other) => one - other)).toEqual(inOrder);
      seed += 1;
    } while (order.every((id, i) => id === i) && seed < 25);
    expect(order).not.toEqual(inOrder);
  });

  it('reads host memory when it gets to it, not when it is asked', async () => {
    const bench = new Bench({ kind: 'isolated' }, spec);
    const host = bench.hostRoom(4);
    const device = await bench.put(Float32Array.of(0));
    const uploaded = async () => {
      bench.host.floats(host, 1).fill(1);
      const upload = bench.copy({ kind: 'upload', host, device, stretches: Float64Array.of(0, 0, 1) });
      // Queues are open by now, so the command is on its way.
      await Promise.resolve();
      bench.host.floats(host, 1).fill(2);
      await upload;
      return (await bench.get(device, 1))[0];
    };
    // On a busy machine the device may get to it before this thread goes on: then once more.
    let value = await uploaded();
    for (let again = 0; value !== 2 && again < 20; again += 1) value = await uploaded();
    expect(value).toBe(2);
    await bench.close();
  });
});
