/** config.json of Hugging Face's Mixtral, Mistral and Llama, parsed at the door into this project's terms. */

import { isRecord, type JsonRecord, quote, UserError } from '@specoffload/input';
import type { Architecture, Llama3RopeScaling, ModelConfig } from './types.js';

/** Where the three Hugging Face configuration classes differ when a field is missing. */
interface ArchitectureDefaults {
  readonly ropeTheta: number;
  readonly rmsNormEps: number;
  readonly slidingWindow: number | null;
}

// Source: the constructors of MixtralConfig, MistralConfig and LlamaConfig in transformers 4.47.
const defaultsOf: Readonly<Record<Architecture, ArchitectureDefaults>> = {
  mixtral: { ropeTheta: 1e6, rmsNormEps: 1e-5, slidingWindow: null },
  mistral: { ropeTheta: 1e4, rmsNormEps: 1e-6, slidingWindow: 4096 },
  llama: { ropeTheta: 1e4, rmsNormEps: 1e-6, slidingWindow: null },
};

const redownload = 'correct it or download the checkpoint again';

/**
 * Parses what config.json holds. `source` names the file in messages.
 * @throws UserError naming file, field, value, expectation and remedy.
 */
export function parseModelConfig(json: unknown, source: string): ModelConfig {
  if (!isRecord(json)) {
    throw new UserError(`${source}: invalid content: ${quote(json)}; expected a JSON object; ${redownload}`);
  }
  const architecture = parseArchitecture(json, source);
  refuseUnsupported(json, source);
  const count = (name: string, max: number, missing?: number) => parseCount(json, name, max, source, missing);

  const hiddenSize = count('hidden_size', 2 ** 17);
  const numHeads = count('num_attention_heads', 2 ** 12);
  const numKvHeads = count('num_key_value_heads', 2 ** 12, numHeads);
  if (numHeads % numKvHeads !== 0) {
    throw invalid(
      source,
      'num_key_value_heads',
      numKvHeads,
      `a divisor of num_attention_heads (${numHeads})`,
    );
  }
  const numExperts = architecture === 'mixtral' ? count('num_local_experts', 2 ** 12) : 1;
  return {
    architecture,
    vocabSize: count('vocab_size', 2 ** 24),
    hiddenSize,
    numLayers: count('num_hidden_layers', 2 ** 12),
    numHeads,
    numKvHeads,
    headDim: parseHeadDim(json, hiddenSize, numHeads, source),
    ffnSize: count('intermediate_size', 2 ** 20),
    numExperts,
    expertsPerToken: architecture === 'mixtral' ? count('num_experts_per_tok', numExperts) : 1,
    slidingWindow: parseSlidingWindow(json, architecture, source),
    ...parseRope(json, defaultsOf[architecture].ropeTheta, source),
    rmsNormEps: parseReal(json, 'rms_norm_eps', 1e-12, 0.1, source, defaultsOf[architecture].rmsNormEps),
    tieEmbeddings: parseFlag(json, 'tie_word_embeddings', source),
    maxPositions: count('max_position_embeddings', 2 ** 28),
    eosTokenIds: parseEosTokenIds(json, source) ?? [],
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
    throw invalid(source, 'eos_token_id', value, 'a token id, a list of token ids or null');
  }
  return ids;
}

/** `model_type` decides, as in transformers; older files name only the class. */
function parseArchitecture(json: JsonRecord, source: string): Architecture {
  const field = json.model_type === undefined ? 'architectures' : 'model_type';
  const value = json[field];
  const name = (Array.isArray(value) ? value[0] : value) as unknown;
  for (const known of Object.keys(defaultsOf) as Architecture[]) {
    if (name === known || name === `${known[0]!.toUpperCase()}${known.slice(1)}ForCausalLM`) return known;
  }
  throw new UserError(
    `${source}: unsupported ${field}: ${quote(value)}; expected mixtral, mistral or llama; use a checkpoint of one of them`,
  );
}

/** Options that change the arithmetic and that no kernel here implements. */
function refuseUnsupported(json: JsonRecord, source: string): void {
  const refuse = (field: string, expected: string) => {
    throw new UserError(
      `${source}: unsupported ${field}: ${quote(json[field])}; expected ${expected}; use a checkpoint without it`,
    );
  };
  for (const field of ['attention_bias', 'mlp_bias'])
    if (parseFlag(json, field, source)) refuse(field, 'false');
  if ((json.hidden_act ?? 'silu') !== 'silu') refuse('hidden_act', '"silu"');
  if ((json.partial_rotary_factor ?? 1) !== 1) refuse('partial_rotary_factor', '1');
  if ((json.quantization_config ?? null) !== null)
    refuse('quantization_config', 'weights in bf16, fp16 or fp32');
}

function parseHeadDim(json: JsonRecord, hiddenSize: number, numHeads: number, source: string): number {
  if (json.head_dim === undefined || json.head_dim === null) {
    const headDim = hiddenSize / numHeads;
    if (Number.isInteger(headDim) && headDim % 2 === 0) return headDim;
    throw invalid(
      source,
      'num_attention_heads',
      numHeads,
      `hidden_size (${hiddenSize}) over it to be an even integer`,
    );
  }
  const headDim = parseCount(json, 'head_dim', 2 ** 12, source);
  if (headDim % 2 !== 0)
    throw invalid(source, 'head_dim', headDim, 'an even number, since RoPE rotates pairs');
  return headDim;
}

/** Llama has no window; a missing field means what the architecture's class means by it. */
function parseSlidingWindow(json: JsonRecord, architecture: Architecture, source: string): number | null {
  if (architecture === 'llama' || json.sliding_window === null) return null;
  if (json.sliding_window === undefined) return defaultsOf[architecture].slidingWindow;
  return parseCount(json, 'sliding_window', 2 ** 28, source);
}

/**
 * `rope_theta` beside `rope_scaling` (transformers 4), or both inside `rope_parameters` (transformers 5). The kind of
 * scaling is called `rope_type`, in older files `type`.
 */
function parseRope(
  json: JsonRecord,
  missingTheta: number,
  source: string,
): Pick<ModelConfig, 'ropeTheta' | 'ropeScaling'> {
  const theta = (record: JsonRecord, missing: number) =>
    parseReal(record, 'rope_theta', 1, 1e12, source, missing);
  const outerTheta = theta(json, missingTheta);
  const field = (json.rope_parameters ?? null) === null ? 'rope_scaling' : 'rope_parameters';
  const scaling = json[field] ?? null;
  if (scaling === null) return { ropeTheta: outerTheta, ropeScaling: null };
  if (!isRecord(scaling)) throw invalid(source, field, scaling, 'an object or null');
  if ((scaling.partial_rotary_factor ?? 1) !== 1)
    throw invalid(source, `${field}.partial_rotary_factor`, scaling.partial_rotary_factor, '1');

  const ropeTheta = theta(scaling, outerTheta);
  const kind = scaling.rope_type ?? scaling.type ?? 'default';
  if (kind === 'default') return { ropeTheta, ropeScaling: null };
  if (kind === 'llama3') return { ropeTheta, ropeScaling: parseLlama3(scaling, source) };
  throw new UserError(
    `${source}: unsupported ${field}.rope_type: ${quote(kind)}; expected default or llama3; use a checkpoint with one of them`,
  );
}

function parseLlama3(scaling: JsonRecord, source: string): Llama3RopeScaling {
  const real = (name: string) => parseReal(scaling, name, 1e-6, 1e6, source);
  const lowFreqFactor = real('low_freq_factor');
  const highFreqFactor = real('high_freq_factor');
  if (!(lowFreqFactor < highFreqFactor)) {
    throw invalid(source, 'high_freq_factor', highFreqFactor, `more than low_freq_factor (${lowFreqFactor})`);
  }
  return {
    type: 'llama3',
    factor: real('factor'),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPositions: parseCount(scaling, 'original_max_position_embeddings', 2 ** 28, source),
  };
}

/** An integer from 1 to `max`; null counts as missing. */
function parseCount(json: JsonRecord, name: string, max: number, source: string, missing?: number): number {
  const value = json[name] ?? missing;
  if (!(Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= max)) {
    throw invalid(source, name, value, `an integer from 1 to ${max}`);
  }
  return value as number;
}

function parseReal(
  json: JsonRecord,
  name: string,
  min: number,
  max: number,
  source: string,
  missing?: number,
): number {
  const value = json[name] ?? missing;
  if (!(typeof value === 'number' && min <= value && value <= max)) {
    throw invalid(source, name, value, `a number from ${min} to ${max}`);
  }
  return value;
}

function parseFlag(json: JsonRecord, name: string, source: string): boolean {
  const value = json[name] ?? false;
  if (typeof value !== 'boolean') throw invalid(source, name, value, 'true or false');
  return value;
}

function invalid(source: string, field: string, value: unknown, expected: string): UserError {
  return new UserError(`${source}: invalid ${field}: ${quote(value)}; expected ${expected}; ${redownload}`);
}
