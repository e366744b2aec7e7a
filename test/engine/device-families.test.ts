/** What a device computes besides Mixtral: norms after attention and FFN, biases, sinks, other activations, scaled embeddings. */

import type { Activation, LayerSpec, ModelSpec } from '@specoffload/engine';
import { codecs } from '@specoffload/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attend } from '../../native/dist/twin/attention.js';
import { Bench, devices, f32At, linear, rmsNorm, tensorsAt } from './device-bench.js';
import { maxDifference } from './model/golden.js';
import { specOf } from './tiny.js';

const eps = 1e-6;
const norm = { eps, offset: 1 } as const;
const [h, f, numExperts, rows] = [10, 14, 5, 4];
const [numHeads, numKvHeads, headDim] = [4, 2, 6];
const [a, b] = [numHeads * headDim, numKvHeads * headDim];

const plain = specOf({
  ...{ architecture: 'mixtral', vocabSize: 9, hiddenSize: h, numLayers: 1, numHeads, numKvHeads, headDim },
  ...{ ffnSize: f, numExperts, expertsPerToken: 2, slidingWindow: 3, ropeTheta: 1e4, ropeScaling: null },
  ...{ rmsNormEps: eps, tieEmbeddings: false, maxPositions: 40, eosTokenIds: [] },
});
const [{ attention, norms, ffn }] = plain.layers as [LayerSpec];
const dense: LayerSpec = {
  attention: {
    ...{ ...attention, scale: 0.21, sinks: true, qkNorm: { over: 'projection', norm } },
    biases: { q: true, k: true, v: true, o: true },
  },
  norms: { beforeAttention: norm, afterAttention: norm, beforeFfn: norm, afterFfn: norm },
  ffn: {
    ...{ numExperts: 1, expertsPerToken: 1, width: f, activation: 'gelu-tanh', biases: false },
    ...{ router: null, sharedWidth: null },
  },
};
const sparse: LayerSpec = {
  ...{ attention: dense.attention, norms },
  ffn: {
    ...ffn,
    activation: 'clamped-swiglu',
    biases: true,
    router: { weights: 'renormalised', biases: true },
  },
};
const shared: LayerSpec = { attention, norms, ffn: { ...ffn, sharedWidth: 6 } };
const spec: ModelSpec = {
  ...{ ...plain, layers: [dense, sparse, shared], finalNorm: norm, embedding: { scale: 3.5, tied: false } },
};

const plusOne = (weight: Float32Array) => weight.map((value) => 1 + value);
const add = (x: Float32Array, y: Float32Array) => x.map((value, i) => value + y[i % y.length]);
const normed = (x: Float32Array, weight: Float32Array) => rmsNorm(x, plusOne(weight), eps);

const activations: Readonly<Record<Exclude<Activation, 'silu'>, (gate: number, up: number) => number>> = {
  'gelu-tanh': (x, up) => {
    const t = Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));
    return 0.5 * x * (1 + t) * up;
  },
  'clamped-swiglu': (x, up) => {
    const gate = Math.min(x, 7);
    return (gate / (1 + Math.exp(-1.702 * gate))) * (Math.max(-7, Math.min(7, up)) + 1);
  },
};

describe.each(devices)('$title', ({ choice, skipped }) => {
  if (skipped !== null) return it.skip('computes');
  let bench: Bench;

  beforeAll(() => {
    bench = new Bench(choice, spec);
  });

  afterAll(() => bench.close());

  /** Random values of each name in device memory. */
  async function put<Name extends string>(counts: Readonly<Record<Name, number>>, size = 1) {
    const values = {} as Record<Name, Float32Array>;
    const at = {} as Record<Name, number>;
    for (const [name, count] of Object.entries(counts) as [Name, number][]) {
      values[name] = bench.draw(count).map((value) => size * value);
      at[name] = await bench.put(values[name]);
    }
    return { values, at };
  }

  it('projects with biases, and norms all heads of q and of k together', async () => {
    const { values, at } = await put({
      ...{ x: rows * h, inputNorm: h, q: a * h, k: b * h, v: b * h, qBias: a, kBias: b, vBias: b },
      ...{ qNorm: a, kNorm: b },
    });
    const { x, ...weights } = at;
    const [q, k, v] = [bench.room(rows * a), bench.room(rows * b), bench.room(rows * b)];
    await bench.submit({
      ...{ kind: 'project', model: 'target', layer: 0, x, rows, q, k, v },
      weights: tensorsAt({ ...weights, o: 0, postNorm: 0 }),
    });
    const input = normed(values.x, values.inputNorm);
    const expected = {
      q: normed(add(linear(input, values.q, h), values.qBias), values.qNorm),
      k: normed(add(linear(input, values.k, h), values.kBias), values.kNorm),
      v: add(linear(input, values.v, h), values.vBias),
    };
    expect(maxDifference(await bench.get(q, rows * a), expected.q)).toBeLessThan(1e-5);
    expect(maxDifference(await bench.get(k, rows * b), expected.k)).toBeLessThan(1e-5);
    expect(maxDifference(await bench.get(v, rows * b), expected.v)).toBeLessThan(1e-5);
  });

  it('mixes with a norm of what attention adds, and with a bias of the router', async () => {
    const { values, at } = await put({
      ...{ attention: rows * a, x: rows * h, o: h * a, oBias: h, postNorm: h },
      ...{ afterAttentionNorm: h, router: numExperts * h, routerBias: numExperts },
    });
    const [y, out, scores] = [rows * h, rows * h, rows * numExperts].map((count) => bench.room(count));
    const mix = async (layer: number, weights: Readonly<Record<string, number>>) => {
      await bench.submit({
        ...{ kind: 'mix', model: 'target', layer, attention: at.attention, x: at.x, rows },
        weights: tensorsAt({
          ...{ inputNorm: 0, q: 0, k: 0, v: 0, o: at.o, oBias: at.oBias, postNorm: at.postNorm },
          ...weights,
        }),
        ...{ y: y!, normed: out!, router: scores! },
      });
      return [await bench.get(y!, rows * h), await bench.get(out!, rows * h)] as const;
    };
    const added = add(linear(values.attention, values.o, a), values.oBias);
    const [mixed, after] = await mix(0, { afterAttentionNorm: at.afterAttentionNorm });
    const expected = add(normed(added, values.afterAttentionNorm), values.x);
    expect(maxDifference(mixed, expected)).toBeLessThan(1e-5);
    expect(maxDifference(after, normed(expected, values.postNorm))).toBeLessThan(1e-5);

    const [, routed] = await mix(1, { router: at.router, routerBias: at.routerBias });
    const logits = add(linear(routed, values.router, h), values.routerBias);
    expect(maxDifference(await bench.get(scores!, rows * numExperts), logits)).toBeLessThan(1e-5);
  });

  it.each([
    ['gelu-tanh', 0],
    ['clamped-swiglu', 1],
  ] as const)('feeds forward with %s', async (activation, layer) => {
    // Large enough that some are clamped.
    const { values, at } = await put(
      {
        x: rows * h,
        gate: f * h,
        up: f * h,
        down: h * f,
        gateBias: f,
        upBias: f,
        downBias: h,
        afterFfnNorm: h,
      },
      1.5,
    );
    const { x, gateBias, upBias, downBias, afterFfnNorm, ...products } = at;
    const own: Readonly<Record<string, number>> =
      layer === 0 ? { afterFfnNorm } : { gateBias, upBias, downBias };
    const out = bench.room(rows * h);
    await bench.submit({
      ...{ kind: 'feed-forward', model: 'target', layer, x, rows, out },
      weights: tensorsAt({ ...products, ...own }),
    });
    const zero = Float32Array.of(0);
    const biasOf = (name: 'gateBias' | 'upBias' | 'downBias') => (layer === 0 ? zero : values[name]);
    const gates = add(linear(values.x, values.gate, h), biasOf('gateBias'));
    const ups = add(linear(values.x, values.up, h), biasOf('upBias'));
    expect(Math.max(...gates, ...ups)).toBeGreaterThan(7);
    const inner = gates.map((gate, i) => activations[activation](gate, ups[i]));
    const fed = add(linear(inner, values.down, f), biasOf('downBias'));
    const expected = layer === 0 ? normed(fed, values.afterFfnNorm) : fed;
    const size = Math.max(...expected.map(Math.abs));
    expect(maxDifference(await bench.get(out, rows * h), expected)).toBeLessThan(1e-6 * size + 1e-5);
  });

  it('multiplies what a shared expert makes of a row by a number of its own', async () => {
    const { values, at } = await put({ x: rows * h, gate: 6 * h, up: 6 * h, down: h * 6, outputGate: h });
    const { x, ...weights } = at;
    const out = bench.room(rows * h);
    await bench.submit({
      ...{ kind: 'feed-forward', model: 'target', layer: 2, x, rows, width: 6, out },
      weights: tensorsAt(weights),
    });
    const silu = (gate: number) => gate / (1 + Math.exp(-gate));
    const [gates, ups] = [linear(values.x, values.gate, h), linear(values.x, values.up, h)];
    const fed = linear(
      gates.map((gate, i) => silu(gate) * ups[i]),
      values.down,
      6,
    );
    const scores = linear(values.x, values.outputGate, h);
    const expected = fed.map((value, i) => value / (1 + Math.exp(-scores[Math.floor(i / h)])));
    expect(maxDifference(await bench.get(out, rows * h), expected)).toBeLessThan(2e-5);
  });

  it('attends with sinks, a window and a scale of its own', async () => {
    const [capacity, cached, numPositions] = [8, 2, 8];
    const half = b * capacity;
    const sequences = Float64Array.of(0, half, capacity, cached, rows);
    const { values, at } = await put({
      ...{ q: rows * a, k: rows * b, v: rows * b, cache: 2 * half, sinks: numHeads },
      ...{ ropeCos: (numPositions * headDim) / 2, ropeSin: (numPositions * headDim) / 2 },
    });
    const out = bench.room(rows * a);
    await bench.submit({
      ...{ kind: 'attend', model: 'target', layer: 0, rows, out, ...at, sinks: f32At(at.sinks) },
      ...{ cacheElements: 2 * half, sequences, numPositions },
    });
    const expected = new Float32Array(rows * a);
    attend({
      shape: { numHeads, numKvHeads, headDim, slidingWindow: 3, scale: 0.21 },
      ...{ ...values, out: expected, sequences, threads: 1 },
    });
    expect(maxDifference(await bench.get(out, rows * a), expected)).toBeLessThan(1e-5);
  });

  it('scales embeddings, and norms before the head', async () => {
    const table = bench.draw(9 * h);
    const bytes = codecs.f32.encode(table);
    const source = bench.hostRoom(bytes.length);
    const { arena, offset } = bench.host.locate(source);
    new Uint8Array(arena.buffer, offset, bytes.length).set(bytes);
    const { values, at } = await put({ finalNorm: h, head: 9 * h });
    const [embedded, out] = [bench.room(2 * h), bench.room(2 * 9)];
    const ids = Int32Array.of(8, 3);
    await bench.submit(
      { kind: 'embed', model: 'target', table: source, dtype: 'f32', ids, target: embedded },
      { kind: 'logits', model: 'target', x: embedded, rows: 2, weights: tensorsAt(at), out },
    );
    const x = Float32Array.from([...ids].flatMap((id) => [...table.subarray(id * h, (id + 1) * h)]));
    const scaled = x.map((value) => 3.5 * value);
    expect(await bench.get(embedded, 2 * h)).toEqual(scaled);
    const logits = linear(normed(scaled, values.finalNorm), values.head, h);
    expect(maxDifference(await bench.get(out, 2 * 9), logits)).toBeLessThan(1e-5);
  });
});
