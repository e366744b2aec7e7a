import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { prepareRounded, roundBf16 } from '../../../experiments/src/inputs/rounded-pair.js';
import { pairPaths } from '../../../experiments/src/paths.js';
import { createOutput } from '../../../experiments/src/terminal/output.js';
import { createTemporaryDirectory } from '../../engine/model/fixtures.js';

const directory = createTemporaryDirectory();

describe('weights with few bits of mantissa', () => {
  it.each([
    ['1 as it is', 0x3f80, 1, 0x3f80],
    ['1.25 away from zero', 0x3fa0, 1, 0x3fc0],
    ['1.25 with two bits as it is', 0x3fa0, 2, 0x3fa0],
    ['-1.75, a carry into the exponent', 0xbfe0, 1, 0xc000],
    ['zero as it is', 0x8000, 1, 0x8000],
  ])('round %s', (_what, stored, bits, expected) => {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(stored);
    roundBf16(bytes, bits);
    expect(bytes.readUInt16LE()).toBe(expected);
  });

  it('are written once, beside what the checkpoint has otherwise, norms as they were', async () => {
    const notes: string[] = [];
    const output = createOutput({ write: () => true }, { write: (text) => notes.push(text) }, false);
    const cacheDirectory = directory;
    const request = { sourceDirectory: pairPaths.draft, cacheDirectory, mantissaBits: 2 };
    const rounded = await prepareRounded(request, output);
    expect(await prepareRounded(request, output)).toBe(rounded);
    expect([notes.length, await readdir(cacheDirectory)]).toEqual([1, [rounded.split('/').at(-1)]]);
    const { tensors, spec } = await openCheckpoint(rounded);
    expect(spec).toEqual((await openCheckpoint(pairPaths.draft)).spec);
    const [bytes, source] = await Promise.all(
      [rounded, pairPaths.draft].map((folder) => readFile(join(folder, 'model.safetensors'))),
    );
    for (const { name, shape, fileOffset, byteLength } of tensors.values()) {
      const of = (file: Buffer) => Buffer.from(file.subarray(fileOffset, fileOffset + byteLength));
      const expected = of(source);
      if (shape.length > 1) roundBf16(expected, 2);
      expect(of(bytes).equals(expected), name).toBe(true);
      if (shape.length > 1) expect(expected.equals(of(source)), name).toBe(false);
    }
  });
});
