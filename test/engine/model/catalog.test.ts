import {
  catalogSpec,
  describeCatalogModel,
  describeModel,
  modelCatalog,
  simulateRun,
} from '@specoffload/engine';
import { expect, it } from 'vitest';
import { openMachine } from '../../../experiments/src/inputs/machines.js';

/**
 * Of the specs: whoever changes an entry gives it another digest in the catalogue too, and writes the new one here. And
 * the billions of parameters that its publishers, or the sizes of the published files, tell.
 */
const published: Readonly<Record<string, readonly [digest: string, billions: number]>> = {
  'mixtral-8x7b': ['5c1125e5a99fd7fe', 46.7],
  'mixtral-8x22b': ['1e9cb99d6761b2d9', 140.6],
  'mistral-7b': ['c8bf882dd24a5f59', 7.24],
  'mistral-nemo-12b': ['fca6df55f410736c', 12.2],
  'mistral-small-24b': ['7195288ac8d77603', 23.6],
  'mistral-large-123b': ['91a3aa90444f6ea3', 123],
  'llama-3.3-70b': ['3c1c36aaab03f40b', 70.6],
  'llama-3.1-405b': ['97ed999a852973a2', 406],
  'llama-3.1-8b': ['7408e3b6056a0ba9', 8.03],
  'llama-3.2-3b': ['9d67b33a8ad5f573', 3.21],
  'llama-3.2-1b': ['1bb4b5eb03d650b6', 1.24],
  'qwen2.5-3b': ['73566ac5b656bc99', 3.09],
  'qwen3-235b-a22b': ['1e99c5650b96b2b5', 235],
  'qwen3-30b-a3b': ['cb21fcb3220639ea', 30.5],
  'qwen3-32b': ['48a872ed9cc0aa5c', 32.8],
  'qwen3-14b': ['738b2d51b002913d', 14.8],
  'qwen3-8b': ['cbeda3fe21452af4', 8.19],
  'qwen3-4b': ['b316b459361c4281', 4.02],
  'qwen3-1.7b': ['c9a9338aee37f557', 1.72],
  'qwen3-0.6b': ['830091beee7ecf1f', 0.596],
  'gpt-oss-120b': ['69598334e58faf93', 116.8],
  'gpt-oss-20b': ['596558e729f28b7b', 20.9],
  'gemma-3-27b': ['afcd56390b061215', 27.0],
  'gemma-3-12b': ['00cdab62332ba441', 11.8],
  'gemma-3-4b': ['5b101bbc4d74578e', 3.88],
  'gemma-3-1b': ['27ae74b0d331bde0', 1.0],
  'qwen2-57b-a14b': ['d7a42eb611ef3ed8', 57.4],
  'qwen1.5-moe-a2.7b': ['e59cb788dfbeaadf', 14.3],
  'qwen2-0.5b': ['89a4565cb5589964', 0.494],
  'olmoe-1b-7b': ['ad2fa210a5e7f8e9', 6.92],
  'opt-6.7b': ['e8679aace6eb9934', 6.65],
  'opt-13b': ['49d2216cd892c78c', 12.85],
  'opt-30b': ['6b914a63a5cafc7e', 29.97],
  'llama-2-7b': ['9f5edad33df4eee8', 6.74],
};

it.each(Object.keys(modelCatalog))('names %s in records as ever, and gives it its size', (name) => {
  const [digest, billions] = published[name] ?? [];
  const described = describeModel({ name, spec: catalogSpec(name) });
  expect(described.digest.slice(0, 16)).toBe(digest);
  const { digest: own, parameters, bytes } = describeCatalogModel(name);
  expect(own).toBe(modelCatalog[name].digest ?? described.digest);
  expect(parameters / 1e9 / (billions as number)).toBeCloseTo(1, 2);
  // Experts in MXFP4 are all but a few percent of gpt-oss: the published files hold 13.8 and 65.3 GB.
  expect(bytes / parameters).toBeCloseTo(
    name === 'gpt-oss-20b' ? 0.66 : name === 'gpt-oss-120b' ? 0.56 : 2,
    2,
  );
});

it.each(Object.keys(modelCatalog))('predicts %s, with its usual draft if it has one', async (name) => {
  const [target, usual] = [describeCatalogModel(name), modelCatalog[name].draft];
  const machine = await openMachine('env2');
  const { newTokens, bytesMoved } = await simulateRun({
    ...{ target, draft: usual ? describeCatalogModel(usual) : null, machine, maxNewTokens: 4 },
    policy: { pinnedLayers: 0 },
    ...{ strategy: usual ? 'serial' : 'none', promptLengths: [100, 30] },
    acceptance: { kind: 'rates', name: 'constant', byPosition: [0.7] },
  });
  expect(newTokens).toBe(8);
  expect(bytesMoved.link).toBeGreaterThan(0);
});
