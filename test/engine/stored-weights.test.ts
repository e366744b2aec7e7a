/** Weights in blocks stay as stored in every device's memory, and are multiplied as if they had been decoded. */

import { codecs, decodeWeights, type WeightDtype } from '@specoffload/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bench, devices, f32At, linear, rmsNorm } from './device-bench.js';
import { maxDifference } from './model/golden.js';
import { specOf } from './tiny.js';

const [h, f, vocabSize, rows, eps] = [256, 256, 8, 3, 1e-5];
const spec = specOf({
  ...{ architecture: 'llama', vocabSize, hiddenSize: h, numLayers: 1, numHeads: 4, numKvHeads: 2 },
  ...{ headDim: 64, ffnSize: f, numExperts: 1, expertsPerToken: 1, slidingWindow: null, ropeTheta: 1e4 },
  ...{ ropeScaling: null, rmsNormEps: eps, tieEmbeddings: false, maxPositions: 40, eosTokenIds: [] },
});

describe.each(devices)('$title', ({ choice, skipped }) => {
  if (skipped !== null) return it.skip('computes');
  let bench: Bench;

  beforeAll(() => {
    bench = new Bench(choice, spec);
  });

  afterAll(() => bench.close());

  /** A matrix of random blocks, brought across the link; its values are about as large as those of trained ones. */
  async function bring(dtype: WeightDtype, width: number) {
    const count = width * h;
    const blockBytes = codecs[dtype].bytes(256);
    const stored = Uint8Array.from(
      { length: codecs[dtype].bytes(count) },
      () => 256 * bench.random.uniform(),
    );
    // Scales of 2^-10 and less: the upper byte of each fp16 number, or an exponent by itself.
    for (let block = 0; block < stored.length; block += blockBytes) {
      if (dtype === 'q4_k') for (const at of [1, 3]) stored[block + at] = 4 + (stored[block + at]! & 0x83);
      else
        for (let at = 0; at < blockBytes; at += blockBytes / 8)
          if (dtype === 'mxfp4') stored[block + at] = 122;
          else stored[block + at + 1] = 8 + (stored[block + at + 1]! & 0x83);
    }
    const source = bench.hostRoom(stored.length);
    const { arena, offset } = bench.host.locate(source);
    new Uint8Array(arena.buffer, offset, stored.length).set(stored);
    const address = bench.room(stored.length / 4);
    await bench.copy({ kind: 'decode', source, dtype, count, target: address });
    const lies = await bench.get(address, stored.length / 4);
    expect(new Uint8Array(lies.buffer, lies.byteOffset, stored.length)).toEqual(stored);
    return { tensor: { address, dtype }, values: decodeWeights(stored, dtype) };
  }

  it.each(['q8_0', 'q4_k', 'mxfp4'] as const)('multiplies with %s', async (dtype) => {
    const [x, norm] = [bench.draw(rows * h), bench.draw(h)];
    const [xAt, normAt] = [await bench.put(x), await bench.put(norm)];
    const [gate, up, down, head] = [
      await bring(dtype, f),
      await bring(dtype, f),
      await bring(dtype, h),
      await bring(dtype, vocabSize),
    ];
    const [out, logits] = [bench.room(rows * h), bench.room(rows * vocabSize)];
    await bench.submit(
      {
        ...{ kind: 'feed-forward', model: 'target', layer: 0, x: xAt, rows, out },
        weights: { gate: gate.tensor, up: up.tensor, down: down.tensor },
      },
      {
        ...{ kind: 'logits', model: 'target', x: xAt, rows, out: logits },
        weights: { finalNorm: f32At(normAt), head: head.tensor },
      },
    );
    const ups = linear(x, up.values, h);
    const inner = linear(x, gate.values, h).map((g, i) => (g / (1 + Math.exp(-g))) * ups[i]!);
    const expected = linear(inner, down.values, f);
    const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(size).toBeGreaterThan(1e-4);
    expect(maxDifference(await bench.get(out, rows * h), expected)).toBeLessThan(1e-5 * size);
    const scores = linear(rmsNorm(x, norm, eps), head.values, h);
    expect(maxDifference(await bench.get(logits, rows * vocabSize), scores)).toBeLessThan(1e-4);
  });
});
