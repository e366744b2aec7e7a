/** The kernel spares TypeScript much of what plain tslab has it do for a cell: what comes of it is the same. */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';

const files: Readonly<Record<string, string>> = {
  'node_modules/first/package.json': '{"main":"m.js","types":"m.d.ts"}',
  'node_modules/first/m.d.ts':
    'import { Thing } from "./thing"; export declare const one: 1; export declare function make(): Thing;',
  'node_modules/first/thing.d.ts': 'export interface Thing { readonly size: number; }',
  'node_modules/second/package.json': '{"main":"m.js","types":"m.d.ts"}',
  'node_modules/second/m.d.ts':
    'declare global { const declaredForAll: "by second"; } export interface Shape { size: number; }\n' +
    'export declare class Round implements Shape { size: number; static unit: Round; }',
  'beside.ts': 'export const two = 2 as const;\nexport type Two = typeof two;\n',
};

const cells = [
  '',
  '1 + 1',
  'import { make, one } from "first";\nconst a = one;',
  'const b: 1 = a;\nconst c = b + 1;\nc',
  'const b: 1 = a;\nconst c = b + 1;\nc',
  'const thing = make();\nthing.size',
  'import type { Shape } from "second";\nconst shape: Shape = { size: c };\ndeclaredForAll',
  'import { none } from "missing";',
  'import { none } from "first";',
  'const wrong: string = a;',
  'thing.size.toFixed(shape.size)',
  'import { two, type Two } from "./beside";\nimport * as fs from "fs";\nconst same: Two = two;\nfs.existsSync("x") ? same : null',
  'import { Round as Ball } from "second";\nclass Big extends Ball { twice = 2 * this.size; }\nconst a = new Big();',
  'const later = () => import("first");\nlater',
  'const { one: uno, ...rest } = { one: a, two: [two] as const };\nrest.two[0]',
  'namespace Inner { export const deep = 1; }\nInner.deep',
  'export * from "first";\nconst again = make;',
  'enum Colour { Red, Green }\nfunction paint<T extends Colour>(of: T) { return [of, Ball.unit] as const; }\npaint(Colour.Red)',
  'import { make as a } from "first";\ntype Made = ReturnType<typeof a>;\nlet made: Made | undefined;',
  'made = a(); made.size + again().size; paint(Colour.Green)[1].size',
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-translation-'));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('translates cells as plain tslab does, and knows nothing of a notebook that is forgotten', async () => {
  const script = join(projectDirectory, 'test', 'kernel', 'fixtures', 'translate.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(cells)], {
    cwd: folder,
  });
  const { plain, translated, forgotten } = JSON.parse(stdout);
  expect(translated).toEqual(plain);
  const refused = plain.flatMap((cell: object, index: number) => (Array.isArray(cell) ? [index] : []));
  expect(refused.map((index: number) => cells[index])).toEqual([
    'import { none } from "missing";',
    'import { none } from "first";',
    'const wrong: string = a;',
  ]);
  expect(forgotten).toEqual([false, true]);
});
