/** A packed checkpoint writes what the bf16 one writes, whatever streams it, from fewer bytes. */

import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Checkpoint,
  type DeviceChoice,
  openCheckpoint,
  type PolicyInput,
  packCheckpoint,
  runEngine,
  runLogits,
  type StrategyName,
} from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTemporaryDirectory } from './model/fixtures.js';
import { goldenDirectory } from './model/golden.js';
import { writeTinyModel } from './tiny.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const root = createTemporaryDirectory();
const config = {
  ...{ architecture: 'mixtral', vocabSize: 96, hiddenSize: 128, numLayers: 3, ffnSize: 192 },
  ...{ numHeads: 4, numKvHeads: 2, headDim: 32, numExperts: 4, expertsPerToken: 2 },
  ...{ slidingWindow: null, ropeTheta: 1e4, ropeScaling: null, rmsNormEps: 1e-5 },
  ...{ tieEmbeddings: false, maxPositions: 64, eosTokenIds: [] },
};
const weights = { dtype: 'bf16', seed: 8 } as const;
const prompts = [
  [5, 6, 7, 8, 9],
  [40, 41, 42],
  [11, 12, 13, 14],
  [90, 3, 17],
];
const machine = { deviceBytes: 3.2e6, hostBytes: 1.6e6 };
const maxNewTokens = 6;

let bf16: Checkpoint;
let packed: Checkpoint;
let drafts: readonly Checkpoint[];

beforeAll(async () => {
  bf16 = await writeTinyModel(root, 'bf16', config, weights);
  const draft = await writeTinyModel(root, 'draft', config, { ...weights, perturbation: 0.2 });
  const pack = async ({ directory }: Checkpoint, name: string) =>
    (await packCheckpoint({ sourceDirectory: directory, targetDirectory: join(root, name) })).target;
  packed = await pack(bf16, 'packed');
  drafts = [draft, await pack(draft, 'packed-draft')];
});

it('is smaller by what is packed', () => {
  expect(packed.bytes / bf16.bytes).toBeCloseTo(100 / 128, 2);
});

async function expectSameLogits(checkpoints: readonly Checkpoint[]) {
  const [one, other] = await Promise.all(
    checkpoints.map((target) => runLogits({ target, prompts, machine })),
  );
  expect(other).toEqual(one);
}

it('makes logits of the same bits', () => expectSameLogits([bf16, packed]));

// A tied embedding; stacks of experts, of which those that are stored transposed stay bf16; an expert for all.
it.each(['gemma3', 'gpt-oss', 'qwen2-moe'])('makes those of %s, too', async (name) => {
  const targetDirectory = join(root, `packed-${name}`);
  const { source, target } = await packCheckpoint({
    sourceDirectory: goldenDirectory(name),
    targetDirectory,
  });
  await expectSameLogits([source, target]);
});

it('keeps more layers within the same walls, and reads less', async () => {
  const budgets = { deviceBytes: 2e6, hostBytes: 1.2e6 };
  const run = async (target: Checkpoint) => {
    const request = { target, draft: null, prompts, strategy: 'none', maxNewTokens: 3 } as const;
    const { policy, memory, bytesMoved } = await runEngine({ ...request, policy: {}, machine: budgets });
    expect(memory.device.peakBytes).toBeLessThanOrEqual(budgets.deviceBytes);
    expect(memory.host.peakBytes).toBeLessThanOrEqual(budgets.hostBytes);
    return { resident: policy.pinnedLayers + policy.keptLayers, disk: bytesMoved.disk };
  };
  const [plain, small] = [await run(bf16), await run(packed)];
  expect(small.resident).toBeGreaterThan(plain.resident);
  expect(small.disk).toBeLessThan(0.78 * plain.disk);
});

const isolated: DeviceChoice = { kind: 'isolated' };
const runs: readonly (readonly [StrategyName, PolicyInput, DeviceChoice?])[] = [
  ['none', {}],
  ['serial', {}],
  ['serial', { speculation: 'ahead' }],
  ['specoffload', {}],
  ['ahead', {}],
  ['deepspeed', {}],
  ['flexgen', { microBatch: 2 }],
  ['fiddler', {}],
  ['hetegen', {}],
  ['apex', {}],
  ['none', { experts: 'routed', expertPrefetch: 'router', expertCache: 'lru' }],
  ['none', { experts: 'routed', hostExpertRows: 4 }],
  ['specoffload', {}, isolated],
];

it('writes the same tokens under every strategy', async () => {
  const write = async (target: Checkpoint, draft: Checkpoint, index: number) => {
    const [strategy, policy, device] = runs[index]!;
    const { sequences } = await runEngine({
      ...{ target, draft, prompts, strategy, policy, maxNewTokens, machine },
      ...(device && { device }),
    });
    return sequences.map(({ ids }) => ids);
  };
  const expected = await write(bf16, drafts[0]!, 0);
  for (const [index, [strategy]] of runs.entries())
    expect(await write(packed, drafts[index % 2]!, index), `${index}: ${strategy}`).toEqual(expected);
});

describe.skipIf(whyNoVulkan !== null)('on Vulkan', () => {
  const roomy = { ...machine, hostBytes: 16e6 }; // queues take 6 of them
  const inPlace = { keptExperts: 'in-place', keptAttention: 'in-place' } as const;
  afterAll(() => expect(validationMessages()).toEqual([]));

  it('comes to the bits of bf16, copied, read in host memory, or copied where kernels read no words there', async () => {
    const run = (target: Checkpoint, policy: PolicyInput) =>
      runEngine({
        ...{ target, draft: null, prompts, strategy: 'none', maxNewTokens, machine: roomy },
        ...{ policy: { pinnedLayers: 0, ...policy }, device: watchedVulkan },
      });
    const { sequences: expected } = await run(bf16, {});
    const odd = await movedByOne(packed);
    for (const [target, policy] of [
      [packed, {}],
      [packed, inPlace],
      [odd, inPlace],
    ] as const) {
      const { sequences, spans, memory } = await run(target, policy);
      expect(sequences.map(({ ids, margins }) => [ids, margins])).toEqual(
        expected.map(({ ids, margins }) => [ids, margins]),
      );
      const isCopied = spans.some(({ kind, phase }) => kind === 'upload' && phase === 'decode');
      expect(isCopied).toBe(target === odd || policy !== inPlace);
      expect(memory.device.peakBytes).toBeLessThanOrEqual(roomy.deviceBytes);
    }
  });
});

/** The same whose tensors begin at odd bytes of its file. */
async function movedByOne({ directory }: Checkpoint): Promise<Checkpoint> {
  const target = `${directory}-odd`;
  await cp(directory, target, { recursive: true });
  const path = join(target, 'model.safetensors');
  const bytes = await readFile(path);
  const headerBytes = Number(bytes.readBigUInt64LE());
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(headerBytes + 1));
  const [header, tensors] = [bytes.subarray(8, 8 + headerBytes), bytes.subarray(8 + headerBytes)];
  await writeFile(path, Buffer.concat([length, header, Buffer.from(' '), tensors]));
  return openCheckpoint(target);
}
