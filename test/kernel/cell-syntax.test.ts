import { expect, it } from 'vitest';
import { readCellSyntax } from '../../kernel/src/server/cell-syntax.js';

const cells: readonly (readonly [code: string, imports: readonly string[], hasForAwait: boolean])[] = [
  ['1', [], false],
  [
    'import a from "a"; import { b } from "b"; import "c"; import type { D } from "d";',
    ['a', 'b', 'c'],
    false,
  ],
  ['if (x) await import("a");', ['a'], false],
  ['const n = "a"; await import(n); // import "b"', [], false],
  ['for await (const x of y) z;', [], true],
  ['{ for await (const x of y) z; }', [], true],
  ['for (const x of y) await z;', [], false],
  ['async function f() { for await (const x of y) z; }', [], false],
  ['const f = async () => { for await (const x of y) z; };', [], false],
  ['class C { async m() { for await (const x of y) z; } }', [], false],
  ['for await (', [], false],
  ['['.repeat(20_000), [], false],
];
it.each(cells)('%s', (code, imports, hasForAwait) => {
  expect(readCellSyntax(code)).toEqual({ imports, hasForAwait });
});
