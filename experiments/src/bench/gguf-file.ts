/** Writes a Llama or Mixtral as the GGUF file that llama.cpp's converter would make of it, with its own weights or made ones. */

import { open, rename } from 'node:fs/promises';
import { type Checkpoint, readTensor, type TensorRef } from '@specoffload/engine';
import { codecs, plainCodecs } from '@specoffload/native';

/** Numbers of the format's types. */
const types = { uint32: 4, int32: 5, float32: 6, string: 8, array: 9 } as const;
const storedAs = { f32: 0, q4_k: 12, bf16: 30 } as const;
const alignment = 32;
const numBytes = 256;

type Value =
  | { readonly whole: number }
  | { readonly real: number }
  | string
  | readonly string[]
  | readonly number[];

export interface GgufTensor {
  readonly name: string;
  /** The outermost first. */
  readonly shape: readonly number[];
  /** Stacked in their order. */
  readonly refs: readonly TensorRef[];
  /** Heads whose rows are put in the order that llama.cpp turns them in; 0 for none. */
  readonly turnedHeads: number;
}

const names: Readonly<Record<string, string>> = {
  ...{
    inputNorm: 'attn_norm',
    postNorm: 'ffn_norm',
    q: 'attn_q',
    k: 'attn_k',
    v: 'attn_v',
    o: 'attn_output',
  },
  ...{ router: 'ffn_gate_inp', gate: 'ffn_gate', up: 'ffn_up', down: 'ffn_down' },
};

export type GgufDtype = keyof typeof storedAs;

/** What stands in the file. */
export interface GgufWeights {
  /** Of matrices: as the converter does, vectors and routers stay fp32. */
  readonly dtype: GgufDtype;
  read(tensor: GgufTensor, dtype: GgufDtype): Promise<Uint8Array>;
}

/** The checkpoint's own, in bf16. */
const ownWeights: GgufWeights = { dtype: 'bf16', read: readOwn };

/** Its tokens are numbered, no more: whoever measures hands over ids. */
export async function writeGguf(
  checkpoint: Checkpoint,
  path: string,
  weights: GgufWeights = ownWeights,
): Promise<void> {
  const dtypeOf = ({ name, shape }: GgufTensor) =>
    shape.length === 1 || name.includes('ffn_gate_inp') ? 'f32' : weights.dtype;
  const tensors = tensorsOf(checkpoint);
  let offset = 0;
  const infos = tensors.map((tensor) => {
    const info = Buffer.concat([
      ...[text(tensor.name), uint32(tensor.shape.length)],
      ...[...tensor.shape].reverse().map(uint64),
      ...[uint32(storedAs[dtypeOf(tensor)]), uint64(offset)],
    ]);
    offset += padded(codecs[dtypeOf(tensor)].bytes(countOf(tensor)));
    return info;
  });
  const metadata = Object.entries(metadataOf(checkpoint));
  const header = Buffer.concat([
    ...[Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(metadata.length)],
    ...metadata.flatMap(([key, value]) => [text(key), encode(value)]),
    ...infos,
  ]);
  const temporary = `${path}.partial`;
  const file = await open(temporary, 'w');
  try {
    await file.write(pad(header));
    for (const tensor of tensors) await file.write(pad(await weights.read(tensor, dtypeOf(tensor))));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

function tensorsOf({ spec, embedding, layers, head }: Checkpoint): GgufTensor[] {
  const one = (name: string, ref: TensorRef, turnedHeads = 0) => ({
    name,
    shape: ref.shape,
    refs: [ref],
    turnedHeads,
  });
  const [finalNorm, output] = head.tensors;
  return [
    one('token_embd.weight', embedding.tensors[0].ref),
    ...layers.flatMap(({ attention, experts }, layer) => {
      const { numHeads, numKvHeads } = spec.layers[layer].attention;
      const heads: Readonly<Record<string, number>> = { q: numHeads, k: numKvHeads };
      return [
        ...attention.tensors.map(({ role, ref }) =>
          one(`blk.${layer}.${names[role]}.weight`, ref, heads[role]),
        ),
        ...experts[0].tensors.map(({ role, ref }, index) => ({
          name: `blk.${layer}.${names[role]}${experts.length > 1 ? '_exps' : ''}.weight`,
          shape: experts.length > 1 ? [experts.length, ...ref.shape] : ref.shape,
          refs: experts.map((expert) => expert.tensors[index].ref),
          turnedHeads: 0,
        })),
      ];
    }),
    one('output_norm.weight', finalNorm.ref),
    ...(spec.embedding.tied ? [] : [one('output.weight', output.ref)]),
  ];
}

function metadataOf({ spec }: Checkpoint): Record<string, Value> {
  const [{ attention, ffn }] = spec.layers;
  const whole = (value: number) => ({ whole: value });
  return {
    'general.architecture': 'llama',
    'llama.block_count': whole(spec.layers.length),
    'llama.context_length': whole(spec.maxPositions),
    'llama.embedding_length': whole(spec.hiddenSize),
    'llama.feed_forward_length': whole(ffn.width),
    'llama.attention.head_count': whole(attention.numHeads),
    'llama.attention.head_count_kv': whole(attention.numKvHeads),
    'llama.attention.key_length': whole(attention.headDim),
    'llama.attention.value_length': whole(attention.headDim),
    'llama.attention.layer_norm_rms_epsilon': { real: spec.finalNorm.eps },
    'llama.rope.freq_base': { real: attention.rope.theta },
    'llama.rope.dimension_count': whole(attention.headDim),
    ...(ffn.numExperts > 1 && {
      'llama.expert_count': whole(ffn.numExperts),
      'llama.expert_used_count': whole(ffn.expertsPerToken),
    }),
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': Array.from({ length: spec.vocabSize }, (_, id) => nameToken(id)),
    'tokenizer.ggml.scores': new Array<number>(spec.vocabSize).fill(0),
    'tokenizer.ggml.token_type': Array.from({ length: spec.vocabSize }, (_, id) => (id < numBytes ? 6 : 1)),
  };
}

/** llama.cpp looks for a token of each byte. */
function nameToken(id: number): string {
  return id < numBytes ? `<0x${id.toString(16).toUpperCase().padStart(2, '0')}>` : `<${id}>`;
}

export function countOf({ shape }: GgufTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

async function readOwn(tensor: GgufTensor, dtype: GgufDtype): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (const ref of tensor.refs) {
    const encode = plainCodecs[dtype === 'f32' ? dtype : 'bf16'].encode;
    const bytes = ref.dtype === dtype ? await readStored(ref) : encode(await readTensor(ref));
    parts.push(tensor.turnedHeads > 0 ? turn(bytes, tensor.turnedHeads, ref.shape[0]) : bytes);
  }
  return Buffer.concat(parts);
}

async function readStored({ path, fileOffset, byteLength }: TensorRef): Promise<Uint8Array> {
  const file = await open(path);
  try {
    return (await file.read(Buffer.alloc(byteLength), 0, byteLength, fileOffset)).buffer;
  } finally {
    await file.close();
  }
}

/** Rows i and i + half of each head next to each other: `LlamaModel.permute` of convert_hf_to_gguf.py. */
function turn(matrix: Uint8Array, numHeads: number, numRows: number): Uint8Array {
  const half = numRows / numHeads / 2;
  const rowBytes = matrix.length / numRows;
  const turned = new Uint8Array(matrix.length);
  for (let row = 0; row < numRows; row += 1) {
    const [first, within] = [row - (row % (2 * half)), row % (2 * half)];
    const to = first + 2 * (within % half) + Math.floor(within / half);
    turned.set(matrix.subarray(row * rowBytes, (row + 1) * rowBytes), to * rowBytes);
  }
  return turned;
}

function padded(length: number): number {
  return Math.ceil(length / alignment) * alignment;
}

function pad(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(padded(bytes.length) - bytes.length)]);
}

function encode(value: Value): Buffer {
  if (typeof value === 'string') return Buffer.concat([uint32(types.string), text(value)]);
  if ('whole' in value) return Buffer.concat([uint32(types.uint32), uint32(value.whole)]);
  if ('real' in value) return Buffer.concat([uint32(types.float32), float32(value.real)]);
  const isWhole = value.some((one) => typeof one === 'number' && one > 0);
  const elements = value.map((one) =>
    typeof one === 'string' ? text(one) : isWhole ? uint32(one) : float32(one),
  );
  const type = typeof value[0] === 'string' ? types.string : isWhole ? types.int32 : types.float32;
  return Buffer.concat([uint32(types.array), uint32(type), uint64(value.length), ...elements]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  return Buffer.from(Uint32Array.of(value).buffer);
}

function uint64(value: number): Buffer {
  return Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
}

function float32(value: number): Buffer {
  return Buffer.from(Float32Array.of(value).buffer);
}
