/** Checkpoints to break: a tiny Mistral built in memory, written as a test wants it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A directory that is removed when the file's tests are over. */
export function createTemporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'specoffload-test-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export const mistralJson = {
  model_type: 'mistral',
  vocab_size: 6,
  hidden_size: 4,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  sliding_window: null,
  eos_token_id: 2,
};

export const user = { role: 'user', content: 'Hi, what is 2+2?' };

export const talk = [
  { role: 'system', content: 'You are terse.' },
  user,
  { role: 'assistant', content: '4.' },
  { role: 'user', content: '  And ünï 🙂\n\nlines?' },
];

export type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

const shapes: Readonly<Record<string, number[]>> = {
  'model.embed_tokens.weight': [6, 4],
  'model.layers.0.input_layernorm.weight': [4],
  'model.layers.0.self_attn.q_proj.weight': [4, 4],
  'model.layers.0.self_attn.k_proj.weight': [2, 4],
  'model.layers.0.self_attn.v_proj.weight': [2, 4],
  'model.layers.0.self_attn.o_proj.weight': [4, 4],
  'model.layers.0.post_attention_layernorm.weight': [4],
  'model.layers.0.mlp.gate_proj.weight': [8, 4],
  'model.layers.0.mlp.up_proj.weight': [8, 4],
  'model.layers.0.mlp.down_proj.weight': [4, 8],
  'model.norm.weight': [4],
  'lm_head.weight': [6, 4],
};

/** The header of the tiny Mistral in bf16, or of some of its tensors, their bytes in this order. */
export function createHeader(names: readonly string[] = Object.keys(shapes)): Header {
  let end = 0;
  const entries = names.map((name) => {
    const begin = end;
    end += 2 * shapes[name].reduce((a, b) => a * b, 1);
    return [name, { dtype: 'BF16', shape: [...shapes[name]], data_offsets: [begin, end] }] as const;
  });
  return Object.fromEntries(entries) as Header;
}

/** A file of this header (an object, or text as it is) and `dataBytes` zeros. */
export function encodeSafetensors(header: Header | string, dataBytes = dataBytesOf(header)): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}

function dataBytesOf(header: Header | string): number {
  if (typeof header === 'string') return 0;
  return Math.max(0, ...Object.values(header).map((entry) => entry.data_offsets[1]));
}

/** Writes a checkpoint directory; files that are not given are left out. */
export function writeDirectory(
  parent: string,
  name: string,
  files: Readonly<Record<string, unknown>>,
): string {
  const directory = mkdtempSync(join(parent, `${name}-`));
  for (const [file, contents] of Object.entries(files)) {
    const raw = typeof contents === 'string' || contents instanceof Uint8Array;
    writeFileSync(join(directory, file), raw ? contents : JSON.stringify(contents));
  }
  return directory;
}
