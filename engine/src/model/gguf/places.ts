/** Where llama.cpp's converters put the tensor of each role. Source: `gguf-py/gguf/tensor_mapping.py`. */

import type { TensorPlace, TensorPlaces, TensorSlice } from '../spec.js';

const layer = 'blk.{layer}';
const weightOf = (name: string): TensorPlace => ({ name: `${layer}.${name}.weight` });
const biasOf = (name: string): TensorPlace => ({ name: `${layer}.${name}.bias` });

const stack: TensorSlice = { isStackOfExperts: true, isTransposed: false };

/** All experts of a layer in one tensor; in a layer without a router, the FFN by itself. */
function expertsOf(name: string): TensorPlace {
  return { name: `${layer}.${name}_exps.weight`, dense: `${layer}.${name}.weight`, slice: stack };
}

export const ggufPlaces: TensorPlaces = {
  embedding: { name: 'token_embd.weight' },
  finalNorm: { name: 'output_norm.weight' },
  head: { name: 'output.weight' },
  inputNorm: weightOf('attn_norm'),
  q: weightOf('attn_q'),
  k: weightOf('attn_k'),
  v: weightOf('attn_v'),
  o: weightOf('attn_output'),
  qBias: biasOf('attn_q'),
  kBias: biasOf('attn_k'),
  vBias: biasOf('attn_v'),
  oBias: biasOf('attn_output'),
  qNorm: weightOf('attn_q_norm'),
  kNorm: weightOf('attn_k_norm'),
  postNorm: weightOf('ffn_norm'),
  router: weightOf('ffn_gate_inp'),
  gate: expertsOf('ffn_gate'),
  up: expertsOf('ffn_up'),
  down: expertsOf('ffn_down'),
  gateBias: biasOf('ffn_gate'),
  upBias: biasOf('ffn_up'),
  downBias: biasOf('ffn_down'),
  sharedGate: weightOf('ffn_gate_shexp'),
  sharedUp: weightOf('ffn_up_shexp'),
  sharedDown: weightOf('ffn_down_shexp'),
  sharedRouter: weightOf('ffn_gate_inp_shexp'),
};

/** Norms after attention and FFN, too. */
export const gemmaPlaces: TensorPlaces = {
  ...ggufPlaces,
  afterAttentionNorm: weightOf('post_attention_norm'),
  afterFfnNorm: weightOf('post_ffw_norm'),
};

/** Before experts were stacked, llama.cpp had a tensor for each. */
export function withTensorPerExpert(places: TensorPlaces): TensorPlaces {
  const placeOf = (name: string): TensorPlace => ({
    ...weightOf(`${name}.{expert}`),
    dense: `${layer}.${name}.weight`,
  });
  return { ...places, gate: placeOf('ffn_gate'), up: placeOf('ffn_up'), down: placeOf('ffn_down') };
}

export function isOfOneExpert(name: string): boolean {
  return /^blk\.\d+\.ffn_(gate|up|down)\.\d+\.weight$/.test(name);
}

const biasesOf = (name: string): TensorPlace => ({ name: `${layer}.${name}_exps.bias`, slice: stack });

/** The norm before the experts is called after what comes before it. */
export const gptOssPlaces: TensorPlaces = {
  ...ggufPlaces,
  postNorm: weightOf('post_attention_norm'),
  sinks: weightOf('attn_sinks'),
  routerBias: biasOf('ffn_gate_inp'),
  gateBias: biasesOf('ffn_gate'),
  upBias: biasesOf('ffn_up'),
  downBias: biasesOf('ffn_down'),
};

/**
 * The architecture `llama` has its queries and keys permuted for llama.cpp's way of turning neighbours
 * (`LlamaModel.permute` in convert_hf_to_gguf.py); all others have them as transformers does.
 */
export function withPairs(places: TensorPlaces): TensorPlaces {
  const paired = (place: TensorPlace | undefined): TensorPlace | undefined =>
    place && { ...place, slice: { isStackOfExperts: false, isTransposed: false, isPaired: true } };
  const { q, k, qBias, kBias } = places;
  return { ...places, q: paired(q), k: paired(k), qBias: paired(qBias), kBias: paired(kBias) };
}
