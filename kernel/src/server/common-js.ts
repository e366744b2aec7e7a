/**
 * Modules as scripts, which tslab has TypeScript make of what it has emitted. TypeScript's own way checks the types in
 * it first, of which there are none: the checks are behind, and half of the work.
 */

import type { Transpiled, TypeScript } from './syntax.js';

const name = 'custom.js';

/** @param options how it is to be written; it is read as a module on its own */
export function transpileUnchecked(ts: TypeScript, text: string, options: object): Transpiled {
  const asked = {
    ...options,
    ...{ isolatedModules: true, noLib: true, noResolve: true, skipDefaultLibCheck: true },
    ...{ allowNonTsExtensions: true, suppressOutputPathCheck: true },
  };
  const file = ts.createSourceFile(name, text, {
    languageVersion: ts.getEmitScriptTarget(asked),
    setExternalModuleIndicator: ts.getSetExternalModuleIndicator(asked),
  });
  // As a library's, which is not checked where `skipDefaultLibCheck` says so.
  file.hasNoDefaultLib = true;
  const written = new Map<string, string>();
  const host = {
    getSourceFile: (asking: string) => (asking === name ? file : undefined),
    writeFile: (path: string, output: string) => void written.set(path, output),
    fileExists: (asking: string) => asking === name,
    readFile: () => '',
    directoryExists: () => true,
    getDirectories: () => [],
    getDefaultLibFileName: () => 'lib.d.ts',
    getCurrentDirectory: () => '',
    getCanonicalFileName: (path: string) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => '\n',
  };
  ts.createProgram([name], asked, host).emit();
  return { outputText: written.get(name)!, sourceMapText: written.get(`${name}.map`) };
}
