/** How a configuration says that its rotary positions are scaled, kind by kind. Source: transformers 5.18, `modeling_rope_utils.py`. */

import type { ConfigValues } from './config-values.js';
import type {
  DynamicRopeScaling,
  LinearRopeScaling,
  Llama3RopeScaling,
  LongRopeScaling,
  RopeScaling,
  YarnRopeScaling,
} from './spec.js';

/** What a kind is read from. */
export interface ScalingSource {
  /** The whole configuration, and the part of it that holds the RoPE parameters. */
  readonly config: ConfigValues;
  readonly parameters: ConfigValues;
  readonly maxPositions: number;
  readonly headDim: number;
}

const parsers: Readonly<Record<string, (source: ScalingSource) => RopeScaling | null>> = {
  default: () => null,
  linear: parseLinear,
  dynamic: parseDynamic,
  yarn: parseYarn,
  longrope: parseLongRope,
  llama3: parseLlama3,
};

/** @param name of the part that holds the parameters, for messages */
export function parseScaling(kind: unknown, name: string, source: ScalingSource): RopeScaling | null {
  const parse = typeof kind === 'string' && Object.hasOwn(parsers, kind) ? parsers[kind] : undefined;
  if (parse) return parse(source);
  const known = Object.keys(parsers);
  throw source.config.unsupported(
    `${name}.rope_type`,
    kind,
    `${known.slice(0, -1).join(', ')} or ${known.at(-1)}`,
    'use a checkpoint with one of them',
  );
}

function parseFactor(parameters: ConfigValues): number {
  return parameters.real('factor', 1e-6, 1e6);
}

function parseLinear({ parameters }: ScalingSource): LinearRopeScaling {
  return { type: 'linear', factor: parseFactor(parameters) };
}

function parseDynamic({ parameters, maxPositions }: ScalingSource): DynamicRopeScaling {
  return { type: 'dynamic', factor: parseFactor(parameters), originalMaxPositions: maxPositions };
}

function parseYarn(source: ScalingSource): YarnRopeScaling {
  const { config, parameters, maxPositions } = source;
  const originalMaxPositions = parseOriginalLength(source);
  const isRatio = parameters.get('factor') === null;
  const factor = isRatio ? maxPositions / originalMaxPositions : parseFactor(parameters);
  const [betaFast, betaSlow] = [
    maybeReal(parameters, 'beta_fast') || 32,
    maybeReal(parameters, 'beta_slow') || 1,
  ];
  // transformers looks for it beside the layer types, where those have parameters of their own: then it is never there.
  const isOfLayerType = config.object('rope_parameters')?.isThere('full_attention') ?? false;
  return {
    ...{ type: 'yarn', factor, betaFast, betaSlow, originalMaxPositions },
    truncate: isOfLayerType || parameters.get('truncate') === undefined || parameters.flag('truncate'),
    attentionFactor: maybeReal(parameters, 'attention_factor') ?? yarnAttentionFactor(factor, parameters),
  };
}

/** `mscale` and `mscale_all_dim` count only together. */
function yarnAttentionFactor(factor: number, parameters: ConfigValues): number {
  const grown = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const [scale, scaleOfAll] = [maybeReal(parameters, 'mscale'), maybeReal(parameters, 'mscale_all_dim')];
  return scale && scaleOfAll ? grown(scale) / grown(scaleOfAll) : grown(1);
}

function parseLongRope(source: ScalingSource): LongRopeScaling {
  const { parameters, maxPositions, headDim } = source;
  const originalMaxPositions = parseOriginalLength(source);
  const factor = maybeReal(parameters, 'factor') ?? maxPositions / originalMaxPositions;
  const grown =
    factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(Math.max(2, originalMaxPositions)));
  return {
    ...{ type: 'longrope', originalMaxPositions },
    shortFactors: parseFactors(parameters, 'short_factor', headDim / 2),
    longFactors: parseFactors(parameters, 'long_factor', headDim / 2),
    attentionFactor: maybeReal(parameters, 'attention_factor') ?? grown,
  };
}

function parseFactors(parameters: ConfigValues, name: string, count: number): readonly number[] {
  const values = parameters.get(name);
  const isFactor = (value: unknown) => typeof value === 'number' && 0 < value && value < 1e6;
  if (Array.isArray(values) && values.length === count && values.every(isFactor)) return values;
  throw parameters.invalid(name, values, `${count} positive numbers, half as many as a head has channels`);
}

function parseLlama3(source: ScalingSource): Llama3RopeScaling {
  const { parameters } = source;
  const real = (name: string) => parameters.real(name, 1e-6, 1e6);
  const lowFreqFactor = real('low_freq_factor');
  const highFreqFactor = real('high_freq_factor');
  if (!(lowFreqFactor < highFreqFactor)) {
    throw parameters.invalid(
      'high_freq_factor',
      highFreqFactor,
      `more than low_freq_factor (${lowFreqFactor})`,
    );
  }
  const originalMaxPositions = parseOriginalLength(source);
  return { type: 'llama3', factor: real('factor'), lowFreqFactor, highFreqFactor, originalMaxPositions };
}

function maybeReal(parameters: ConfigValues, name: string): number | null {
  return parameters.isThere(name) ? parameters.real(name, 0, 1e6) : null;
}

/** Beside the parameters it wins over the one inside (Phi-3 wrote it there); missing, it is the whole context. */
function parseOriginalLength({ config, parameters, maxPositions }: ScalingSource): number {
  const name = 'original_max_position_embeddings';
  const inner = parameters.count(name, 2 ** 28, maxPositions);
  if (!config.isThere(name)) return inner;
  const outer = config.count(name, 2 ** 28);
  if (outer !== inner && parameters.isThere(name))
    config.warn(
      `${name} ${outer} contradicts the ${inner} beside the other RoPE parameters`,
      'the former holds',
    );
  return outer;
}
