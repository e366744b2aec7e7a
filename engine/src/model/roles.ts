/** Which tensors a model of a given configuration consists of: Hugging Face's names, roles and shapes. */

import type { GroupKind, ModelConfig, TensorRole } from './types.js';

/** A tensor as the configuration promises it. */
export interface TensorSpec {
  readonly role: TensorRole;
  readonly name: string;
  readonly shape: readonly number[];
}

/** A group as the configuration promises it; fields as in `WeightGroup`. */
export interface GroupSpec {
  readonly id: string;
  readonly kind: GroupKind;
  readonly layer: number;
  readonly expert: number;
  readonly tensors: readonly TensorSpec[];
}

export function embeddingSpec(config: ModelConfig): GroupSpec {
  return {
    id: 'embedding',
    kind: 'embedding',
    layer: -1,
    expert: -1,
    tensors: [embeddingTensor('embedding', config)],
  };
}

/** Tied embeddings: the head's tensor is the embedding's, whether or not the file has an `lm_head` as well. */
export function headSpec(config: ModelConfig): GroupSpec {
  const { vocabSize, hiddenSize } = config;
  const head: TensorSpec = config.tieEmbeddings
    ? embeddingTensor('head', config)
    : { role: 'head', name: headName, shape: [vocabSize, hiddenSize] };
  const finalNorm: TensorSpec = { role: 'finalNorm', name: 'model.norm.weight', shape: [hiddenSize] };
  return { id: 'head', kind: 'head', layer: -1, expert: -1, tensors: [finalNorm, head] };
}

export const headName = 'lm_head.weight';
export const embeddingName = 'model.embed_tokens.weight';

function embeddingTensor(role: TensorRole, config: ModelConfig): TensorSpec {
  return { role, name: embeddingName, shape: [config.vocabSize, config.hiddenSize] };
}

export function attentionSpec(config: ModelConfig, layer: number): GroupSpec {
  const { hiddenSize, numHeads, numKvHeads, headDim } = config;
  const prefix = `model.layers.${layer}.`;
  const tensor = (role: TensorRole, name: string, ...shape: number[]): TensorSpec => ({
    role,
    name: `${prefix}${name}.weight`,
    shape,
  });
  const tensors = [
    tensor('inputNorm', 'input_layernorm', hiddenSize),
    tensor('q', 'self_attn.q_proj', numHeads * headDim, hiddenSize),
    tensor('k', 'self_attn.k_proj', numKvHeads * headDim, hiddenSize),
    tensor('v', 'self_attn.v_proj', numKvHeads * headDim, hiddenSize),
    tensor('o', 'self_attn.o_proj', hiddenSize, numHeads * headDim),
    tensor('postNorm', 'post_attention_layernorm', hiddenSize),
  ];
  if (config.architecture === 'mixtral') {
    tensors.push(tensor('router', 'block_sparse_moe.gate', config.numExperts, hiddenSize));
  }
  return { id: `layer.${layer}.attention`, kind: 'attention', layer, expert: -1, tensors };
}

export function expertSpec(config: ModelConfig, layer: number, expert: number): GroupSpec {
  const { architecture, hiddenSize, ffnSize } = config;
  const sparse = architecture === 'mixtral';
  const prefix = `model.layers.${layer}.${sparse ? `block_sparse_moe.experts.${expert}` : 'mlp'}.`;
  const [gate, up, down] = sparse ? ['w1', 'w3', 'w2'] : ['gate_proj', 'up_proj', 'down_proj'];
  const tensors: TensorSpec[] = [
    { role: 'gate', name: `${prefix}${gate}.weight`, shape: [ffnSize, hiddenSize] },
    { role: 'up', name: `${prefix}${up}.weight`, shape: [ffnSize, hiddenSize] },
    { role: 'down', name: `${prefix}${down}.weight`, shape: [hiddenSize, ffnSize] },
  ];
  return { id: `layer.${layer}.expert.${expert}`, kind: 'expert', layer, expert, tensors };
}
