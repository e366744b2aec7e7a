/**
 * What tslab is given in place of TypeScript's builder for programs that change. That one asks the type checker, twice
 * before every cell, what each of hundreds of files refers to; tslab needs of it which files a cell depends on.
 */

import type { Builder, Program, SourceFile, TypeScript } from './syntax.js';

export function createProgramOf(ts: TypeScript) {
  return (...args: unknown[]): Builder => {
    const builder = ts.createAbstractBuilder(...args);
    const getSourceFile = builder.getSourceFile.bind(builder);
    // The names that it declares are asked for before its types are.
    builder.getSourceFile = (name) => {
      const file = getSourceFile(name);
      if (file !== undefined) ts.bindSourceFile(file, builder.getCompilerOptions());
      return file;
    };
    builder.getAllDependencies = (file) => listDependencies(builder.getProgram(), file);
    return builder;
  };
}

/** The names of all files that it imports, and that these import, itself included. */
function listDependencies(program: Program, first: SourceFile): string[] {
  const found = new Set([first]);
  for (const file of found) {
    file.resolvedModules?.forEach(({ resolvedModule }) => {
      const imported = resolvedModule && program.getSourceFile(resolvedModule.resolvedFileName);
      if (imported !== undefined) found.add(imported);
    });
  }
  return [...found].map(({ fileName }) => fileName);
}
