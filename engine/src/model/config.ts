/** config.json of Hugging Face's Mixtral, Mistral and Llama, parsed at the door into this project's terms. */

import { isRecord, quote, UserError } from '@specoffload/input';
import { parseRope } from './config-rope.js';
import { ConfigValues, redownload, warnOfCheckpoint } from './config-values.js';
import type { Architecture, ModelConfig } from './types.js';

/** What each Hugging Face configuration class means by a field that is missing. */
interface ArchitectureDefaults {
  readonly numKvHeads: number | null;
  readonly ffnSize: number;
  readonly maxPositions: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly slidingWindow: number | null;
}

// Source: MixtralConfig, MistralConfig and LlamaConfig in transformers 5.24.
const defaultsOf: Readonly<Record<Architecture, ArchitectureDefaults>> = {
  mixtral: {
    ...{ numKvHeads: 8, ffnSize: 14_336, maxPositions: 131_072 },
    ...{ rmsNormEps: 1e-5, ropeTheta: 1e6, slidingWindow: null },
  },
  mistral: {
    ...{ numKvHeads: 8, ffnSize: 14_336, maxPositions: 131_072 },
    ...{ rmsNormEps: 1e-6, ropeTheta: 1e4, slidingWindow: 4096 },
  },
  llama: {
    ...{ numKvHeads: null, ffnSize: 11_008, maxPositions: 2048 },
    ...{ rmsNormEps: 1e-6, ropeTheta: 1e4, slidingWindow: null },
  },
};

/** What all three mean by a field that is missing. */
const defaults = { vocabSize: 32_000, hiddenSize: 4096, numLayers: 32, numHeads: 32, eosTokenIds: [2] };
const expertDefaults = { numExperts: 8, expertsPerToken: 2 };

/**
 * Parses what config.json holds; a missing field means what it means to transformers. Two fields that contradict each
 * other are settled as transformers 5 settles them, and `warn` is told.
 * @param source names the file in messages
 * @throws UserError naming file, field, value, expectation and remedy.
 */
export function parseModelConfig(
  json: unknown,
  source: string,
  warn: (text: string) => void = warnOfCheckpoint,
): ModelConfig {
  if (!isRecord(json)) {
    throw new UserError(`${source}: invalid content: ${quote(json)}; expected a JSON object; ${redownload}`);
  }
  const config = new ConfigValues(json, source, warn);
  const architecture = parseArchitecture(config);
  refuseUnsupported(config);
  const missing = defaultsOf[architecture];
  const hiddenSize = config.count('hidden_size', 2 ** 17, defaults.hiddenSize);
  const numHeads = config.count('num_attention_heads', 2 ** 12, defaults.numHeads);
  const maxPositions = config.count('max_position_embeddings', 2 ** 28, missing.maxPositions);
  const slidingWindow = parseSlidingWindow(config, architecture);
  return {
    architecture,
    vocabSize: config.count('vocab_size', 2 ** 24, defaults.vocabSize),
    hiddenSize,
    numLayers: config.count('num_hidden_layers', 2 ** 12, defaults.numLayers),
    numHeads,
    numKvHeads: parseKvHeads(config, numHeads, missing.numKvHeads),
    headDim: parseHeadDim(config, hiddenSize, numHeads),
    ffnSize: config.count('intermediate_size', 2 ** 20, missing.ffnSize),
    ...parseExperts(config, architecture),
    slidingWindow,
    ...parseRope(config, missing.ropeTheta, maxPositions),
    rmsNormEps: config.real('rms_norm_eps', 1e-12, 0.1, missing.rmsNormEps),
    tieEmbeddings: config.flag('tie_word_embeddings'),
    maxPositions,
    eosTokenIds:
      config.get('eos_token_id') === undefined
        ? defaults.eosTokenIds
        : (parseEosTokenIds(json, source) ?? []),
  };
}

/**
 * The end-of-sequence ids of config.json or generation_config.json: a number, a list or null.
 * @returns null when the file does not say.
 */
export function parseEosTokenIds(json: unknown, source: string): readonly number[] | null {
  const value = isRecord(json) ? json.eos_token_id : undefined;
  if (value === undefined || value === null) return null;
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  if (!ids.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0)) {
    throw new UserError(
      `${source}: invalid eos_token_id: ${quote(value)}; expected a token id, a list of token ids or null; ${redownload}`,
    );
  }
  return ids;
}

/** `model_type` decides, as in transformers; older files name only the class. */
function parseArchitecture(config: ConfigValues): Architecture {
  const known = Object.keys(defaultsOf) as Architecture[];
  const { architectures } = config.json;
  const classes: readonly unknown[] = Array.isArray(architectures) ? architectures : [architectures];
  const ofClass = known.find((name) => classes[0] === classOf(name));
  const field = config.get('model_type') === undefined ? 'architectures' : 'model_type';
  const value = config.get(field);
  const architecture = field === 'architectures' ? ofClass : known.find((name) => name === value);
  if (architecture === undefined)
    throw config.unsupported(field, value, 'mixtral, mistral or llama', 'use a checkpoint of one of them');
  if (ofClass !== undefined && ofClass !== architecture)
    config.warn(
      `model_type ${architecture} contradicts architectures ${quote(architectures)}`,
      'model_type holds',
    );
  return architecture;
}

function classOf(name: Architecture): string {
  return `${name[0]!.toUpperCase()}${name.slice(1)}ForCausalLM`;
}

/** Options that change the arithmetic and that no kernel here implements. */
function refuseUnsupported(config: ConfigValues): void {
  const refuse = (field: string, expected: string) => {
    throw config.unsupported(field, config.get(field), expected, 'use a checkpoint without it');
  };
  for (const field of ['attention_bias', 'mlp_bias']) if (config.flag(field)) refuse(field, 'false');
  const activation = config.get('hidden_act') ?? 'silu';
  if (activation !== 'silu' && activation !== 'swish') refuse('hidden_act', '"silu"'); // one function, two names
  // Hugging Face's field, an older one of compressed-tensors, and MLX's.
  for (const field of ['quantization_config', 'compression_config', 'quantization'])
    if (config.isThere(field))
      throw config.unsupported(
        field,
        config.get(field),
        'weights in bf16, fp16 or fp32',
        'use the checkpoint that was quantised, or convert this one back',
      );
}

/** Missing it means what the class means by it; null means as many as query heads in all of them. */
function parseKvHeads(config: ConfigValues, numHeads: number, missing: number | null): number {
  const name = 'num_key_value_heads';
  const numKvHeads = config.get(name) === null ? numHeads : config.count(name, 2 ** 12, missing ?? numHeads);
  if (numHeads % numKvHeads === 0) return numKvHeads;
  const origin = config.get(name) === undefined ? `, which is what a missing one means` : '';
  throw config.invalid(name, numKvHeads, `a divisor of num_attention_heads (${numHeads})${origin}`);
}

function parseHeadDim(config: ConfigValues, hiddenSize: number, numHeads: number): number {
  if (!config.isThere('head_dim')) {
    const headDim = hiddenSize / numHeads;
    if (Number.isInteger(headDim) && headDim % 2 === 0) return headDim;
    throw config.invalid(
      'num_attention_heads',
      numHeads,
      `hidden_size (${hiddenSize}) over it to be an even integer`,
    );
  }
  const headDim = config.count('head_dim', 2 ** 12);
  if (headDim % 2 !== 0)
    throw config.invalid('head_dim', headDim, 'an even number, since RoPE rotates pairs');
  return headDim;
}

/** `num_experts` is another name of `num_local_experts`, and is set last (`attribute_map` in transformers). */
function parseExperts(
  config: ConfigValues,
  architecture: Architecture,
): Pick<ModelConfig, 'numExperts' | 'expertsPerToken'> {
  if (architecture !== 'mixtral') return { numExperts: 1, expertsPerToken: 1 };
  const [name, alias] = ['num_local_experts', 'num_experts'];
  const named = config.count(name, 2 ** 12, expertDefaults.numExperts);
  const numExperts = config.isThere(alias) ? config.count(alias, 2 ** 12) : named;
  if (numExperts !== named && config.isThere(name))
    config.warn(`${name} ${named} contradicts ${alias} ${numExperts}`, `${alias} holds`);
  const expertsPerToken = config.count('num_experts_per_tok', numExperts, expertDefaults.expertsPerToken);
  return { numExperts, expertsPerToken };
}

/** Llama has no window. */
function parseSlidingWindow(config: ConfigValues, architecture: Architecture): number | null {
  const hasWindow = architecture !== 'llama' && config.get('sliding_window') !== null;
  const missing = defaultsOf[architecture].slidingWindow;
  const isLeftOut = config.get('sliding_window') === undefined && missing === null;
  const window =
    hasWindow && !isLeftOut ? config.count('sliding_window', 2 ** 28, missing ?? undefined) : null;
  refuseMixedLayers(config, window);
  if (window !== null && config.get('use_sliding_window') === false)
    config.warn(`use_sliding_window false contradicts sliding_window ${window}`, 'the window holds');
  return window;
}

/** transformers takes Mistral with `layer_types` for Ministral, whose layers differ; here all have the same window. */
function refuseMixedLayers(config: ConfigValues, window: number | null): void {
  const types = config.get('layer_types') ?? [];
  const expected = window === null ? 'full_attention' : 'sliding_attention';
  if (Array.isArray(types) && types.every((type) => type === expected)) return;
  throw config.unsupported(
    'layer_types',
    types,
    `"${expected}" only, beside ${window === null ? 'no sliding_window' : `a sliding_window of ${window}`}`,
    'use a checkpoint whose layers all attend alike',
  );
}
