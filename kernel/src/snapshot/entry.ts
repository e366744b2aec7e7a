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
    declarations: JSON.stringify(declarations),
  };
  return entryTemplate.replace(
    /\$(typescript|path|folder|declarations)\b/g,
    (_, name: string) => values[name],
  );
}
