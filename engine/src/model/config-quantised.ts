/** Which ways of quantising a configuration may name: those whose weights `assemble.ts` puts together. */

import { isRecord, type JsonRecord } from '@specoffload/input';
import type { ConfigValues } from './config-values.js';

const expected =
  'mxfp4, fp8 (E4M3), or compressed-tensors with plain weights of 4 bits (pack-quantized) or FP8 (float-quantized)';

/** Refuses what would be read as other numbers than were meant. */
export function refuseOtherQuantisation(config: ConfigValues): void {
  // Older compressed-tensors and MLX have fields of their own.
  for (const field of ['compression_config', 'quantization'])
    if (config.isThere(field)) throw unsupported(config, field);
  const field = 'quantization_config';
  if (!config.isThere(field)) return;
  const quantisation = config.get(field);
  if (!isRecord(quantisation) || !isReadable(quantisation)) throw unsupported(config, field);
}

function unsupported(config: ConfigValues, field: string) {
  return config.unsupported(
    field,
    config.get(field),
    `weights in bf16, fp16 or fp32, or quantised as ${expected}`,
    'use the checkpoint that was quantised, a GGUF file, or convert this one back',
  );
}

function isReadable(quantisation: JsonRecord): boolean {
  switch (quantisation.quant_method) {
    case 'mxfp4':
      return true;
    case 'fp8':
      return (quantisation.fmt ?? 'e4m3') === 'e4m3';
    case 'compressed-tensors':
      return isPlainCompression(quantisation);
    default:
      return false;
  }
}

function isPlainCompression({ config_groups: groups, kv_cache_scheme: cache }: JsonRecord): boolean {
  return isRecord(groups) && (cache ?? null) === null && Object.values(groups).every(isPlainGroup);
}

/** Symmetric numbers in their own order; what activations were rounded to is not asked for here. */
function isPlainGroup(group: unknown): boolean {
  if (!isRecord(group) || !isRecord(group.weights)) return false;
  const { num_bits: bits, type, symmetric = true, actorder = null } = group.weights;
  const isKnown = (bits === 4 && type === 'int') || (bits === 8 && type === 'float');
  // Sorted by activations, groups are not those of neighbours, unless the weights were sorted, too.
  return isKnown && symmetric === true && [null, false, 'weight', 'static'].includes(actorder as string);
}
