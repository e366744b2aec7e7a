import { readFileSync } from 'node:fs';
import {
  type Codec,
  codecs,
  f32,
  type MatrixLayout,
  type NativeCore,
  plainCodecs,
  type ScaleGrid,
  type WeightDtype,
} from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { cores } from './helpers.js';

interface Case {
  readonly codec: WeightDtype;
  readonly stored: string;
  readonly values: string;
  readonly scales?: string;
  readonly zeros?: string;
  readonly groupOfColumn?: string;
  readonly layout?: Pick<MatrixLayout, 'rows' | 'columns'> & {
    readonly across?: number;
    readonly scales: ScaleGrid;
  };
}

/** Of the gguf package, transformers, compressed-tensors, GPTQModel and AutoAWQ; see make.py there. */
const cases: readonly Case[] = JSON.parse(
  readFileSync(new URL('./vectors/expected.json', import.meta.url), 'utf8'),
);

const plainOrder = { step: 1, paired: 1, across: 0 };

/** Bits of what `core` makes of bytes that start at an odd address. */
function decode(core: NativeCore, dtype: WeightDtype, stored: Uint8Array, layout?: MatrixLayout) {
  const count = layout ? layout.rows * layout.columns : codecs[dtype].count(stored.length);
  const [source, target] = [core.createArena(stored.length + 3), core.createArena(f32.bytes(count))];
  new Uint8Array(source.buffer).set(stored, 3);
  if (layout) core.decodeMatrix(source, 3, dtype, layout, target, 0);
  else core.widen(source, 3, dtype, count, target, 0);
  return new Uint32Array(target.buffer.slice(0));
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

/** The parts of a case one behind the other, and where they are. */
function placed(
  { stored, scales = '', zeros = '', groupOfColumn = '' }: Case,
  { scales: grid, ...matrix }: NonNullable<Case['layout']>,
): [Uint8Array, MatrixLayout] {
  const parts = [stored, scales, zeros, groupOfColumn].map(bytesOf);
  const [first, second, third] = parts.map(({ length }, i) =>
    parts.slice(0, i).reduce((sum, part) => sum + part.length, length),
  );
  const placedScales = {
    ...{ ...grid, offset: first, zeros: grid.zeros && { ...grid.zeros, offset: second } },
    groupOfColumn: groupOfColumn ? { offset: third } : undefined,
  };
  return [Buffer.concat(parts), { ...plainOrder, ...matrix, scales: placedScales as MatrixLayout['scales'] }];
}

describe.each(cores)('decoding, %s', (_, core) => {
  test.each(cases.map((one, index) => [one.codec, index] as const))(
    '%s, case %i, bit for bit as the published code',
    (codec, index) => {
      const { stored, layout, values } = cases[index];
      const expected = new Uint32Array(bytesOf(values).buffer);
      if (layout) expect(decode(core, codec, ...placed(cases[index], layout))).toEqual(expected);
      else expect(decode(core, codec, bytesOf(stored))).toEqual(expected);
    },
  );

  test.each(Object.keys(codecs) as WeightDtype[])('%s is refused in part of a block', (dtype) => {
    const { blockElements }: Codec = codecs[dtype];
    if (blockElements === 1) return;
    const arena = core.createArena(1024);
    expect(() => core.widen(arena, 0, dtype, blockElements + 1, arena, 512)).toThrow(
      `invalid count: ${blockElements + 1}; expected a multiple of ${blockElements}, the block of ${dtype}`,
    );
  });

  // (6, 4), value 10 * row + column
  const matrix = Float32Array.from({ length: 24 }, (_, i) => 10 * Math.floor(i / 4) + (i % 4));
  const rowsOf = (bits: Uint32Array, columns: number) => {
    const values = [...new Float32Array(bits.buffer)];
    return Array.from({ length: values.length / columns }, (_, row) =>
      values.slice(row * columns, (row + 1) * columns),
    );
  };

  test('every second row', () => {
    const layout = { rows: 3, columns: 4, step: 2, paired: 1, across: 0, scales: null };
    const rows = rowsOf(decode(core, 'bf16', plainCodecs.bf16.encode(matrix), layout), 4);
    expect(rows.map(([first]) => first)).toEqual([0, 20, 40]);
    expect(rows[1]).toEqual([20, 21, 22, 23]);
  });

  test('rows whose pairs are neighbours, of three heads of two and of one of six', () => {
    const firsts = (paired: number) => {
      const layout = { rows: 6, columns: 4, step: 1, paired, across: 0, scales: null };
      return rowsOf(decode(core, 'f32', plainCodecs.f32.encode(matrix), layout), 4).map(([first]) => first);
    };
    expect(firsts(2)).toEqual([0, 10, 20, 30, 40, 50]);
    expect(firsts(6)).toEqual([0, 20, 40, 10, 30, 50]);
  });

  test('every second column, as rows', () => {
    const layout = { rows: 2, columns: 6, step: 2, paired: 1, across: 4, scales: null };
    expect(rowsOf(decode(core, 'f16', plainCodecs.f16.encode(matrix), layout), 6)).toEqual([
      [0, 10, 20, 30, 40, 50],
      [2, 12, 22, 32, 42, 52],
    ]);
  });

  test('scales of every second row', () => {
    // (4, 32) of ones under 2^0 to 2^3
    const stored = Buffer.concat([Buffer.alloc(64, 0x22), Buffer.from([127, 128, 129, 130])]);
    const scales = { dtype: 'e8m0', rows: 1, columns: 32, offset: 64 } as const;
    const layout = { rows: 2, columns: 32, step: 2, paired: 1, across: 0, scales };
    const rows = rowsOf(decode(core, 'mxfp4_split', stored, layout), 32);
    expect(rows.map((row) => [...new Set(row)])).toEqual([[1], [4]]);
  });

  test.each<[Partial<MatrixLayout>, string]>([
    [{ rows: 7 }, 'invalid valuesOffset: 0; expected 112 bytes from there to fit an arena of 96'],
    [{ step: 0 }, 'invalid step: 0; expected a whole number from 1'],
    [{ paired: 4 }, 'invalid paired: 4; expected 1 or an even divisor of rows, 6'],
    [{ across: 4, columns: 7 }, 'invalid valuesOffset: 0; expected 120 bytes'],
    [
      { scales: { dtype: 'f32', rows: 1, columns: 4, offset: 80 } },
      'invalid scalesOffset: 80; expected 24 bytes from there to fit an arena of 96',
    ],
  ])('refuses %o', (change, message) => {
    const [source, target] = [core.createArena(96), core.createArena(4096)];
    const layout = { rows: 6, columns: 4, ...plainOrder, scales: null, ...change };
    expect(() => core.decodeMatrix(source, 0, 'f32', layout, target, 0)).toThrow(message);
  });
});
