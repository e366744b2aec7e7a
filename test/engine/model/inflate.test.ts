import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Disk,
  type InflationRequest,
  inflateCheckpoint,
  loadReferenceWeights,
  localDisk,
  openCheckpoint,
  planInflation,
  readTensor,
  referenceLogits,
  summarise,
  UserError,
  writeCheckpoint,
} from '@specoffload/engine';
import { decodeWeights, type PlainDtype, plainCodecs } from '@specoffload/native';
import { beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../oracle.js';
import { createTemporaryDirectory, writeDirectory } from './fixtures.js';
import { goldenDirectory, maxDifference, readGolden } from './golden.js';

const root = createTemporaryDirectory();
let numTargets = 0;
const shippedTarget = fileURLToPath(new URL('../../../experiments/pair/target', import.meta.url));
const newTarget = () => join(root, `inflated-${numTargets++}`);

async function inflate(name: string, request: InflationRequest & { seed?: number }) {
  const source = await openCheckpoint(goldenDirectory(name));
  return inflateCheckpoint({ source, targetDirectory: newTarget(), seed: 1, ...request });
}

describe.each<[string, readonly InflationRequest[]]>([
  [
    'mixtral',
    [
      { layers: 7 },
      { ffnSize: 131 },
      { experts: 16 },
      { experts: 32, ffnSize: 24 },
      { layers: 5, experts: 16, ffnSize: 64 },
      { bytes: 8e6 },
    ],
  ],
  ['mixtral-sharded', [{ layers: 4, experts: 16 }]],
  ['mistral-window', [{ layers: 5 }, { ffnSize: 200 }, { layers: 3, ffnSize: 96 }, { bytes: 3e6 }]],
  ['llama-llama3', [{ layers: 4, ffnSize: 160 }]],
  ['llama-headdim', [{ layers: 3 }]],
])('inflating %s', (name, requests) => {
  const prompts = readGolden(name).prompts.slice(1, 3);
  let expected: Float32Array[];
  beforeAll(async () => {
    const original = await loadReferenceWeights(await openCheckpoint(goldenDirectory(name)));
    expected = prompts.map(({ ids }) => referenceLogits(original, ids, { positions: 'last' })[0]!);
  });

  it.each(requests)('by %j keeps logits and tokens', async (request) => {
    const inflated = await inflate(name, request);
    const weights = await loadReferenceWeights(inflated);
    for (const [index, { ids, greedy_ids }] of prompts.entries()) {
      const tokens = judge(weights, ids, greedy_ids.slice(0, 4));
      expect(maxDifference(tokens[0]!.logits, expected[index]!)).toBeLessThan(1e-5);
      expect(tokens.map(({ best }) => best)).toEqual(greedy_ids.slice(0, 4));
    }
  });
});

describe.each(['f16', 'f32'] as const)('inflating %s weights', (dtype) => {
  it('keeps their dtype, logits and tokens', async () => {
    const directory = await convert('mixtral', dtype);
    const source = await openCheckpoint(directory);
    const request = { layers: 4, experts: 16, ffnSize: 64 };
    const inflated = await inflateCheckpoint({ source, targetDirectory: newTarget(), seed: 1, ...request });
    expect(new Set([...inflated.tensors.values()].map((ref) => ref.dtype))).toEqual(new Set([dtype]));
    const ids = readGolden('mixtral').prompts[1].ids;
    const [expected] = referenceLogits(await loadReferenceWeights(source), ids, { positions: 'last' });
    const [logits] = referenceLogits(await loadReferenceWeights(inflated), ids, { positions: 'last' });
    expect(maxDifference(logits!, expected!)).toBeLessThan(1e-5);
  });
});

/** A golden model's weights in another dtype. */
async function convert(name: string, dtype: PlainDtype): Promise<string> {
  const { directory, tensors } = await openCheckpoint(goldenDirectory(name));
  const section = [...tensors.values()].map((ref) => ({
    name: ref.name,
    dtype,
    shape: ref.shape,
    async *chunks() {
      yield plainCodecs[dtype].encode(await readTensor(ref));
    },
  }));
  const sidecars = new Map([['config.json', readFileSync(join(directory, 'config.json'))]]);
  const targetDirectory = newTarget();
  await writeCheckpoint({ targetDirectory, sections: [section], sidecars });
  return targetDirectory;
}

it('refuses to multiply fp16 weights beyond their range', async () => {
  const source = await openCheckpoint(await convert('mixtral', 'f16'));
  const { path, fileOffset } = source.layers[1].experts[2].tensors[2].ref;
  const bytes = readFileSync(path);
  bytes.writeUInt16LE(0x7bff, fileOffset); // 65504, the largest
  writeFileSync(path, bytes);
  const attempt = inflateCheckpoint({ source, targetDirectory: newTarget(), experts: 16, seed: 1 });
  await expect(attempt).rejects.toThrow(
    'experts.2.w2.weight holds weights too large to multiply by 2 in f16',
  );
});

it('lays groups out without gaps: attention, then the experts in order, from an aligned start', async () => {
  const { layers, embedding, head } = await inflate('mixtral', { layers: 6, ffnSize: 128 });
  const groups = [embedding, ...layers.flatMap(({ attention, experts }) => [attention, ...experts]), head];
  const refs = groups.flatMap((group) => group.tensors.map(({ ref }) => ref));
  let next = refs[0].fileOffset;
  expect(next % 4096).toBe(0);
  for (const { name, fileOffset, byteLength } of refs) {
    expect(fileOffset, name).toBe(next);
    expect(fileOffset % 8, name).toBe(0);
    next += byteLength;
  }
});

it('copies the source bit by bit, and adds no NaN, infinity or denormal', async () => {
  const source = await openCheckpoint(goldenDirectory('mixtral'));
  const inflated = await inflate('mixtral', { layers: 6 });
  const bytesOf = (ref: { path: string; fileOffset: number; byteLength: number }) =>
    readFileSync(ref.path).subarray(ref.fileOffset, ref.fileOffset + ref.byteLength);
  for (const [layer, { attention }] of source.layers.entries()) {
    for (const [i, { ref }] of attention.tensors.entries()) {
      expect(bytesOf(inflated.layers[2 * layer].attention.tensors[i].ref)).toEqual(bytesOf(ref));
    }
  }
  for (const ref of inflated.tensors.values()) {
    const strange = decodeWeights(bytesOf(ref), ref.dtype).filter(
      (x) => !Number.isFinite(x) || (x !== 0 && Math.abs(x) < 2 ** -126),
    );
    expect(strange.length, ref.name).toBe(0);
  }
});

it('writes equal files for equal seeds and others for other seeds', async () => {
  const hashOf = async (seed: number) => {
    const { directory } = await inflate('mistral-full', { layers: 4, ffnSize: 96, seed });
    return createHash('sha256')
      .update(readFileSync(join(directory, 'model.safetensors')))
      .digest('hex');
  };
  expect(await hashOf(3)).toBe(await hashOf(3));
  expect(await hashOf(3)).not.toBe(await hashOf(4));
});

it('takes tokenizer and generation configuration along, and says where it comes from', async () => {
  const files = Object.fromEntries(
    readdirSync(goldenDirectory('mistral-full')).map((file) => [
      file,
      readFileSync(join(goldenDirectory('mistral-full'), file)),
    ]),
  );
  const directory = writeDirectory(root, 'with-tokenizer', { ...files, 'tokenizer.json': '{"mine": true}' });
  const source = await openCheckpoint(directory);
  const target = newTarget();
  await inflateCheckpoint({ source, targetDirectory: target, layers: 3, seed: 9 });
  expect(readdirSync(target).sort()).toEqual([
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
  ]);
  expect(readFileSync(join(target, 'tokenizer.json'), 'utf8')).toBe('{"mine": true}');
  const config: unknown = JSON.parse(readFileSync(join(target, 'config.json'), 'utf8'));
  expect(config).toMatchObject({
    num_hidden_layers: 3,
    inflated_from: { name: source.name, digest: source.digest, parts: 1, seed: 9 },
  });
});

describe('planInflation', () => {
  it.each([8e6, 1e7, 2e9, 1e11])('reaches %d bytes within 1 %', async (bytes) => {
    const source = await openCheckpoint(goldenDirectory('mixtral'));
    const plan = planInflation(source, { bytes });
    expect(Math.abs(plan.bytes - bytes)).toBeLessThanOrEqual(0.01 * bytes);
    expect(plan.spec.layers.length).toBeLessThanOrEqual(32);
    if (bytes > 2e7) expect(plan.spec.layers.length).toBe(32);
    expect(plan.spec.layers[0].ffn.width % 16).toBe(0);
  });

  it.each([
    [1e8, 21, 352],
    [2.34e8, 31, 576],
    [1e9, 32, 2496],
    [2e9, 32, 5056],
  ])(
    'gives up a few layers of the shipped target at %d bytes for a width that can be packed',
    async (...asked) => {
      const [bytes, layers, width] = asked;
      const { spec } = planInflation(await openCheckpoint(shippedTarget), { bytes });
      expect([spec.layers.length, spec.layers[0].ffn.width]).toEqual([layers, width]);
    },
  );

  it('promises the bytes that inflation writes', async () => {
    const source = await openCheckpoint(goldenDirectory('llama-llama3'));
    const request = { layers: 5, ffnSize: 128 };
    expect((await inflate('llama-llama3', request)).bytes).toBe(planInflation(source, request).bytes);
  });

  it.each<[string, InflationRequest, string]>([
    ['mixtral', {}, 'invalid inflation: nothing given; expected bytes, layers, experts or ffnSize'],
    ['mixtral', { bytes: 1000 }, 'invalid bytes: 1000; expected an integer of at least 1013376'],
    ['mixtral', { bytes: Number.NaN }, 'invalid bytes: NaN'],
    ['mixtral', { bytes: 2e6 }, 'the closest size that can be reached is 1975680 (6 layers, FFN width 96)'],
    ['mixtral', { layers: 2 }, 'invalid layers: 2; expected an integer of at least 3'],
    ['mixtral', { layers: 3.5 }, 'invalid layers: 3.5'],
    ['mixtral', { ffnSize: 95 }, 'invalid ffnSize: 95; expected an integer of at least 96'],
    ['mixtral', { experts: 16, ffnSize: 47 }, 'invalid ffnSize: 47; expected an integer of at least 48'],
    ['mixtral', { experts: 12 }, 'invalid experts: 12; expected 8 times a power of two'],
    ['mixtral', { experts: 4 }, 'invalid experts: 4; expected 8 times a power of two'],
    ['mistral-full', { experts: 2 }, 'invalid experts: 2; expected none for a mistral model'],
    [
      'mixtral',
      { bytes: 1e9, layers: 3, ffnSize: 96 },
      'invalid bytes: 1000000000; the closest size that can be reached is 1013376',
    ],
  ])('refuses to make %s %j', async (name, request, message) => {
    const source = await openCheckpoint(goldenDirectory(name));
    expect(() => planInflation(source, request)).toThrow(UserError);
    expect(() => planInflation(source, request)).toThrow(message);
  });
});

describe('inflateCheckpoint leaves nothing behind', () => {
  async function failing(options: {
    disk?: Disk;
    signal?: AbortSignal;
    onProgress?: () => void;
  }): Promise<unknown> {
    const parent = join(root, `parent-${numTargets++}`);
    mkdirSync(parent);
    const source = await openCheckpoint(goldenDirectory('mixtral'));
    const error: unknown = await inflateCheckpoint({
      source,
      targetDirectory: join(parent, 'model'),
      layers: 6,
      seed: 1,
      ...options,
    }).catch((e) => e);
    expect(readdirSync(parent)).toEqual([]);
    return error;
  }

  it('when the disk is too small', async () => {
    const error = await failing({ disk: { ...localDisk, freeBytes: async () => 1_000_000 } });
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(/has 1000000 bytes free where \d+ are needed; free some/);
  });

  it('when the disk fills up midway', async () => {
    let bytesLeft = 500_000;
    const create: Disk['create'] = async (path) => {
      const file = await localDisk.create(path);
      const write = async (bytes: Uint8Array) => {
        bytesLeft -= bytes.length;
        if (bytesLeft < 0)
          throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC', syscall: 'write' });
        await file.write(bytes);
      };
      return { ...file, write };
    };
    const error = await failing({ disk: { create, freeBytes: async () => 1e9 } });
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(
      /cannot write .*model \(no space left on device\): \d+ bytes are needed and 1000000000 are free; make room/,
    );
  });

  it('when it is stopped', async () => {
    const controller = new AbortController();
    const onProgress = () => controller.abort(new Error('stopped by the user'));
    expect(await failing({ signal: controller.signal, onProgress })).toEqual(
      new Error('stopped by the user'),
    );
    expect(await failing({ signal: AbortSignal.abort('before it began') })).toBe('before it began');
  });
});

it('does not touch a target that exists', async () => {
  const target = newTarget();
  mkdirSync(target);
  writeFileSync(join(target, 'precious'), 'x');
  const source = await openCheckpoint(goldenDirectory('mixtral'));
  const attempt = inflateCheckpoint({ source, targetDirectory: target, layers: 4, seed: 1 });
  await expect(attempt).rejects.toThrow(`${target} exists already; choose another name or remove it`);
  expect(existsSync(join(target, 'precious'))).toBe(true);
});

it('reports progress up to the last byte', async () => {
  const source = await openCheckpoint(goldenDirectory('mistral-full'));
  const seen: number[] = [];
  let total = 0;
  const onProgress = ({ bytesDone, bytesTotal }: { bytesDone: number; bytesTotal: number }) => {
    seen.push(bytesDone);
    total = bytesTotal;
  };
  const { directory } = await inflateCheckpoint({
    source,
    targetDirectory: newTarget(),
    layers: 8,
    seed: 1,
    onProgress,
  });
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(seen.at(-1)).toBe(total);
  expect(total).toBe(statSync(join(directory, 'model.safetensors')).size);
});

it('keeps the spelling of every number it does not change, so that strict readers still take the file', async () => {
  const { directory } = await openCheckpoint(goldenDirectory('mixtral'));
  const files = Object.fromEntries(
    readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))]),
  );
  const spelled = '"router_jitter_noise": 0.0, "initializer_range": 2e-02, "seen": 12345678901234567890';
  const config = String(files['config.json']).replace('{', `{ ${spelled},`);
  const source = await openCheckpoint(writeDirectory(root, 'spelled', { ...files, 'config.json': config }));
  const inflated = await inflateCheckpoint({ source, targetDirectory: newTarget(), layers: 5, seed: 1 });
  const written = readFileSync(join(inflated.directory, 'config.json'), 'utf8');
  expect(written).toContain(spelled);
  for (const number of config.match(/: (\d+\.\d+|\d+e-\d+)/g)!) expect(written).toContain(number);
  expect(JSON.parse(written)).toMatchObject({ num_hidden_layers: 5, inflated_from: { seed: 1 } });
});

it('inflates experts that the configuration calls num_experts', async () => {
  const { directory } = await openCheckpoint(goldenDirectory('mixtral'));
  const files = Object.fromEntries(
    readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))]),
  );
  const config = String(files['config.json']).replace('num_local_experts', 'num_experts');
  const source = await openCheckpoint(writeDirectory(root, 'alias', { ...files, 'config.json': config }));
  const experts = summarise(source.spec).numExperts * 2;
  const inflated = await inflateCheckpoint({ source, targetDirectory: newTarget(), experts, seed: 1 });
  expect(summarise(inflated.spec).numExperts).toBe(experts);
});
