import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint, UserError } from '@specoffload/engine';
import { expect, it } from 'vitest';
import { createTemporaryDirectory } from './fixtures.js';
import { goldenDirectory } from './golden.js';

const directory = createTemporaryDirectory();

/** The golden checkpoint with another header; its data stays. */
async function withHeader(name: string, change: (header: Record<string, unknown>) => void): Promise<string> {
  const source = goldenDirectory('gpt-oss-mxfp4');
  const bytes = await readFile(join(source, 'model.safetensors'));
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, unknown>;
  change(header);
  const text = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  const target = join(directory, name);
  await mkdir(target);
  await writeFile(join(target, 'model.safetensors'), Buffer.concat([size, text, bytes.subarray(8 + length)]));
  await writeFile(join(target, 'config.json'), await readFile(join(source, 'config.json')));
  return target;
}

const layer = 'model.layers.1.mlp.experts';

it('counts blocks and scales of a tensor as its bytes', async () => {
  const { layers, bytes, tensors } = await openCheckpoint(goldenDirectory('gpt-oss-mxfp4'));
  const [{ tensors: expert }] = layers[0].experts as [(typeof layers)[0]['experts'][0]];
  const gate = expert.find(({ role }) => role === 'gate')?.ref;
  expect(gate).toMatchObject({ dtype: 'mxfp4_split', shape: [64, 64], byteLength: (64 * 64 * 17) / 32 });
  expect(bytes).toBe([...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0));
});

it.each<[string, (header: Record<string, unknown>) => void, string]>([
  [
    'none',
    (header) => {
      header[`${layer}.down_proj_others`] = header[`${layer}.down_proj_scales`];
      delete header[`${layer}.down_proj_scales`];
    },
    `holds "${layer}.down_proj_blocks" without its scales ("${layer}.down_proj_scales"); download`,
  ],
  [
    'those of another shape',
    (header) => {
      Object.assign(header[`${layer}.down_proj_scales`] as object, { shape: [8, 128] });
    },
    `invalid scales "${layer}.down_proj_scales": U8 [8,128]; expected one for every group, row or square of "${layer}.down_proj" [8,64,64]`,
  ],
])('refuses blocks whose scales are %s', async (name, change, message) => {
  const opening = openCheckpoint(await withHeader(name, change));
  await expect(opening).rejects.toThrow(UserError);
  await expect(opening).rejects.toThrow(message);
});
