import { readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { inspectCheckpoint, openCheckpoint, UserError } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import {
  createHeader,
  createTemporaryDirectory,
  encodeSafetensors,
  type Header,
  mistralJson,
  writeDirectory,
} from './fixtures.js';
import { goldenDirectory } from './golden.js';

const root = createTemporaryDirectory();
const q = 'model.layers.0.self_attn.q_proj.weight';
const norm = 'model.norm.weight';

function header(change: (header: Header) => void): Header {
  const changed = createHeader();
  change(changed);
  return changed;
}

async function failureOf(files: Record<string, unknown>): Promise<string> {
  const directory = writeDirectory(root, 'broken', files);
  const error: unknown = await openCheckpoint(directory).catch((e) => e);
  expect(error).toBeInstanceOf(UserError);
  return (error as UserError).message.replaceAll(directory, 'dir');
}

describe('openCheckpoint', () => {
  it('groups the tensors of a Mixtral', async () => {
    const checkpoint = await openCheckpoint(goldenDirectory('mixtral'));
    const { layers, embedding, head } = checkpoint;
    expect(checkpoint.name).toBe('mixtral');
    expect(layers.length).toBe(3);
    expect(layers[2].experts.map(({ id }) => id)).toContain('layer.2.expert.7');
    expect(layers[1].attention.tensors.map(({ role }) => role).join()).toBe(
      'inputNorm,q,k,v,o,postNorm,router',
    );
    expect(layers[1].experts[3].tensors.map(({ role, ref }) => [role, ref.name, ref.shape])).toEqual([
      ['gate', 'model.layers.1.block_sparse_moe.experts.3.w1.weight', [96, 64]],
      ['up', 'model.layers.1.block_sparse_moe.experts.3.w3.weight', [96, 64]],
      ['down', 'model.layers.1.block_sparse_moe.experts.3.w2.weight', [64, 96]],
    ]);
    expect(layers[1].experts[3]).toMatchObject({
      kind: 'expert',
      layer: 1,
      expert: 3,
      storedBytes: 36864,
      deviceBytes: 73728,
    });
    const groups = [embedding, head, ...layers.flatMap((layer) => [layer.attention, ...layer.experts])];
    expect(groups.reduce((bytes, group) => bytes + group.storedBytes, 0)).toBe(checkpoint.bytes);
    expect(checkpoint.parameters * 2).toBe(checkpoint.bytes);
  });

  it('reads the same model from shards', async () => {
    const single = await openCheckpoint(goldenDirectory('mixtral'));
    const sharded = await openCheckpoint(goldenDirectory('mixtral-sharded'));
    expect([...sharded.tensors.keys()]).toEqual([...single.tensors.keys()]);
    expect(sharded.bytes).toBe(single.bytes);
    expect(new Set([...sharded.tensors.values()].map(({ path }) => path)).size).toBe(2);
    expect(sharded.digest).not.toBe(single.digest);
  });

  it('counts a tied embedding once and names it twice', async () => {
    const { embedding, head, tensors, parameters } = await openCheckpoint(goldenDirectory('llama-llama3'));
    expect(head.tensors[1].ref).toEqual(embedding.tensors[0].ref);
    expect(parameters).toBe([...tensors.values()].reduce((sum, ref) => sum + ref.numElements, 0));
  });

  it('ignores the head that a tied checkpoint also holds, and saved rotary frequencies', async () => {
    const tensors = header((h) => {
      const end = h['lm_head.weight'].data_offsets[1];
      h['model.layers.0.self_attn.rotary_emb.inv_freq'] = {
        dtype: 'F32',
        shape: [1],
        data_offsets: [end, end + 4],
      };
    });
    const directory = writeDirectory(root, 'tied', {
      'config.json': { ...mistralJson, tie_word_embeddings: true },
      'model.safetensors': encodeSafetensors(tensors),
    });
    const { head, tensors: used } = await openCheckpoint(directory);
    expect(head.tensors[1].ref.name).toBe('model.embed_tokens.weight');
    expect(used.size).toBe(11);
  });

  it('takes a head that a tied checkpoint holds alone for the embedding, too', async () => {
    const directory = writeDirectory(root, 'head-alone', {
      'config.json': { ...mistralJson, tie_word_embeddings: true },
      'model.safetensors': encodeSafetensors(header((h) => delete h['model.embed_tokens.weight'])),
    });
    const { embedding, head, tensors } = await openCheckpoint(directory);
    expect(embedding.tensors[0].ref.name).toBe('lm_head.weight');
    expect(head.tensors[1].ref).toEqual(embedding.tensors[0].ref);
    expect(tensors.size).toBe(11);
  });

  it.each(['bf16', 'f32'] as const)(
    'keeps a head whose weights (%s) are not the embedding, whatever tie_word_embeddings says, and says so',
    async (dtype) => {
      const tensors = header((h) => {
        const head = h['lm_head.weight'];
        if (dtype === 'f32')
          Object.assign(head, {
            dtype: 'F32',
            data_offsets: [head.data_offsets[0], head.data_offsets[0] + 96],
          });
      });
      const contents = encodeSafetensors(tensors);
      contents[contents.length - 1] = 0x3f; // the head's last element
      const directory = writeDirectory(root, 'untied', {
        'config.json': { ...mistralJson, tie_word_embeddings: true },
        'model.safetensors': contents,
      });
      const warnings: Error[] = [];
      const listen = (warning: Error) => warnings.push(warning);
      process.on('warning', listen);
      const { head, spec, tensors: used } = await openCheckpoint(directory);
      await new Promise(setImmediate);
      process.off('warning', listen);
      expect(head.tensors[1].ref.name).toBe('lm_head.weight');
      expect(spec.embedding.tied).toBe(false);
      expect(used.size).toBe(12);
      expect(warnings.map(({ name, message }) => [name, message])).toEqual([
        [
          'CheckpointWarning',
          `${directory}/config.json: tie_word_embeddings true contradicts lm_head.weight, whose weights are not those of model.embed_tokens.weight; they are not tied, as in transformers 5`,
        ],
      ]);
    },
  );

  it('takes the end of sequence from generation_config.json', async () => {
    const directory = writeDirectory(root, 'eos', {
      'config.json': mistralJson,
      'generation_config.json': { eos_token_id: [3, 4] },
      'model.safetensors': encodeSafetensors(createHeader()),
    });
    expect((await openCheckpoint(directory)).spec.eosTokenIds).toEqual([3, 4]);
  });

  it('gives a copy the digest of its original, and another configuration another one', async () => {
    const files = { 'config.json': mistralJson, 'model.safetensors': encodeSafetensors(createHeader()) };
    const digestOf = async (name: string, json: object) =>
      (await openCheckpoint(writeDirectory(root, name, { ...files, 'config.json': json }))).digest;
    const original = await digestOf('original', mistralJson);
    expect(await digestOf('copy', mistralJson)).toBe(original);
    expect(await digestOf('other', { ...mistralJson, rope_theta: 500 })).not.toBe(original);
  });

  it('takes tensors in any order, with gaps between them', async () => {
    const tensors = header((h) => {
      const end = h['lm_head.weight'].data_offsets[1];
      h[norm].data_offsets = [end + 6, end + 14];
    });
    const directory = writeDirectory(root, 'gaps', {
      'config.json': mistralJson,
      'model.safetensors': encodeSafetensors(tensors),
    });
    expect((await openCheckpoint(directory)).tensors.size).toBe(12);
  });
});

describe('openCheckpoint refuses a single file', () => {
  const good = encodeSafetensors(createHeader());
  const huge = Buffer.from(good);
  huge.writeBigUInt64LE(2n ** 52n);
  const cases: [string, Buffer | string, string][] = [
    [
      'cut short',
      good.subarray(0, -1),
      `dir/model.safetensors has ${good.length - 1} bytes where its header promises ${good.length}; it was cut short, download it again`,
    ],
    [
      'with something appended',
      Buffer.concat([good, Buffer.alloc(3)]),
      `promises ${good.length}; something was appended, download it again`,
    ],
    ['cut inside the header', good.subarray(0, 100), 'dir/model.safetensors: invalid header length'],
    ['that is empty', '', 'dir/model.safetensors ended after 0 bytes; it was cut short'],
    [
      'with a huge header length',
      huge,
      'dir/model.safetensors: invalid header length: 4503599627370496; expected 2 to',
    ],
    [
      'with garbage for a header',
      encodeSafetensors('{"a": oops}'),
      'dir/model.safetensors: the header is not valid JSON',
    ],
    [
      'with bytes that are not UTF-8',
      Buffer.concat([encodeSafetensors('  ').subarray(0, 8), Buffer.from([0xff, 0xfe])]),
      'dir/model.safetensors: unreadable header',
    ],
    [
      'with a list for a header',
      encodeSafetensors('[1,2]'),
      'dir/model.safetensors: invalid header: [1,2]; expected an object',
    ],
    [
      'with a tensor twice',
      encodeSafetensors(
        `{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`,
      ),
      'dir/model.safetensors defines "a" twice',
    ],
    [
      'with an entry that is no object',
      encodeSafetensors('{"a":3}'),
      'dir/model.safetensors, "a": invalid entry: 3; expected an object',
    ],
    [
      'with an unknown dtype',
      encodeSafetensors(
        header((h) => {
          h[q].dtype = 'Q4';
        }),
      ),
      `"${q}": invalid dtype: "Q4"; expected BOOL`,
    ],
    [
      'with a dtype from the prototype',
      encodeSafetensors(
        header((h) => {
          h[q].dtype = 'toString';
        }),
      ),
      `"${q}": invalid dtype: "toString"`,
    ],
    [
      'with integers for weights',
      encodeSafetensors(
        header((h) => {
          h[q].dtype = 'I16';
        }),
      ),
      `dir/model.safetensors: unsupported dtype of ${q}: I16; expected BF16, F16 or F32; use`,
    ],
    [
      'with a negative size',
      encodeSafetensors(
        header((h) => {
          h[q].shape = [-4, -4];
        }),
      ),
      `"${q}": invalid shape.0: -4; expected a whole number from 0`,
    ],
    [
      'with sizes beyond counting',
      encodeSafetensors(
        header((h) => {
          h[q].shape = [2 ** 40, 2 ** 40];
        }),
      ),
      `"${q}": invalid shape: [1099511627776,1099511627776]; expected a tensor smaller than`,
    ],
    [
      'with a shape that its bytes do not fit',
      encodeSafetensors(
        header((h) => {
          h[q].shape = [4, 5];
        }),
      ),
      `"${q}": invalid data_offsets: [56,88]; expected [begin, end] of 40 bytes, which is what BF16 [4,5] takes`,
    ],
    [
      'with a range that runs backwards',
      encodeSafetensors(
        header((h) => {
          h[q].data_offsets.reverse();
        }),
      ),
      `"${q}": invalid data_offsets: [88,56]; expected [begin, end] of 32`,
    ],
    [
      'with overlapping ranges',
      encodeSafetensors(
        header((h) => {
          h[q].data_offsets = [50, 82];
        }),
      ),
      `the bytes of "${q}" overlap those of "model.layers.0.input_layernorm.weight"`,
    ],
    [
      'with a shape that config.json contradicts',
      encodeSafetensors(
        header((h) => {
          h[q].shape = [2, 8];
        }),
      ),
      `dir/model.safetensors: invalid shape of ${q}: [2,8]; expected [4,4] from config.json`,
    ],
    [
      'without a tensor',
      encodeSafetensors(
        header((h) => {
          delete h[norm];
        }),
      ),
      `dir has no tensor ${norm} (shape [4]), which config.json asks for; download the checkpoint again`,
    ],
    [
      'without a head',
      encodeSafetensors(
        header((h) => {
          delete h['lm_head.weight'];
        }),
      ),
      'or set tie_word_embeddings in config.json',
    ],
    [
      'with gate and up in one',
      encodeSafetensors(
        header((h) => {
          h['model.layers.0.mlp.gate_up_proj.weight'] = h['model.layers.0.mlp.gate_proj.weight'];
          delete h['model.layers.0.mlp.gate_proj.weight'];
        }),
      ),
      'dir has no tensor model.layers.0.mlp.gate_proj.weight, but "model.layers.0.mlp.gate_up_proj.weight", which holds several in one; expected every expert and projection on its own; load the model with transformers and save it with save_pretrained',
    ],
    [
      'with a bias',
      encodeSafetensors(
        header((h) => {
          h['model.layers.0.self_attn.q_proj.bias'] = { dtype: 'BF16', shape: [0], data_offsets: [0, 0] };
        }),
      ),
      'dir/model.safetensors holds "model.layers.0.self_attn.q_proj.bias", which a mistral model',
    ],
  ];

  it.each(cases)('%s', async (_, contents, message) => {
    expect(await failureOf({ 'config.json': mistralJson, 'model.safetensors': contents })).toContain(message);
  });
});

describe('openCheckpoint refuses shards', () => {
  const names = Object.keys(createHeader());
  const first = encodeSafetensors(createHeader(names.slice(0, 6)));
  const second = encodeSafetensors(createHeader(names.slice(6)));
  const weightMap = Object.fromEntries(
    names.map((name, i) => [name, i < 6 ? '1.safetensors' : '2.safetensors']),
  );
  const files = (weight_map: unknown) => ({
    'config.json': mistralJson,
    '1.safetensors': first,
    '2.safetensors': second,
    'model.safetensors.index.json': { metadata: {}, weight_map },
  });

  it('unless something is wrong with them', async () => {
    expect((await openCheckpoint(writeDirectory(root, 'sharded', files(weightMap)))).tensors.size).toBe(12);
  });

  it.each([
    ['that are missing', { ...weightMap, [norm]: '3.safetensors' }, 'cannot open dir/3.safetensors'],
    [
      'that do not hold what the index says',
      { ...weightMap, [norm]: '1.safetensors' },
      `index.json says that 1.safetensors holds "${norm}", which it does not`,
    ],
    [
      'outside the directory',
      { ...weightMap, [norm]: '../2.safetensors' },
      `invalid weight_map.${norm}: "../2.safetensors"; expected the name of a .safetensors file in the same directory`,
    ],
    [
      'at an absolute path',
      { ...weightMap, [norm]: '/etc/passwd' },
      `invalid weight_map.${norm}: "/etc/passwd"`,
    ],
    ['without names', { ...weightMap, [norm]: 7 }, `invalid weight_map.${norm}: 7`],
    ['that no index lists', {}, 'invalid weight_map: {}; expected'],
  ])('%s', async (_, map, message) => {
    expect(await failureOf(files(map))).toContain(message);
  });

  it('that hold a tensor twice', async () => {
    const both = encodeSafetensors(createHeader(names.slice(5)));
    expect(await failureOf({ ...files(weightMap), '2.safetensors': both })).toContain(
      `both hold "${names[5]}"`,
    );
  });

  it('whose index is not JSON', async () => {
    const broken = { ...files(weightMap), 'model.safetensors.index.json': '{' };
    expect(await failureOf(broken)).toContain('dir/model.safetensors.index.json is not valid JSON');
  });
});

it('openCheckpoint refuses pipes and devices, which would never end', async () => {
  const files = { 'config.json': mistralJson, 'model.safetensors': encodeSafetensors(createHeader()) };
  for (const name of Object.keys(files)) {
    const directory = writeDirectory(root, 'device', files);
    rmSync(join(directory, name));
    symlinkSync('/dev/zero', join(directory, name));
    await expect(openCheckpoint(directory)).rejects.toThrow(`${name} is not a regular file`);
  }
});

it.each([
  ['no config.json', {}, 'there is no dir/config.json; expected the directory of a Hugging Face checkpoint'],
  [
    'no weights',
    { 'config.json': mistralJson },
    'dir has a configuration, which simulate and plan can predict, but no weights: neither model.safetensors nor ',
  ],
  ['a config.json that is not JSON', { 'config.json': 'x' }, 'dir/config.json is not valid JSON'],
  ['a path that cannot be one', null, 'no file can have a name with a null character'],
])('openCheckpoint refuses %s', async (_, files, message) => {
  if (files !== null) return expect(await failureOf(files)).toContain(message);
  await expect(openCheckpoint(join(root, 'nowhere\0'))).rejects.toThrow(message);
});

it('inspects a checkpoint', async () => {
  const checkpoint = await openCheckpoint(goldenDirectory('mixtral'));
  const report = inspectCheckpoint(checkpoint);
  const expert = 3 * 64 * 96;
  expect(report.activeParameters).toBe(report.parameters - 3 * 6 * expert);
  expect(report.kvBytesPerToken).toBe(3 * 2 * 2 * 16 * 4);
  expect(report.bytesByRole.gate).toBe(3 * 8 * 64 * 96 * 2);
  expect(Object.values(report.bytesByRole).reduce((a, b) => a + b)).toBe(checkpoint.bytes);
  expect(report.bytesByLayer.length).toBe(3);
  expect(report.dtypes.bf16).toEqual({ tensors: checkpoint.tensors.size, bytes: checkpoint.bytes });
  expect(report.largestGroups[0].id).toBe('layer.0.expert.0');
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  const tied = await openCheckpoint(goldenDirectory('llama-llama3'));
  const tiedReport = inspectCheckpoint(tied);
  expect(tiedReport.activeParameters).toBe(tied.parameters);
  expect(tiedReport.bytesByRole.head).toBe(0);
});

it('agrees with the byte count that the index of the golden shards gives', async () => {
  const index: unknown = JSON.parse(
    readFileSync(join(goldenDirectory('mixtral-sharded'), 'model.safetensors.index.json'), 'utf8'),
  );
  const { bytes } = await openCheckpoint(goldenDirectory('mixtral-sharded'));
  expect(index).toMatchObject({ metadata: { total_size: bytes } });
});

it.each(['pytorch_model.bin', 'consolidated.safetensors', 'model-q4.gguf'])(
  'names weights of another format that are there instead: %s',
  async (name) => {
    expect(await failureOf({ 'config.json': mistralJson, [name]: '' })).toContain(
      `but "${name}" in a format of its own; download the checkpoint again, in the safetensors format of transformers`,
    );
  },
);
