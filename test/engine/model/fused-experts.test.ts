/** Experts in one tensor, as a model's state dictionary has them since transformers 5. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  inflateCheckpoint,
  loadReferenceWeights,
  openCheckpoint,
  readTensor,
  runEngine,
} from '@specoffload/engine';
import { plainCodecs } from '@specoffload/native';
import { expect, it } from 'vitest';
import { createTemporaryDirectory, writeDirectory } from './fixtures.js';
import { goldenDirectory, readGolden } from './golden.js';
import { type Raw, writeSafetensors } from './quantised.js';

const root = createTemporaryDirectory();

/** What `save_file(model.state_dict())` writes of a golden model. */
async function fuse(name: string): Promise<string> {
  const { tensors, layers } = await openCheckpoint(goldenDirectory(name));
  const fused: Record<string, Raw> = {};
  const put = (key: string, shape: readonly number[], values: Float32Array) => {
    fused[key] = { dtype: 'BF16', shape, bytes: plainCodecs.bf16.encode(values) };
  };
  for (const ref of tensors.values())
    if (!ref.name.includes('.experts.'))
      put(ref.name.replace('block_sparse_moe', 'mlp'), ref.shape, await readTensor(ref));
  for (const [layer, { experts }] of layers.entries()) {
    if (experts.length === 1) continue;
    const [width, hidden] = experts[0].tensors[0].ref.shape;
    const both = new Float32Array(experts.length * 2 * width * hidden);
    const down = new Float32Array(experts.length * hidden * width);
    for (const [expert, group] of experts.entries())
      for (const { role, ref } of group.tensors) {
        const half = role === 'up' ? 1 : 0;
        if (role === 'down') down.set(await readTensor(ref), expert * hidden * width);
        else both.set(await readTensor(ref), (2 * expert + half) * width * hidden);
      }
    const stem = `model.layers.${layer}.mlp.experts`;
    put(`${stem}.gate_up_proj`, [experts.length, 2 * width, hidden], both);
    put(`${stem}.down_proj`, [experts.length, hidden, width], down);
  }
  const config = readFileSync(join(goldenDirectory(name), 'config.json'), 'utf8');
  const directory = writeDirectory(root, `${name}-fused`, { 'config.json': config });
  writeSafetensors(join(directory, 'model.safetensors'), fused);
  return directory;
}

it.each(['mixtral', 'qwen2-moe'])('%s is the same model with its experts in one', async (name) => {
  const [original, fused] = await Promise.all(
    [goldenDirectory(name), await fuse(name)].map((path) => openCheckpoint(path)),
  );
  expect(fused.parameters).toBe(original.parameters);
  const [expected, actual] = await Promise.all([original, fused].map((model) => loadReferenceWeights(model)));
  expect(actual.layers).toEqual(expected.layers);
  const [prompt] = readGolden(name).prompts;
  const targetDirectory = join(root, `${name} inflated`);
  const { width } = fused.spec.layers[0].ffn;
  const inflated = await inflateCheckpoint({ source: fused, targetDirectory, ffnSize: width + 16, seed: 1 });
  for (const target of [fused, inflated]) {
    const { sequences } = await runEngine({
      ...{ target, draft: null, strategy: 'none', prompts: [prompt.ids], maxNewTokens: 6 },
      ...{ policy: { pinnedLayers: 0 }, machine: { deviceBytes: 16e6, hostBytes: 16e6 } },
    });
    expect(sequences[0].ids).toEqual(prompt.greedy_ids.slice(0, 6));
  }
});
