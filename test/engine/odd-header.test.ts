import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  inflateCheckpoint,
  loadReferenceWeights,
  type ModelSummary,
  openCheckpoint,
  referenceGreedy,
  runEngine,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { drawPrompts } from './draw.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { writeTinyModel } from './tiny.js';

/** The format pads no header: MLX writes them as they come, and then every tensor starts at an odd byte. */
const directory = createTemporaryDirectory();
const config: ModelSummary = {
  ...{ architecture: 'mixtral', vocabSize: 50, hiddenSize: 32, numLayers: 3, numHeads: 4, numKvHeads: 2 },
  ...{ headDim: 8, ffnSize: 48, numExperts: 4, expertsPerToken: 2, slidingWindow: null, ropeTheta: 1e4 },
  ...{ ropeScaling: null, rmsNormEps: 1e-5, tieEmbeddings: false, maxPositions: 40, eosTokenIds: [] },
};
const prompts = drawPrompts(createRandom(5), 3, 9, config.vocabSize);

/** Rewrites all files of a checkpoint, their data `shift` bytes after a multiple of 8. */
function unalign(checkpoint: Checkpoint, shift: number): Promise<Checkpoint> {
  for (const name of readdirSync(checkpoint.directory).filter((file) => file.endsWith('.safetensors'))) {
    const path = join(checkpoint.directory, name);
    const bytes = readFileSync(path);
    const headerBytes = Number(bytes.readBigUInt64LE());
    const json = bytes
      .subarray(8, 8 + headerBytes)
      .toString()
      .trimEnd();
    const header = Buffer.from(json + ' '.repeat((((shift - json.length) % 8) + 8) % 8));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(path, Buffer.concat([length, header, bytes.subarray(8 + headerBytes)]));
  }
  return openCheckpoint(checkpoint.directory);
}

describe.each(['bf16', 'f16', 'f32', 'mixed'] as const)('a header of any length, %s', (dtype) => {
  it.each([1, 3, 7])('data from byte 8n + %i on give the same tokens', async (shift) => {
    const written = await writeTinyModel(directory, `${dtype}-${shift}`, config, { dtype, seed: 7 });
    const target = await unalign(written, shift);
    const offsets = [...target.tensors.values()].map(({ fileOffset }) => fileOffset);
    expect(offsets.some((offset) => offset % 2 === 1)).toBe(true);
    const weights = await loadReferenceWeights(target);
    const expected = prompts.map((prompt) => referenceGreedy(weights, prompt, 6).ids);
    for (const native of ['native', 'twin'] as const)
      for (const policy of [
        { pinnedLayers: 0, keptLayers: 0 },
        { hostExpertRows: 2, experts: 'routed' as const },
      ]) {
        const machine = { deviceBytes: 4e6, hostBytes: 4e6, native };
        const run = {
          target,
          draft: null,
          prompts,
          strategy: 'none' as const,
          maxNewTokens: 6,
          policy,
          machine,
        };
        expect((await runEngine(run)).sequences.map(({ ids }) => ids)).toEqual(expected);
      }
  });
});

it('such a model inflates, and its inflated form writes the same tokens', async () => {
  const source = await unalign(
    await writeTinyModel(directory, 'source', config, { dtype: 'mixed', seed: 7 }),
    5,
  );
  const request = { layers: 5, experts: 8, ffnSize: 64, seed: 1 };
  const inflated = await inflateCheckpoint({
    source,
    targetDirectory: join(directory, 'inflated'),
    ...request,
  });
  const greedy = async (checkpoint: Checkpoint) =>
    referenceGreedy(await loadReferenceWeights(checkpoint), prompts[0], 6).ids;
  expect(await greedy(inflated)).toEqual(await greedy(source));
});
