import {
  type AttentionSpec,
  catalogSpec,
  describeModel,
  type LayerSpec,
  type ModelSpec,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { refuseUncomputable } from '../../../engine/dist/model/arithmetic.js';
import { modelGroups } from '../../../engine/dist/model/roles.js';

const spec = catalogSpec('mixtral-8x7b');
const norm = { eps: 1e-5, offset: 0 } as const;

/** The model with its third layer changed. */
function withLayer(change: (layer: LayerSpec) => LayerSpec): ModelSpec {
  return { ...spec, layers: spec.layers.map((layer, index) => (index === 2 ? change(layer) : layer)) };
}

function withAttention(changes: Partial<AttentionSpec>): ModelSpec {
  return withLayer((layer) => ({ ...layer, attention: { ...layer.attention, ...changes } }));
}

describe('a spec whose arithmetic nothing computes', () => {
  it.each<[string, ModelSpec]>([
    [
      'a norm of what experts add together in layer 2',
      withLayer((layer) => ({ ...layer, norms: { ...layer.norms, afterFfn: norm } })),
    ],
    [
      'a shared expert and no others in layer 2',
      withLayer(({ ffn, ...layer }) => ({ ...layer, ffn: { ...ffn, router: null, sharedWidth: 64 } })),
    ],
  ])('is refused: %s', (problem, changed) => {
    expect(() => refuseUncomputable(changed, 'a/config.json')).toThrow(
      `a/config.json: a mixtral model with ${problem}, which no device here computes`,
    );
  });

  it('is not what layers of different windows, rotations, keys, biases, sinks or norms are', () => {
    const biases = { q: true, k: true, v: true, o: true };
    const changed = withAttention({
      ...{ window: 7, rope: { theta: 1e4, scaling: null }, biases, qkNorm: { over: 'head', norm } },
      ...{ sinks: true, scale: 0.5, numKvHeads: 4 },
    });
    expect(() => refuseUncomputable(changed, 'a/config.json')).not.toThrow();
  });
});

it('has the tensors that its layers have, in the order of their use', () => {
  const changed = withAttention({
    biases: { q: true, k: true, v: true, o: false },
    qkNorm: { over: 'head', norm },
  });
  const rolesOf = (layer: number) =>
    modelGroups(changed).layers[layer].attention.tensors.map(({ role }) => role);
  expect(rolesOf(1)).toEqual(['inputNorm', 'q', 'k', 'v', 'o', 'postNorm', 'router']);
  expect(rolesOf(2)).toEqual([
    ...['inputNorm', 'q', 'k', 'v', 'o', 'qBias', 'kBias', 'vBias', 'qNorm', 'kNorm', 'postNorm', 'router'],
  ]);
  const shared = catalogSpec('qwen2-57b-a14b');
  expect(
    modelGroups(shared)
      .layers[2].attention.tensors.slice(-4)
      .map(({ role }) => role),
  ).toEqual([...['sharedGate', 'sharedUp', 'sharedDown', 'sharedRouter']]);
});

it('has a digest of its own wherever one of its layers differs', () => {
  const models = [
    spec,
    withAttention({ window: 7 }),
    withAttention({ scale: 0.5 }),
    withAttention({ rope: { theta: 1e4, scaling: null } }),
  ];
  const digests = models.map((changed) => describeModel({ name: 'one', spec: changed }).digest);
  expect(new Set(digests).size).toBe(models.length);
});
