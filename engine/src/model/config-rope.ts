/**
 * RoPE of a configuration: `rope_theta` beside `rope_scaling` (transformers 4), or both inside `rope_parameters`
 * (transformers 5). Where a file has both, `rope_scaling` replaces `rope_parameters`, and an inner `rope_theta` wins
 * over the outer one. Source: `convert_rope_params_to_dict` and `standardize_rope_params` in transformers 5.24,
 * `modeling_rope_utils.py`.
 */

import { isDeepStrictEqual } from 'node:util';
import { quote } from '@specoffload/input';
import type { ConfigValues } from './config-values.js';
import { parseScaling, type ScalingSource } from './rope-scaling.js';
import type { RopeSpec } from './spec.js';

/** The sizes that scaled rotations are read with. */
export type RopeSizes = Pick<ScalingSource, 'maxPositions' | 'headDim'>;

/**
 * @param missing what the architecture means by parameters that are not there: a base, or all of them
 */
export function parseRope(config: ConfigValues, missing: number | RopeSpec, sizes: RopeSizes): RopeSpec {
  refusePartialRotation(config);
  const outerTheta = config.isThere('rope_theta') ? parseTheta(config) : null;
  const plain = typeof missing === 'number' ? { theta: missing, scaling: null } : missing;
  const theta = outerTheta ?? plain.theta;
  const read = (name: string) => {
    const parameters = config.object(name);
    refuseLayerTypes(parameters);
    return isEmpty(parameters) ? null : parseRopeParameters(config, parameters, name, theta, sizes);
  };
  const scaling = read('rope_scaling');
  const parameters = read('rope_parameters');
  if (scaling && parameters && !isDeepStrictEqual(scaling, parameters))
    config.warn(
      `rope_scaling (${describe(scaling)}) contradicts rope_parameters (${describe(parameters)})`,
      'rope_scaling holds',
    );
  const chosen = scaling ?? parameters ?? { ...plain, theta };
  if (outerTheta !== null && chosen.theta !== outerTheta)
    config.warn(
      `rope_theta ${outerTheta} contradicts the ${chosen.theta} of ${scaling ? 'rope_scaling' : 'rope_parameters'}`,
      'the latter holds',
    );
  return chosen;
}

/** Parameters for each kind of layer are of models that have several. */
function refuseLayerTypes(parameters: ConfigValues | null): void {
  for (const type of ['full_attention', 'sliding_attention'])
    if (parameters?.isThere(type))
      throw parameters.unsupported(
        type,
        parameters.get(type),
        'the same parameters for all layers',
        'correct it or use a checkpoint without it',
      );
}

/** An empty object counts as none. */
function isEmpty(parameters: ConfigValues | null): parameters is null {
  return !parameters || Object.keys(parameters.json).length === 0;
}

/**
 * The parameters of one kind of layer, or of all.
 * @param name of what holds them, for messages
 * @param missingTheta what a base that is not there means
 */
export function parseRopeParameters(
  config: ConfigValues,
  parameters: ConfigValues,
  name: string,
  missingTheta: number,
  sizes: RopeSizes,
): RopeSpec {
  if (parameters.isThere('partial_rotary_factor') && parameters.get('partial_rotary_factor') !== 1)
    throw parameters.invalid('partial_rotary_factor', parameters.get('partial_rotary_factor'), '1');
  const theta = parameters.isThere('rope_theta') ? parseTheta(parameters) : missingTheta;
  const [kind, legacyKind] = [parameters.get('rope_type'), parameters.get('type')];
  if (kind !== undefined && legacyKind !== undefined && kind !== legacyKind)
    parameters.warn(`rope_type ${quote(kind)} contradicts type ${quote(legacyKind)}`, 'rope_type holds');
  const scaling = parseScaling(kind ?? legacyKind ?? 'default', name, { config, parameters, ...sizes });
  return { theta, scaling };
}

export function refusePartialRotation(config: ConfigValues): void {
  if (config.isThere('partial_rotary_factor') && config.get('partial_rotary_factor') !== 1)
    throw config.unsupported(
      'partial_rotary_factor',
      config.get('partial_rotary_factor'),
      '1',
      'use a checkpoint without it',
    );
}

export function parseTheta(values: ConfigValues, name = 'rope_theta'): number {
  return values.real(name, 1, 1e12);
}

function describe({ theta, scaling }: RopeSpec): string {
  const { type = 'default', ...fields } = scaling ?? {};
  return `theta ${theta}, ${type}${scaling ? ` ${quote(fields, 200)}` : ''}`;
}
