/**
 * RoPE of a configuration: `rope_theta` beside `rope_scaling` (transformers 4), or both inside `rope_parameters`
 * (transformers 5). Where a file has both, `rope_scaling` replaces `rope_parameters`, and an inner `rope_theta` wins
 * over the outer one. Source: `convert_rope_params_to_dict` and `standardize_rope_params` in transformers 5.24,
 * `modeling_rope_utils.py`.
 */

import { isDeepStrictEqual } from 'node:util';
import { quote } from '@specoffload/input';
import type { ConfigValues } from './config-values.js';
import type { Llama3RopeScaling, RopeSpec } from './spec.js';

/** @param missingTheta what the architecture means by a `rope_theta` that is not there */
export function parseRope(config: ConfigValues, missingTheta: number, maxPositions: number): RopeSpec {
  if (config.isThere('partial_rotary_factor') && config.get('partial_rotary_factor') !== 1)
    throw config.unsupported(
      'partial_rotary_factor',
      config.get('partial_rotary_factor'),
      '1',
      'use a checkpoint without it',
    );
  const outerTheta = config.isThere('rope_theta') ? parseTheta(config) : null;
  const read = (name: string) => readParameters(config, name, outerTheta ?? missingTheta, maxPositions);
  const scaling = read('rope_scaling');
  const parameters = read('rope_parameters');
  if (scaling && parameters && !isDeepStrictEqual(scaling, parameters))
    config.warn(
      `rope_scaling (${describe(scaling)}) contradicts rope_parameters (${describe(parameters)})`,
      'rope_scaling holds',
    );
  const chosen = scaling ?? parameters ?? { theta: outerTheta ?? missingTheta, scaling: null };
  if (outerTheta !== null && chosen.theta !== outerTheta)
    config.warn(
      `rope_theta ${outerTheta} contradicts the ${chosen.theta} of ${scaling ? 'rope_scaling' : 'rope_parameters'}`,
      'the latter holds',
    );
  return chosen;
}

/** null where there are none; an empty object counts as none. */
function readParameters(
  config: ConfigValues,
  name: string,
  outerTheta: number,
  maxPositions: number,
): RopeSpec | null {
  const parameters = config.object(name);
  if (!parameters || Object.keys(parameters.json).length === 0) return null;
  if (parameters.isThere('partial_rotary_factor') && parameters.get('partial_rotary_factor') !== 1)
    throw parameters.invalid('partial_rotary_factor', parameters.get('partial_rotary_factor'), '1');
  const theta = parameters.isThere('rope_theta') ? parseTheta(parameters) : outerTheta;
  const [kind, legacyKind] = [parameters.get('rope_type'), parameters.get('type')];
  if (kind !== undefined && legacyKind !== undefined && kind !== legacyKind)
    parameters.warn(`rope_type ${quote(kind)} contradicts type ${quote(legacyKind)}`, 'rope_type holds');
  const used = kind ?? legacyKind ?? 'default';
  if (used === 'default') return { theta, scaling: null };
  if (used === 'llama3') return { theta, scaling: parseLlama3(config, parameters, maxPositions) };
  throw config.unsupported(
    `${name}.rope_type`,
    used,
    'default or llama3',
    'use a checkpoint with one of them',
  );
}

function parseTheta(values: ConfigValues): number {
  return values.real('rope_theta', 1, 1e12);
}

function parseLlama3(
  config: ConfigValues,
  parameters: ConfigValues,
  maxPositions: number,
): Llama3RopeScaling {
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
  const originalMaxPositions = parseOriginalLength(config, parameters, maxPositions);
  return { type: 'llama3', factor: real('factor'), lowFreqFactor, highFreqFactor, originalMaxPositions };
}

/** Beside the parameters it wins over the one inside (Phi-3 wrote it there); missing, it is the whole context. */
function parseOriginalLength(config: ConfigValues, parameters: ConfigValues, maxPositions: number): number {
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

function describe({ theta, scaling }: RopeSpec): string {
  const { type = 'default', ...fields } = scaling ?? {};
  return `theta ${theta}, ${type}${scaling ? ` ${quote(fields, 200)}` : ''}`;
}
