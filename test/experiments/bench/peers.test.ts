import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadReferenceWeights, openCheckpoint, referenceGreedy } from '@specoffload/engine';
import { expect, it } from 'vitest';
import { writeGguf } from '../../../experiments/src/bench/gguf-file.js';
import type { PeerRun } from '../../../experiments/src/bench/peers/main.js';
import { runPeer } from '../../../experiments/src/bench/peers/peer.js';
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

it('stops a program that takes too long, and tells how far it was', async () => {
  const request = {
    ...{ modulePath: '', model: '', prompts: [[1]], newTokens: 2, threads: 1, memoryBytes: 0 },
  };
  const runScript = (script: string, seconds: number, seen: number[] = []) =>
    runPeer(
      ['node', '-e', script],
      request,
      { memoryBytes: null, seconds },
      (count) => seen.push(count),
      new AbortController().signal,
    );
  const say = (line: object) => `console.log(${JSON.stringify(JSON.stringify(line))});`;
  const loaded = `console.log('loading');${say({ newTokens: 0 })}${say({ newTokens: 1, prefillSeconds: 0.25 })}`;
  const seen: number[] = [];
  // Long enough for a busy machine to start the program, which then waits for nothing but its end.
  expect(await runScript(`${loaded}setInterval(() => {}, 1000)`, 4, seen)).toEqual({
    ...{ prefillSeconds: 0.25, decodeSeconds: 3.75, tokens: null },
  });
  expect(seen).toEqual([0, 1]);
  const whole = { prefillSeconds: 1, decodeSeconds: 2, tokens: [[3, 4]] };
  expect(await runScript(loaded + say(whole), 60)).toEqual(whole);
  await expect(runScript('console.error("no memory"); process.exit(3)', 60)).rejects.toThrow(
    'node ended with 3: no memory',
  );
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
    ...[run('specoffload', 0, 1, 2), run('llama.cpp', 0, 1.6, 2), run('llama.cpp-same-memory', 0, 10, 50)],
    ...[run('specoffload', 1, 10, 20), run('llama.cpp', 1, 16, 22)],
  ];
  expect(verdicts(runs)).toEqual([
    'reached: prefill, of llama.cpp with all of it in memory: 1.60 times, wanted 1.5 (2 rounds)',
    'not reached: decode, of llama.cpp with all of it in memory: 1.10 times, wanted 1.2 (2 rounds)',
    'reached: the whole run, of llama.cpp in the same memory: 20.00 times, wanted 15 (1 round)',
    "not measured here: the whole run, of Accelerate's disk offload, wanted 8 times",
  ]);
  const fromBf16 = [run('specoffload-bf16', 0, 2, 4), run('specoffload-bf16', 1, 16, 22)];
  expect(verdicts([...runs, ...fromBf16])[1]).toBe(
    'not reached: decode, of llama.cpp with all of it in memory: 1.10 times, wanted 1.2, 1.00 with weights as bf16 (2 rounds)',
  );
  const stopped = (seconds: number) => ({ ...run('accelerate', 0, seconds, 0), sameTokens: null });
  expect([20, 30].map((seconds) => verdicts([runs[0], stopped(seconds)])[3])).toEqual([
    "open, it was stopped: the whole run, of Accelerate's disk offload: at least 6.67 times, wanted 8 (1 round)",
    "reached: the whole run, of Accelerate's disk offload: at least 10.00 times, wanted 8 (1 round)",
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
