/** Random checkpoints of a few kilobytes, drawn from a seed. */

import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  type ModelSpec,
  type ModelSummary,
  openCheckpoint,
  parseModelSpec,
  writeCheckpoint,
} from '@specoffload/engine';
import { type PlainDtype, plainCodecs } from '@specoffload/native';
import { joinStacks, type PromisedTensor } from '../../engine/dist/model/join-stacks.js';
import { modelGroups, type TensorSpec } from '../../engine/dist/model/roles.js';

/** How a tiny model's weights come about. */
export interface TinyWeights {
  /** `mixed` gives every tensor one of its own, so that tensors start at any even offset of the file. */
  readonly dtype: PlainDtype | 'mixed';
  readonly seed: number;
  /** Makes every odd token's row of an untied head all but the row of the even token before it. @default false */
  readonly twinTokens?: boolean;
  /** What attention and FFNs add to the hidden states, next to what other matrices make. @default 1 */
  readonly addition?: number;
  /** Standard deviation of what is added to every weight, in those of the weights. @default 0 */
  readonly perturbation?: number;
}

/** Writes the model to `parent/name` and opens it. Models of equal configuration and seed differ by their perturbation only. */
export function writeTinyModel(
  parent: string,
  name: string,
  config: ModelSummary,
  weights: TinyWeights,
): Promise<Checkpoint> {
  return writeTinyCheckpoint(parent, name, toConfigJson(config), weights);
}

/** The same for what a config.json says. @param others tensors beside the model's own */
export async function writeTinyCheckpoint(
  parent: string,
  name: string,
  json: Readonly<Record<string, unknown>>,
  weights: TinyWeights,
  others: readonly { readonly name: string; readonly shape: readonly number[] }[] = [],
): Promise<Checkpoint> {
  const { embedding, layers, head } = modelGroups(parseModelSpec(json, 'config.json'));
  const groups = [embedding, ...layers.flatMap(({ attention, experts }) => [attention, ...experts]), head];
  const all = [...groups.flatMap(({ tensors }) => tensors), ...others];
  const specs = new Map(all.map((spec): [string, TensorSpec] => [spec.name, spec as TensorSpec])); // a tied head once
  const sourceOf = ({ name: tensorName, shape, within }: TensorSpec): PromisedTensor['source'] => {
    const dtype = weights.dtype === 'mixed' ? drawDtype(within?.name ?? tensorName, weights) : weights.dtype;
    return {
      ...{ name: tensorName, shape, dtype },
      async *chunks() {
        yield plainCodecs[dtype].encode(drawTensor(tensorName, shape, weights));
      },
    };
  };
  const tensors = joinStacks([...specs.values()].map((spec) => ({ spec, source: sourceOf(spec) })));
  const targetDirectory = join(parent, name);
  const sidecars = new Map([['config.json', JSON.stringify(json)]]);
  await writeCheckpoint({ targetDirectory, sections: [tensors], sidecars });
  return openCheckpoint(targetDirectory);
}

function drawDtype(name: string, { seed }: TinyWeights): PlainDtype {
  const dtypes: readonly PlainDtype[] = ['bf16', 'f16', 'f32'];
  return dtypes[createRandom(seed, `dtype of ${name}`).uint32() % 3];
}

/** Norms around 1, biases around 0; matrices that keep the size of what they are multiplied with; embeddings of size 1. */
function drawTensor(
  name: string,
  shape: readonly number[],
  { seed, perturbation = 0, twinTokens = false, addition = 1 }: TinyWeights,
): Float32Array {
  const own = createRandom(seed, name.replace(/^language_model\./, ''));
  const noise = createRandom(seed, `perturbation of ${name}`);
  const isNorm = name.includes('norm');
  const scale = shape.length === 1 ? 0.1 : name.includes('embed_tokens') ? 1 : shape[1] ** -0.5;
  const count = shape.reduce((product, size) => product * size, 1);
  const share = /o_proj|down_proj/.test(name) ? addition : 1;
  const draw = () => own.normal() + (perturbation === 0 ? 0 : perturbation * noise.normal());
  const values = Float32Array.from({ length: count }, () => (isNorm ? 1 : 0) + share * scale * draw());
  if (twinTokens && name === 'lm_head.weight') {
    const width = shape[1];
    for (let i = width; i < count; i += 1)
      if (Math.floor(i / width) % 2 === 1) values[i] = values[i - width] + 1e-7 * noise.normal();
  }
  return values;
}

export function specOf(config: ModelSummary): ModelSpec {
  return parseModelSpec(toConfigJson(config), 'config.json');
}

/** The inverse of the engine's `summarise`, for families in Llama's manner without RoPE scaling. */
export function toConfigJson(config: ModelSummary) {
  return {
    model_type: config.architecture,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.ffnSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads,
    head_dim: config.headDim,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    sliding_window: config.slidingWindow,
    tie_word_embeddings: config.tieEmbeddings,
    eos_token_id: config.eosTokenIds,
    ...(config.architecture === 'mixtral' && {
      num_local_experts: config.numExperts,
      num_experts_per_tok: config.expertsPerToken,
    }),
  };
}
