/** Packages in every form that Node's documentation of `exports` and TypeScript's of types allow, imported by cells. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { KernelSession } from '../../kernel/src/wire/session.js';

let folder: string;
let session: KernelSession;

const esModule = {
  'dist/m.js': 'export const answer = 42;',
  'dist/m.d.ts': 'export declare const answer: 42;',
};
const both = { types: './dist/m.d.ts', default: './dist/m.js' };
const commonJs = { 'dist/m.cjs': 'exports.answer = 42;', 'dist/m.d.cts': 'export declare const answer: 42;' };
const plain = { type: 'module', files: esModule };

interface TestPackage {
  readonly type?: string;
  readonly exports?: unknown;
  readonly files: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** By what is imported; the package's name is its first word, or two after an @. */
const packages: Record<string, TestPackage> = {
  dotted: { ...plain, exports: { '.': both } },
  nested: { ...plain, exports: { '.': { import: both } } },
  sugar: { ...plain, exports: both },
  word: { ...plain, exports: './dist/m.js' },
  'sub/x': { ...plain, exports: { './x': both } },
  'pattern/m': { ...plain, exports: { './*': { types: './dist/*.d.ts', default: './dist/*.js' } } },
  '@scope/extended/features/m.js': {
    ...plain,
    exports: {
      './features/*.js': { types: './dist/*.d.ts', default: './dist/*.js' },
      './features/own/*': null,
    },
  },
  fallbacks: { ...plain, exports: { '.': ['no-valid-target', both] } },
  versioned: {
    ...plain,
    exports: { '.': { 'types@>=99': './none.d.ts', 'types@>=4': './dist/m.d.ts', default: './dist/m.js' } },
  },
  dual: {
    type: 'module',
    exports: {
      '.': {
        import: { types: './none.d.ts', default: './none.js' },
        require: { types: './dist/m.d.cts', default: './dist/m.cjs' },
      },
    },
    files: commonJs,
  },
  'on-node': { ...plain, exports: { '.': { browser: './none.js', node: both, default: './none.js' } } },
  mts: {
    exports: { '.': { import: './dist/m.mjs' } },
    files: { 'dist/m.mjs': 'export const answer = 42;', 'dist/m.d.mts': 'export declare const answer: 42;' },
  },
  'types-elsewhere': {
    types: 'dist/m.d.cts',
    exports: { '.': './only-code.cjs' },
    files: { ...commonJs, 'only-code.cjs': 'exports.answer = 42;' },
  },
  'types-versions': {
    main: 'dist/m.cjs',
    types: 'old.d.ts',
    typesVersions: { '>=4': { '*': ['new/*'] } },
    files: { ...commonJs, 'new/old.d.ts': 'export declare const answer: 42;' },
  },
  internal: {
    type: 'module',
    imports: { '#in': both },
    exports: { types: './i.d.ts', default: './i.js' },
    files: { ...esModule, 'i.js': 'export * from "#in";', 'i.d.ts': 'export * from "#in";' },
  },
};

/** Modules with `await` at their top level: `require` refuses them. */
const awaiting: TestPackage = {
  ...plain,
  exports: both,
  files: { ...esModule, 'dist/m.js': 'export const answer = await Promise.resolve(42);' },
};
packages.awaiting = awaiting;
packages['awaiting-later'] = awaiting;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-exports-'));
  for (const [path, { files, ...manifest }] of Object.entries(packages)) {
    const name = /^(@[^/]+\/)?[^/]+/.exec(path)![0];
    const all = { ...files, 'package.json': JSON.stringify({ name, version: '1.0.0', ...manifest }) };
    for (const [file, text] of Object.entries(all)) {
      const to = join(folder, 'node_modules', name, file);
      await mkdir(dirname(to), { recursive: true });
      await writeFile(to, text);
    }
  }
  await mkdir(join(folder, 'node_modules', 'broken'));
  await writeFile(join(folder, 'node_modules', 'broken', 'package.json'), '{');
  session = await KernelSession.start({ cwd: folder });
});
afterAll(async () => {
  await session.shutdown();
  await rm(folder, { recursive: true, force: true });
});

async function run(code: string): Promise<unknown> {
  let shown: unknown = null;
  await session.execute(code, ({ header, content }) => {
    if (header.msg_type === 'execute_result') shown = (content.data as Record<string, unknown>)['text/plain'];
    if (header.msg_type === 'error') shown = content.evalue;
  });
  return shown;
}

it.each(Object.keys(packages).filter((path) => path !== 'awaiting-later'))(
  '%s: its code, with its types',
  async (path) => {
    // The type is exact: an import without types would be assignable to anything.
    expect(await run(`import { answer } from "${path}"; const exact: 42 = answer; exact`)).toBe('42');
    expect(await run(`import { answer } from "${path}"; const wrong: string = answer;`)).toMatch(
      /Type '(number|42)' is not assignable to type 'string'/,
    );
  },
);

it('what a package exports for import alone can be awaited too', async () => {
  for (const name of ['nested', 'awaiting-later'])
    expect(await run(`const late = await import("${name}"); late.answer`)).toBe('42');
});

it('a package that is broken, or keeps a path to itself, is not found', async () => {
  expect(await run('import { a } from "broken";')).toContain("Cannot find module 'broken'");
  expect(await run('import { answer } from "@scope/extended/features/own/m.js";')).toContain(
    'Cannot find module',
  );
});

it('types of a package are read once, whatever stands between two cells that import it', async () => {
  await writeFile(join(folder, 'node_modules/dotted/dist/m.d.ts'), 'export declare const answer: string;');
  expect(await run('1')).toBe('1');
  expect(await run('import { answer } from "dotted"; const known: 42 = answer; known')).toBe('42');
});
