/** The script whose heap becomes the snapshot. Node gives it no modules but its own. */

/** By this name a kernel finds TypeScript in the heap that it was started from. */
export const keptName = 'specoffload.typescript';

export interface Kept {
  /** Of the module that it was loaded from. */
  readonly path: string;
  readonly exports: unknown;
}

const parser =
  'function createSourceFile(fileName, sourceText, languageVersionOrOptions, setParentNodes = false, scriptKind) {';

/** What cells are made of. */
const cell = `import { join } from 'path';
interface Row { readonly name: string; value?: number }
const rows: Row[] = [{ name: 'a', value: 1 }, { name: 'b' }];
const sums = new Map(rows.map(({ name, value = 0 }) => [name, value] as const));
async function sumOf(of: (row: Row) => number, ...more: number[]): Promise<number> {
  let sum = 0;
  for (const row of rows) sum += of(row) ?? Math.max(0, ...more);
  return sum > 1 ? sum : Number.NaN;
}
class Named<T extends Row> { constructor(readonly row: T) {} get label() { return this.row.name; } }
console.log(\`\${join('a', 'b')}: \${sums.get('a')?.toFixed(2)}\`, new Named(rows[0]!).label);
export { rows, sums, sumOf, Named };
`;

/** Each file that was read is handed out once: whoever has it writes into it. */
export const entryTemplate = `
const files = new Map();
const languageVersion = 9; // ES2022, tslab's target
const takeFile = (name, text, asked, hasParents) => {
  const file = files.get(name);
  const isSame = file?.text === text && asked.languageVersion === languageVersion;
  if (!isSame || hasParents || asked.impliedNodeFormat !== undefined) return undefined;
  files.delete(name);
  return file;
};
// Node 24 crashes where a snapshot holds this.
const crypto = { createHash: (...args) => require('crypto').createHash(...args) };
const requireLater = (name) => (name === 'crypto' ? crypto : require(name));
const loaded = { exports: {} };
(function (module, exports, require, __filename, __dirname) {
$typescript
})(loaded, loaded.exports, requireLater, $path, $folder);
const ts = loaded.exports;
// What translates a cell is compiled now rather than in every kernel that starts.
const translate = (cell, text) => {
  const sys = Object.create(ts.sys);
  const watchNothing = () => ({ close() {} });
  const own = {
    fileExists: (name) => name === cell || ts.sys.fileExists(name),
    readFile: (name, encoding) => (name === cell ? text : ts.sys.readFile(name, encoding)),
    // TypeScript's own remembers its first answer, which is another one in each kernel.
    getCurrentDirectory: () => '/',
    createHash: undefined, // which would load what must not be held
    ...{ watchFile: watchNothing, watchDirectory: watchNothing, setTimeout() {}, clearTimeout() {} },
  };
  const emitted = { target: languageVersion, module: 99, declaration: true, inlineSourceMap: true, outDir: '/out' };
  const read = { moduleResolution: 2, lib: ['lib.es2022.d.ts'], types: ['node'], typeRoots: [$typeRoot], skipLibCheck: true };
  let builder;
  const host = ts.createWatchCompilerHost([cell], { ...emitted, ...read }, Object.assign(sys, own), ts.createAbstractBuilder, () => {}, () => {});
  host.afterProgramCreate = (created) => (builder = created);
  const watch = ts.createWatchProgram(host);
  const file = builder.getSourceFile(cell);
  ts.getPreEmitDiagnosticsOfFiles(builder.getProgram(), [file]);
  builder.emit(file, (name, output) => {
    if (name.endsWith('.js')) ts.transpileModule(output, { compilerOptions: { target: languageVersion, module: 1, sourceMap: true } });
  });
  watch.close();
};
translate('/cell.ts', $cell);
const { readFileSync } = require('fs');
for (const [name, path] of $declarations) {
  const file = ts.createSourceFile(name, readFileSync(path, 'utf8'), { languageVersion });
  ts.bindSourceFile(file, { target: languageVersion });
  files.set(name, file);
}
const kept = { path: $path, exports: ts };
Object.defineProperty(globalThis, Symbol.for('${keptName}'), { value: kept, configurable: true });
`;

/** @throws where this TypeScript is another than the one that this was written for. */
export function createEntry(
  typescript: { readonly text: string; readonly path: string; readonly folder: string },
  declarations: readonly (readonly [name: string, path: string])[],
  typeRoot: string,
): string {
  if (!typescript.text.includes(parser)) throw new Error('its TypeScript reads files in another way');
  const values: Readonly<Record<string, string>> = {
    typescript: typescript.text.replace(
      parser,
      (head) =>
        `${head} const taken = takeFile(fileName, sourceText, languageVersionOrOptions, setParentNodes); if (taken) return taken;`,
    ),
    path: JSON.stringify(typescript.path),
    folder: JSON.stringify(typescript.folder),
    typeRoot: JSON.stringify(typeRoot),
    cell: JSON.stringify(cell),
    declarations: JSON.stringify(declarations),
  };
  return entryTemplate.replace(
    /\$(typescript|path|folder|typeRoot|cell|declarations)\b/g,
    (_, name: string) => values[name],
  );
}
