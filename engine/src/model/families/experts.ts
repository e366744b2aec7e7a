/** How a configuration says how many experts a layer has, and how many of them a token is sent to. */

import type { JsonRecord } from '@specoffload/input';
import type { ConfigValues } from '../config-values.js';
import type { FfnSpec, LayerSpec, ModelSpec, RouterSpec } from '../spec.js';

/** Names of the number of experts: `alias` is another name of `field`, and is set last (`attribute_map` in transformers). */
export interface ExpertFields {
  readonly field: string;
  readonly alias: string;
}

/** @param missing what fields that are not there mean */
export function parseExpertCounts(
  config: ConfigValues,
  { field, alias }: ExpertFields,
  missing: Pick<FfnSpec, 'numExperts' | 'expertsPerToken'>,
): Pick<FfnSpec, 'numExperts' | 'expertsPerToken'> {
  const named = config.count(field, 2 ** 12, missing.numExperts);
  const numExperts = config.isThere(alias) ? config.count(alias, 2 ** 12) : named;
  if (numExperts !== named && config.isThere(field))
    config.warn(`${field} ${named} contradicts ${alias} ${numExperts}`, `${alias} holds`);
  const expertsPerToken = config.count('num_experts_per_tok', numExperts, missing.expertsPerToken);
  return { numExperts, expertsPerToken };
}

/** A router without biases, whose weights `norm_topk_prob` makes sum to one. */
export function parseTopKRouter(config: ConfigValues): RouterSpec {
  return { weights: config.flag('norm_topk_prob') ? 'renormalised' : 'as-is', biases: false };
}

/** As Qwen and OLMoE name the number of experts. */
export const expertFields: ExpertFields = { field: 'num_experts', alias: 'num_local_experts' };

/** Experts of a width of their own beside dense layers. */
export function parseNarrowExperts(
  config: ConfigValues,
  { width, ...missing }: Pick<FfnSpec, 'numExperts' | 'expertsPerToken' | 'width'>,
): Pick<FfnSpec, 'numExperts' | 'expertsPerToken' | 'width' | 'router'> {
  return {
    ...parseExpertCounts(config, expertFields, missing),
    width: config.count('moe_intermediate_size', 2 ** 20, width),
    router: parseTopKRouter(config),
  };
}

/** See `Family.sizeFields`. */
export function expertSizeFields(
  { layers }: ModelSpec,
  original: JsonRecord,
  { field, alias }: ExpertFields,
): JsonRecord {
  const ffn = (layers.find((layer) => layer.ffn.router !== null) ?? layers[0]).ffn;
  const names = Object.hasOwn(original, alias) && !Object.hasOwn(original, field) ? [alias] : [field];
  if (Object.hasOwn(original, alias)) names.push(alias);
  return {
    ...Object.fromEntries(names.map((name) => [name, ffn.numExperts])),
    num_experts_per_tok: ffn.expertsPerToken,
  };
}

/** Which layers have experts: every `decoder_sparse_step`-th, but for those of `mlp_only_layers`. */
export function parseSparseLayers(config: ConfigValues, numLayers: number): (layer: number) => boolean {
  const step = config.count('decoder_sparse_step', 2 ** 12, 1);
  const dense = config.get('mlp_only_layers') ?? [];
  const isLayer = (value: unknown) =>
    Number.isInteger(value) && 0 <= Number(value) && Number(value) < numLayers;
  if (!Array.isArray(dense) || !dense.every(isLayer))
    throw config.invalid('mlp_only_layers', dense, `a list of layers from 0 to ${numLayers - 1}`);
  return (layer) => (layer + 1) % step === 0 && !dense.includes(layer);
}

/** The same of a family that has dense layers between, of another width. */
export function sparseSizeFields(spec: ModelSpec, original: JsonRecord, fields: ExpertFields): JsonRecord {
  const widthOf = (isChosen: (layer: LayerSpec) => boolean) => spec.layers.find(isChosen)?.ffn.width;
  const dense = widthOf(({ ffn }) => ffn.router === null);
  return {
    ...expertSizeFields(spec, original, fields),
    intermediate_size: dense ?? original.intermediate_size,
    mlp_only_layers: spec.layers.flatMap(({ ffn }, layer) => (ffn.router === null ? [layer] : [])),
    decoder_sparse_step: 1,
    moe_intermediate_size: widthOf(({ ffn }) => ffn.router !== null) ?? original.moe_intermediate_size,
  };
}
