import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadReferenceWeights, openCheckpoint, referenceGreedy } from '@specoffload/engine';
import { expect, it } from 'vitest';
import { writeGguf } from '../../../experiments/src/bench/gguf-file.js';
import type { PeerRun } from '../../../experiments/src/bench/peers/main.js';
import { verdicts } from '../../../experiments/src/bench/peers/verdicts.js';
import { verdicts as productVerdicts } from '../../../experiments/src/bench/products.js';
import { verdicts as storedVerdicts } from '../../../experiments/src/bench/q4k.js';
import { goldenDirectory, readGolden } from '../../engine/model/golden.js';

it('hands llama.cpp the same model', async () => {
  const path = join(tmpdir(), `specoffload-test-${process.pid}.gguf`);
  try {
    await writeGguf(await openCheckpoint(goldenDirectory('mixtral')), path);
    const [{ ids, greedy_ids }] = readGolden('mixtral').prompts;
    const weights = await loadReferenceWeights(await openCheckpoint(path));
    expect(referenceGreedy(weights, ids, 6).ids).toEqual(greedy_ids.slice(0, 6));
  } finally {
    await rm(path, { force: true });
  }
});

it('judges by ratios within rounds', () => {
  const run = (
    name: PeerRun['name'],
    round: number,
    prefillSeconds: number,
    decodeSeconds: number,
  ): PeerRun => ({
    ...{ name, round, prefillSeconds, decodeSeconds, sameTokens: 1 },
  });
  const runs = [
    ...[run('specoffload', 0, 1, 2), run('llama.cpp', 0, 1.6, 2), run('llama.cpp, same memory', 0, 10, 50)],
    ...[run('specoffload', 1, 10, 20), run('llama.cpp', 1, 16, 22)],
  ];
  expect(verdicts(runs)).toEqual([
    'reached: prefill, of llama.cpp with all of it in memory: 1.60 times, wanted 1.5 (2 rounds)',
    'not reached: decode, of llama.cpp with all of it in memory: 1.10 times, wanted 1.2 (2 rounds)',
    'reached: the whole run, of llama.cpp in the same memory: 20.00 times, wanted 15 (1 rounds)',
    "not measured here: the whole run, of Accelerate's disk offload, wanted 8 times",
  ]);
  const product = { dtype: 'q4_k', rows: 64, flopsPerSecond: 1, fp32FlopsPerSecond: 1, ratio: 0.95 } as const;
  const decoding = [{ dtype: 'q4_k', storedBytesPerSecond: 3e9 }] as const;
  const stored = (dtype: 'bf16' | 'q4_k', bytes: number, decodeSeconds: number) => ({
    ...{ dtype, round: 0, diskBytes: bytes, linkBytes: bytes, prefillSeconds: 1, decodeSeconds },
  });
  expect(storedVerdicts([stored('bf16', 1000, 3), stored('q4_k', 280, 1.5)])).toEqual([
    "reached: Q4_K moves 0.280 of bf16's bytes from disk and 0.280 over the link, wanted 0.28",
    'not reached: Q4_K decodes 2.00 times as fast where the disk binds, wanted 2.5',
  ]);
  expect(productVerdicts([product, { ...product, rows: 1, ratio: 0.1 }], decoding)).toEqual([
    "reached: 64 rows and more, at least 0.95 times onnxruntime's fp32, wanted 0.9",
    'not reached: decoding on one core, at least 3.0 GB/s of q4_k and mxfp4, wanted 4',
  ]);
});
