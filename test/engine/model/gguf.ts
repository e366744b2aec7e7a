/** GGUF files for tests: a writer, and golden models as llama.cpp's converter would write them. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint, readTensor, type TensorRef, type WeightGroup } from '@specoffload/engine';
import { plainCodecs } from '@specoffload/native';

/** A value and the number of its type. */
export type Entry =
  | { readonly type: 4 | 6 | 7 | 10; readonly value: number | boolean }
  | { readonly type: 8; readonly value: string }
  | { readonly type: 9; readonly elements: 4 | 5 | 6 | 8; readonly value: readonly (number | string)[] };

export const whole = (value: number): Entry => ({ type: 4, value });
export const real = (value: number): Entry => ({ type: 6, value });
export const flag = (value: boolean): Entry => ({ type: 7, value });
export const text = (value: string): Entry => ({ type: 8, value });
export const texts = (value: readonly string[]): Entry => ({ type: 9, elements: 8, value });
export const wholes = (value: readonly number[]): Entry => ({ type: 9, elements: 5, value });
export const reals = (value: readonly number[]): Entry => ({ type: 9, elements: 6, value });

export interface GgufTensor {
  readonly name: string;
  /** The outermost first. */
  readonly shape: readonly number[];
  /** The number of its type. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

const alignment = 32;

/** The bytes of a file. */
export function encodeGguf(
  metadata: Readonly<Record<string, Entry>>,
  tensors: readonly GgufTensor[],
): Buffer {
  const entries = Object.entries(metadata).flatMap(([key, entry]) => [
    encodeText(key),
    encodeNumber(4, entry.type),
    encodeEntry(entry),
  ]);
  let offset = 0;
  const infos = tensors.flatMap(({ name, shape, type, bytes }) => {
    const info = [
      ...[encodeText(name), encodeNumber(4, shape.length)],
      ...[...shape].reverse().map((size) => encodeNumber(10, size)),
      ...[encodeNumber(4, type), encodeNumber(10, offset)],
    ];
    offset += padded(bytes.length);
    return info;
  });
  const header = Buffer.concat([
    ...[Buffer.from('GGUF'), encodeNumber(4, 3)],
    ...[encodeNumber(10, tensors.length), encodeNumber(10, Object.keys(metadata).length)],
    ...[...entries, ...infos],
  ]);
  return Buffer.concat([pad(header), ...tensors.map(({ bytes }) => pad(bytes))]);
}

function padded(length: number): number {
  return Math.ceil(length / alignment) * alignment;
}

function pad(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(padded(bytes.length) - bytes.length)]);
}

function encodeEntry(entry: Entry): Buffer {
  if (entry.type === 8) return encodeText(entry.value);
  if (entry.type !== 9) return encodeNumber(entry.type, Number(entry.value));
  const { elements, value } = entry;
  const encoded = value.map((one) =>
    typeof one === 'string' ? encodeText(one) : encodeNumber(elements as 4, one),
  );
  return Buffer.concat([encodeNumber(4, elements), encodeNumber(10, value.length), ...encoded]);
}

function encodeText(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([encodeNumber(10, bytes.length), bytes]);
}

function encodeNumber(type: 4 | 5 | 6 | 7 | 10, value: number): Buffer {
  const buffer = Buffer.alloc(type === 7 ? 1 : type === 10 ? 8 : 4);
  if (type === 10) buffer.writeBigUInt64LE(BigInt(value));
  else if (type === 6) buffer.writeFloatLE(value);
  else if (type === 7) buffer.writeUInt8(value);
  else if (type === 5) buffer.writeInt32LE(value);
  else buffer.writeUInt32LE(value);
  return buffer;
}

/** How a matrix of a role is stored: the number of its type, and bytes of its values. */
export type Store = (role: string, values: Float32Array, shape: readonly number[]) => Stored;
export interface Stored {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export const asF32 = (values: Float32Array): Stored => ({ type: 0, bytes: plainCodecs.f32.encode(values) });
export const asBf16 = (values: Float32Array): Stored => ({
  type: 30,
  bytes: plainCodecs.bf16.encode(values),
});

/** Blocks of 32 under the largest of them, as `quantize_row_q8_0_ref`. */
export function asQ8_0(values: Float32Array): Stored {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < values.length; at += 32) {
    const block = values.subarray(at, at + 32);
    const scale = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
    const numbers = Int8Array.from(block, (value) => (scale === 0 ? 0 : Math.round(value / scale)));
    blocks.push(plainCodecs.f16.encode(Float32Array.of(scale)), new Uint8Array(numbers.buffer));
  }
  return { type: 8, bytes: new Uint8Array(Buffer.concat(blocks)) };
}

/** Architecture, names and further metadata of a golden case. */
export interface Conversion {
  readonly architecture: string;
  readonly isPaired?: boolean;
  /** Whether norms are stored less one elsewhere. */
  readonly hasWholeNorms?: boolean;
  /** Whether each expert is a tensor of its own, as before llama.cpp stacked them. */
  readonly isByExpert?: boolean;
  /** Whether it is split in two; the path is then that of the first. */
  readonly isSplit?: boolean;
  readonly names?: Readonly<Record<string, string>>;
  readonly metadata?: Readonly<Record<string, Entry>>;
  /** A tensor besides the model's. */
  readonly extra?: GgufTensor;
}

const namesOfRoles: Readonly<Record<string, string>> = {
  ...{ inputNorm: 'attn_norm.weight', postNorm: 'ffn_norm.weight', q: 'attn_q.weight', k: 'attn_k.weight' },
  ...{ v: 'attn_v.weight', o: 'attn_output.weight', qBias: 'attn_q.bias', kBias: 'attn_k.bias' },
  ...{ vBias: 'attn_v.bias', oBias: 'attn_output.bias', qNorm: 'attn_q_norm.weight' },
  ...{ kNorm: 'attn_k_norm.weight', router: 'ffn_gate_inp.weight', sharedGate: 'ffn_gate_shexp.weight' },
  ...{ sharedUp: 'ffn_up_shexp.weight', sharedDown: 'ffn_down_shexp.weight' },
  sharedRouter: 'ffn_gate_inp_shexp.weight',
  ...{ gate: 'ffn_gate', up: 'ffn_up', down: 'ffn_down', gateBias: 'ffn_gate', upBias: 'ffn_up' },
  ...{ downBias: 'ffn_down', routerBias: 'ffn_gate_inp.bias', sinks: 'attn_sinks.weight' },
};

/** Writes a checkpoint's weights to a file, as llama.cpp's converter names and arranges them. */
export async function writeGguf(
  path: string,
  directory: string,
  conversion: Conversion,
  store: Store = (_, values) => asBf16(values),
): Promise<void> {
  const {
    architecture,
    isPaired = false,
    hasWholeNorms = false,
    names = {},
    metadata = {},
    extra,
  } = conversion;
  const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8'));
  const checkpoint = await openCheckpoint(directory);
  const { spec, layers, embedding, head } = checkpoint;
  const nameOf = (role: string) => names[role] ?? namesOfRoles[role];
  const encode = async (role: string, refs: readonly TensorRef[], name: string): Promise<GgufTensor> => {
    const shape = refs[0].shape.slice(refs[0].shape[0] === 1 ? 1 : 0); // a single row is a vector there
    const isRaised = hasWholeNorms && /norm$/i.test(role);
    const matrices = (await Promise.all(refs.map(readTensor))).map((matrix) =>
      isRaised ? matrix.map((value) => value + 1) : matrix,
    );
    const heads = role === 'q' || role === 'qBias' ? 'numHeads' : 'numKvHeads';
    const isTurned = isPaired && ['q', 'k', 'qBias', 'kBias'].includes(role);
    const values = new Float32Array(refs.length * matrices[0].length);
    for (const [i, matrix] of matrices.entries())
      values.set(
        isTurned ? permuted(matrix, spec.layers[0].attention[heads], shape) : matrix,
        i * matrix.length,
      );
    const { type, bytes } = shape.length === 1 ? asF32(values) : store(role, values, shape);
    return { name, type, bytes, shape: refs.length === 1 ? shape : [refs.length, ...shape] };
  };
  const tensors: Promise<GgufTensor>[] = [];
  const add = (role: string, refs: readonly TensorRef[], name: string) =>
    tensors.push(encode(role, refs, name));
  add('embedding', [embedding.tensors[0].ref], 'token_embd.weight');
  for (const [layer, { attention, experts }] of layers.entries()) {
    for (const { role, ref } of attention.tensors) add(role, [ref], `blk.${layer}.${nameOf(role)}`);
    for (const [index, { role }] of experts[0].tensors.entries()) {
      const ending = /(Bias)$/.test(role) ? '.bias' : '.weight';
      const suffix = nameOf(role).includes('.') ? '' : `${experts.length > 1 ? '_exps' : ''}${ending}`;
      const refs = experts.map((expert: WeightGroup) => expert.tensors[index].ref);
      if (!conversion.isByExpert) add(role, refs, `blk.${layer}.${nameOf(role)}${suffix}`);
      else
        for (const [expert, ref] of refs.entries())
          add(role, [ref], `blk.${layer}.${nameOf(role)}.${expert}.weight`);
    }
  }
  const [finalNorm, output] = head.tensors;
  add('finalNorm', [finalNorm.ref], 'output_norm.weight');
  if (!spec.embedding.tied) add('head', [output.ref], 'output.weight');
  const own = (key: string) => `${architecture}.${key}`;
  const { numHeads, numKvHeads, headDim } = spec.layers[0].attention;
  const common: Record<string, Entry> = {
    'general.architecture': text(architecture),
    [own('block_count')]: whole(layers.length),
    [own('context_length')]: whole(spec.maxPositions),
    [own('embedding_length')]: whole(spec.hiddenSize),
    [own('feed_forward_length')]: whole(config.intermediate_size),
    [own('attention.head_count')]: whole(numHeads),
    [own('attention.head_count_kv')]: whole(numKvHeads),
    [own('attention.key_length')]: whole(headDim),
    [own('attention.value_length')]: whole(headDim),
    [own('attention.layer_norm_rms_epsilon')]: real(spec.finalNorm.eps),
    [own('rope.freq_base')]: real(spec.layers[0].attention.rope.theta),
    [own('rope.dimension_count')]: whole(headDim),
    'tokenizer.ggml.eos_token_id': whole(spec.eosTokenIds[0]),
  };
  const { numExperts, expertsPerToken, width } = spec.layers.at(-1)!.ffn;
  if (numExperts > 1) {
    common[own('expert_count')] = whole(numExperts);
    common[own('expert_used_count')] = whole(expertsPerToken);
    common[own('expert_feed_forward_length')] = whole(width);
  }
  const all = [...(await Promise.all(tensors)), ...(extra ? [extra] : [])];
  if (!conversion.isSplit) {
    writeFileSync(path, encodeGguf({ ...common, ...metadata }, all));
    return;
  }
  const half = all.length >> 1;
  const split = { 'split.count': whole(2) };
  writeFileSync(path, encodeGguf({ ...common, ...metadata, ...split }, all.slice(0, half)));
  writeFileSync(path.replace('00001-of', '00002-of'), encodeGguf(split, all.slice(half)));
}

/** `LlamaModel.permute` of convert_hf_to_gguf.py: reshape(heads, 2, rows / 2, …).swapaxes(1, 2). */
function permuted(
  values: Float32Array,
  numHeads: number,
  [allRows, columns = 1]: readonly number[],
): Float32Array {
  const rows = allRows / numHeads;
  const result = new Float32Array(values.length);
  for (let head = 0; head < numHeads; head += 1)
    for (let side = 0; side < 2; side += 1)
      for (let pair = 0; pair < rows / 2; pair += 1) {
        const from = (head * rows + side * (rows / 2) + pair) * columns;
        result.set(values.subarray(from, from + columns), (head * rows + 2 * pair + side) * columns);
      }
  return result;
}
