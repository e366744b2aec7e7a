/** What four bits buy: the bytes that move, and the texts of the decoded weights. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createRandom,
  loadReferenceWeights,
  openCheckpoint,
  referenceGreedy,
  runEngine,
  type Span,
} from '@specoffload/engine';
import { codecs, plainCodecs } from '@specoffload/native';
import { expect, it } from 'vitest';
import { sum } from '../../engine/dist/extremes.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { type Entry, encodeGguf, real, text, whole } from './model/gguf.js';

const directory = createTemporaryDirectory();
const [h, f, numLayers, vocabSize] = [256, 1024, 2, 256];
const random = createRandom(5);

const matrices: Readonly<Record<string, readonly [number, number]>> = {
  ...{ 'token_embd.weight': [vocabSize, h], 'output.weight': [vocabSize, h] },
  ...Object.fromEntries(
    Array.from({ length: numLayers }, (_, layer) => [
      ...[
        [`blk.${layer}.attn_q.weight`, [h, h]],
        [`blk.${layer}.attn_k.weight`, [h / 2, h]],
      ],
      ...[
        [`blk.${layer}.attn_v.weight`, [h / 2, h]],
        [`blk.${layer}.attn_output.weight`, [h, h]],
      ],
      ...[
        [`blk.${layer}.ffn_gate.weight`, [f, h]],
        [`blk.${layer}.ffn_up.weight`, [f, h]],
      ],
      [`blk.${layer}.ffn_down.weight`, [h, f]],
    ]).flat(),
  ),
};
const norms = [
  'output_norm',
  ...Array.from({ length: numLayers }, (_, i) => [`blk.${i}.attn_norm`, `blk.${i}.ffn_norm`]).flat(),
];
const metadata: Readonly<Record<string, Entry>> = {
  ...{ 'general.architecture': text('llama'), 'llama.block_count': whole(numLayers) },
  ...{ 'llama.context_length': whole(64), 'llama.embedding_length': whole(h) },
  ...{ 'llama.feed_forward_length': whole(f), 'llama.attention.head_count': whole(4) },
  ...{ 'llama.attention.head_count_kv': whole(2), 'llama.attention.key_length': whole(64) },
  ...{ 'llama.attention.value_length': whole(64), 'llama.rope.dimension_count': whole(64) },
  ...{ 'llama.attention.layer_norm_rms_epsilon': real(1e-5), 'llama.rope.freq_base': real(1e4) },
  'tokenizer.ggml.eos_token_id': whole(0),
};

/** Random blocks whose scales, at bytes 1 and 3, are small. */
function q4K(count: number): Uint8Array {
  const stored = Uint8Array.from({ length: codecs.q4_k.bytes(count) }, () => 256 * random.uniform());
  for (let at = 0; at < stored.length; at += codecs.q4_k.bytes(256)) {
    stored[at + 1] = 0x04 + (stored[at + 1]! & 3);
    stored[at + 3] = 0x10 + (stored[at + 3]! & 3);
  }
  return stored;
}

const bf16 = (count: number) =>
  plainCodecs.bf16.encode(Float32Array.from({ length: count }, () => 0.05 * random.normal()));

function write(name: string, type: number, encode: (count: number) => Uint8Array): string {
  const path = join(directory, `${name}.gguf`);
  const ones = plainCodecs.f32.encode(new Float32Array(h).fill(1));
  writeFileSync(
    path,
    encodeGguf(metadata, [
      ...Object.entries(matrices).map(([tensor, shape]) => ({
        name: tensor,
        shape,
        type,
        bytes: encode(shape[0] * shape[1]),
      })),
      ...norms.map((norm) => ({ name: `${norm}.weight`, shape: [h], type: 0, bytes: ones })),
    ]),
  );
  return path;
}

it('Q4_K moves 0.28 of the bytes of bf16 over disk and link, and writes what its decoded weights do', async () => {
  const prompts = [
    [1, 2, 3],
    [4, 5],
  ];
  const moved = [];
  for (const path of [write('bf16', 30, bf16), write('q4-k', 12, q4K)]) {
    const target = await openCheckpoint(path);
    const result = await runEngine({
      ...{ target, draft: null, prompts, strategy: 'none', maxNewTokens: 4, stopAtEos: false },
      ...{ machine: { deviceBytes: 16e6, hostBytes: 16e6 }, policy: { pinnedLayers: 0, keptLayers: 0 } },
    });
    // Of each group once: how far the next pass had come when the last one ended is a matter of time.
    const bytesOf = (task: Span['kind']) =>
      sum([
        ...new Map(
          result.spans.filter(({ kind }) => kind === task).map((span) => [span.name, span.bytes]),
        ).values(),
      ]);
    moved.push({ link: bytesOf('upload'), disk: bytesOf('load') });
    const weights = await loadReferenceWeights(target);
    const expected = prompts.map((ids) => referenceGreedy(weights, ids, 4).ids);
    expect(result.sequences.map(({ ids }) => ids.slice(-4))).toEqual(expected.map((ids) => ids.slice(-4)));
  }
  const [plain, quantised] = moved;
  expect(plain!.link).toBeGreaterThan(0);
  expect(quantised!.link / plain!.link).toBeCloseTo(0.28, 2);
  expect(quantised!.disk / plain!.disk).toBeCloseTo(0.28, 1); // direct reads reach to the next 4 KiB
});
