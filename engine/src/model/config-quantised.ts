/** How a configuration says that weights are quantised, of the ways that `assemble.ts` puts together. */

import { isRecord, type JsonRecord } from '@specoffload/input';
import type { ConfigValues } from './config-values.js';
import { packing } from './packed.js';
import type { TargetFormat } from './target-format.js';

export interface Quantisation {
  readonly method: unknown;
  /** Of packed whole numbers, where their shapes do not say; null where numbers are no whole ones. */
  readonly bits: 4 | 8 | null;
  /** Not all whole numbers are symmetric. */
  readonly hasPoints: boolean;
  /** Columns under one scale, any of these; none where the shapes of scales have to say it. */
  readonly groupSizes: readonly number[];
  /** GPTQ's first format stores zero points less one. */
  readonly isLessOne: boolean;
  /** Digest of the checkpoint that was packed, where it is said. */
  readonly packedFrom?: string;
}

const expected =
  'mxfp4, fp8 (E4M3), gptq (4 or 8 bits), awq (gemm, 4 bits), compressed-tensors with plain weights of 4 or 8 bits (pack-quantized, int-quantized, float-quantized), or bf16_packed (version 1)';

const field = 'quantization_config';

/** Null where nothing is quantised. @throws UserError where other numbers would be read than were meant */
export function parseQuantisation(config: ConfigValues): Quantisation | null {
  // Older compressed-tensors and MLX have fields of their own.
  for (const other of ['compression_config', 'quantization'])
    if (config.isThere(other)) throw unsupported(config, other);
  if (!config.isThere(field)) return null;
  const json = config.get(field);
  const quantisation = isRecord(json) ? maybeParse(json) : null;
  if (!quantisation) throw unsupported(config, field);
  return quantisation;
}

function unsupported(config: ConfigValues, field: string) {
  return config.unsupported(
    field,
    config.get(field),
    `weights in bf16, fp16 or fp32, or stored as ${expected}`,
    'use the checkpoint that was quantised, a GGUF file, or convert this one back',
  );
}

/**
 * What takes as many bytes, with groups of 128; undefined where nothing is quantised, and for MXFP4, of which the family
 * says which matrices it is.
 */
export function publishedFormat(quantisation: Quantisation | null): TargetFormat | undefined {
  if (quantisation === null || quantisation.method === 'mxfp4') return undefined;
  const { method, bits, hasPoints } = quantisation;
  if (method === packing.quant_method) return packing.quant_method;
  if (bits === null) return 'fp8';
  if (bits === 8) return 'int8';
  return hasPoints || method !== 'compressed-tensors' ? 'int4_awq' : 'int4';
}

/** Null where it cannot be read. */
function maybeParse(json: JsonRecord): Quantisation | null {
  const { quant_method: method } = json;
  const plain = { method, bits: null, hasPoints: false, groupSizes: [], isLessOne: false } as const;
  switch (method) {
    case 'mxfp4':
      return plain;
    case 'fp8':
      return (json.fmt ?? 'e4m3') === 'e4m3' ? plain : null;
    case 'gptq':
      return parseGptq(json);
    case 'awq': {
      const isGemm = String(json.version ?? 'gemm').toLowerCase() === 'gemm';
      return isGemm && (json.bits ?? 4) === 4
        ? { ...plain, bits: 4, hasPoints: true, groupSizes: sizesOf([json]) }
        : null;
    }
    case packing.quant_method:
      return parsePacking(json);
    case 'compressed-tensors':
      return parseCompression(json);
    default:
      return null;
  }
}

/** Earlier versions did not say what was packed. */
function parsePacking({ quant_method, version, packed_from: from = null }: JsonRecord): Quantisation | null {
  if (version !== packing.version) return null;
  const plain = { method: quant_method, bits: null, hasPoints: false, groupSizes: [], isLessOne: false };
  if (from === null) return plain;
  return typeof from === 'string' && /^[0-9a-f]{64}$/.test(from) ? { ...plain, packedFrom: from } : null;
}

/** `dynamic` may name modules with numbers of their own, whose shapes tell how wide they are. */
function parseGptq(json: JsonRecord): Quantisation | null {
  const { checkpoint_format: format = json.format ?? 'gptq', pack_dtype: packed = 'int32', dynamic } = json;
  const isPlain = packed === 'int32' && !json.is_marlin_format && (json.bits === 4 || json.bits === 8);
  if (!isPlain || (format !== 'gptq' && format !== 'gptq_v2')) return null;
  const others = isRecord(dynamic) ? Object.values(dynamic).filter(isRecord) : [];
  return {
    ...{ method: 'gptq', bits: json.bits as 4 | 8, hasPoints: true, isLessOne: format === 'gptq' },
    groupSizes: sizesOf([json, ...others.map((own) => ({ ...json, ...own }))]),
  };
}

function parseCompression({
  config_groups: groups,
  kv_cache_scheme: cache,
}: JsonRecord): Quantisation | null {
  if (!isRecord(groups) || (cache ?? null) !== null) return null;
  const weights = Object.values(groups).map((group) => isRecord(group) && group.weights);
  if (!weights.every(isRecord) || !weights.every(isPlainGroup)) return null;
  const whole = weights.filter(({ type }) => (type ?? 'int') === 'int');
  const widths = new Set(whole.map(({ num_bits: bits = 8 }) => bits as 4 | 8));
  if (widths.size > 1) return null;
  const [bits = null] = widths;
  const hasPoints = whole.some(({ symmetric = true }) => symmetric === false);
  return { method: 'compressed-tensors', bits, hasPoints, groupSizes: sizesOf(whole), isLessOne: false };
}

/** What activations were rounded to is not asked for here. */
function isPlainGroup({ num_bits: bits = 8, type = 'int' }: JsonRecord): boolean {
  return (type === 'int' && (bits === 4 || bits === 8)) || (type === 'float' && bits === 8);
}

/** One for all columns is written as -1 or left out. */
function sizesOf(configs: readonly JsonRecord[]): number[] {
  const sizes = configs.map(({ group_size: size }) => size).filter((size) => size !== undefined);
  const isSize = (size: unknown) =>
    size === null || size === -1 || (Number.isInteger(size) && Number(size) > 0);
  if (!sizes.every(isSize)) return [];
  return [...new Set(sizes.map((size) => (Number(size) > 0 ? Number(size) : Number.POSITIVE_INFINITY)))];
}
