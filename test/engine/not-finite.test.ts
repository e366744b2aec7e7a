import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import {
  type Checkpoint,
  createRandom,
  loadReferenceWeights,
  type ModelSummary,
  type RunRequest,
  referenceLogits,
  runEngine,
  runLogits,
  UserError,
} from '@specoffload/engine';
import { type PlainDtype, plainCodecs } from '@specoffload/native';
import { describe, expect, it } from 'vitest';
import { explainNotFinite } from '../../engine/dist/run/not-finite.js';
import { drawPrompts } from './draw.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { writeTinyModel } from './tiny.js';

const directory = createTemporaryDirectory();
const sparse: ModelSummary = {
  ...{ architecture: 'mixtral', vocabSize: 50, hiddenSize: 32, numLayers: 3, numHeads: 4, numKvHeads: 2 },
  ...{ headDim: 8, ffnSize: 48, numExperts: 4, expertsPerToken: 2, slidingWindow: null, ropeTheta: 1e4 },
  ...{ ropeScaling: null, rmsNormEps: 1e-5, tieEmbeddings: false, maxPositions: 40, eosTokenIds: [] },
};
const dense: ModelSummary = { ...sparse, architecture: 'mistral', numExperts: 1, expertsPerToken: 1 };
const machine = { deviceBytes: 4e6, hostBytes: 4e6 };
let numModels = 0;

function writeModel(config: ModelSummary, dtype: PlainDtype = 'bf16'): Promise<Checkpoint> {
  numModels += 1;
  return writeTinyModel(directory, `model-${numModels}`, config, { dtype, seed: numModels });
}

/** Puts `value` in place of one weight. */
function spoil({ tensors }: Checkpoint, name: string, value: number, element = 3): void {
  const { path, dtype, fileOffset } = tensors.get(name)!;
  const bytes = plainCodecs[dtype as PlainDtype].encode(Float32Array.of(value));
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, fileOffset + element * bytes.length);
  closeSync(file);
}

function request(changes: Pick<RunRequest, 'target'> & Partial<RunRequest>): RunRequest {
  return {
    ...{
      draft: null,
      prompts: drawPrompts(createRandom(5), 3, 9, 50),
      strategy: 'none',
      maxNewTokens: 8,
      machine,
    },
    ...{ policy: { pinnedLayers: 0, keptLayers: 0 }, ...changes },
  };
}

const layer = 'model.layers.1';
const weights = [
  [`${layer}.self_attn.q_proj.weight`, 'hidden states that are not finite in layer 1'],
  [`${layer}.self_attn.v_proj.weight`, 'hidden states that are not finite in layer 1'],
  [`${layer}.input_layernorm.weight`, 'hidden states that are not finite in layer 1'],
  // A score that is not finite would only lose the comparison with the others.
  [`${layer}.block_sparse_moe.gate.weight`, 'router scores that are not finite in layer 1'],
  ['model.norm.weight', 'logits that are not finite'],
  ['lm_head.weight', 'logits that are not finite'],
] as const;

describe('a stored weight that is no number', () => {
  it.each(weights)('%s ends the run and is named', async (name, where) => {
    const target = await writeModel(sparse);
    spoil(target, name, Number.NaN);
    const run = runEngine(request({ target }));
    await expect(run).rejects.toThrow(UserError);
    await expect(run).rejects.toThrow(
      `the target ${target.directory} computes ${where}: ${target.tensors.get(name)!.path} holds NaN in ${name} (element 3 of `,
    );
  });

  it.each([
    ['bf16', Number.POSITIVE_INFINITY, 'Infinity'],
    ['f16', Number.NEGATIVE_INFINITY, '-Infinity'],
    ['f32', Number.NaN, 'NaN'],
  ] as const)('is found in %s, as %s too', async (dtype, value, text) => {
    const target = await writeModel(dense, dtype);
    spoil(target, `${layer}.self_attn.o_proj.weight`, value, 33);
    await expect(runEngine(request({ target }))).rejects.toThrow(
      `holds ${text} in ${layer}.self_attn.o_proj.weight (element 33 of 1024)`,
    );
  });

  it('of an FFN comes to light in the layer after it', async () => {
    const target = await writeModel(dense);
    spoil(target, 'model.layers.0.mlp.down_proj.weight', Number.NaN);
    await expect(runEngine(request({ target }))).rejects.toThrow(
      /not finite in layer 1: .* holds NaN in model\.layers\.0\.mlp\.down_proj\.weight/,
    );
  });

  it.each(['host', 'device'] as const)(
    'ends the run with attention on the %s, and on the twin',
    async (attention) => {
      const target = await writeModel(sparse);
      spoil(target, `${layer}.self_attn.k_proj.weight`, Number.NaN);
      for (const native of ['native', 'twin'] as const) {
        const policy = { pinnedLayers: 0, keptLayers: 0, attention, cache: attention };
        const run = runEngine(request({ target, policy, machine: { ...machine, native } }));
        await expect(run, native).rejects.toThrow(`holds NaN in ${layer}.self_attn.k_proj.weight`);
      }
    },
  );

  it('ends `model logits` and the reference pass', async () => {
    const target = await writeModel(sparse);
    spoil(target, 'lm_head.weight', Number.NaN);
    const { prompts } = request({ target });
    await expect(runLogits({ target, prompts, machine })).rejects.toThrow('holds NaN in lm_head.weight');
    const reference = await loadReferenceWeights(target);
    expect(() => referenceLogits(reference, [1, 2])).toThrow('the logits are not finite');
  });

  it.each(['serial', 'specoffload'] as const)(
    'in the draft ends %s, and the draft is named',
    async (strategy) => {
      const target = await writeModel(sparse);
      const draft = await writeModel(dense);
      spoil(draft, 'model.layers.2.mlp.up_proj.weight', Number.NaN);
      for (const kind of ['cpu', 'isolated'])
        await expect(runEngine(request({ target, draft, strategy, device: { kind } })), kind).rejects.toThrow(
          `the draft ${draft.directory} computes logits that are not finite: ${draft.directory}/model.safetensors holds NaN in model.layers.2.mlp.up_proj.weight`,
        );
    },
  );

  it('that nothing reads is no reason to stop', async () => {
    const target = await writeModel(sparse);
    const { prompts } = request({ target });
    const before = await runEngine(request({ target }));
    const used = new Set([...prompts.flat(), ...before.sequences.flatMap(({ ids }) => ids)]);
    const unused = Array.from({ length: 50 }, (_, id) => id).find((id) => !used.has(id))!;
    spoil(target, 'model.embed_tokens.weight', Number.NaN, unused * sparse.hiddenSize);
    expect((await runEngine(request({ target }))).outputDigest).toBe(before.outputDigest);
  });
});

it('a file that turns into ones during the run ends it', async () => {
  const target = await writeModel(dense);
  const [first] = target.tensors.values();
  const { path } = first!;
  const header = Math.min(...[...target.tensors.values()].map(({ fileOffset }) => fileOffset));
  const ones = Buffer.alloc(statSync(path).size - header, 0xff);
  let isSpoiled = false;
  const onProgress = () => {
    if (isSpoiled) return;
    isSpoiled = true;
    const file = openSync(path, 'r+');
    writeSync(file, ones, 0, ones.length, header);
    closeSync(file);
  };
  await expect(runEngine(request({ target, maxNewTokens: 20, onProgress }))).rejects.toThrow(
    /computes (hidden states|logits) that are not finite.*holds NaN in model\./,
  );
});

it('files that are gone by the time of the search are said to be', async () => {
  const target = await writeModel(dense);
  rmSync(target.tensors.get('lm_head.weight')!.path);
  const error = await explainNotFinite({ model: 'target', layer: dense.numLayers, what: 'logits' }, target);
  expect(error).toBeInstanceOf(UserError);
  expect(error.message).toMatch(
    /not finite, and the weights that lead there cannot be read any more \(ENOENT/,
  );
});

it('weights too large for the arithmetic are refused, and said to be finite as stored', async () => {
  const target = await writeModel(dense, 'f32');
  const { fileOffset, byteLength, path } = target.tensors.get('model.norm.weight')!;
  const huge = plainCodecs.f32.encode(new Float32Array(byteLength / 4).fill(3e38));
  const file = openSync(path, 'r+');
  writeSync(file, huge, 0, huge.length, fileOffset);
  closeSync(file);
  await expect(runEngine(request({ target }))).rejects.toThrow(
    'computes logits that are not finite, though all stored weights that lead there are finite',
  );
});
