/**
 * What tslab is given in place of TypeScript's builder for programs that change. That one asks the type checker, twice
 * before every cell, what each of hundreds of files refers to; tslab needs of it which files a cell depends on.
 */

import { isPackageFile } from '../packages.js';
import type { Builder, Program, ProgramHost, SourceFile, TypeScript } from './syntax.js';

export function createProgramOf(ts: TypeScript) {
  const hosts = new WeakSet<ProgramHost>();
  return (files: unknown, options: unknown, host: ProgramHost, ...rest: unknown[]): Builder => {
    if (!hosts.has(host)) keepPackages(host);
    hosts.add(host);
    const builder = ts.createAbstractBuilder(files, options, host, ...rest);
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

/**
 * What a package declares is read once, also where a cell that imports nothing stands between two that import it, or a
 * notebook ends: reading the lab's takes a second. Mutates `host`.
 */
function keepPackages(host: ProgramHost): void {
  const release = host.onReleaseOldSourceFile.bind(host);
  host.onReleaseOldSourceFile = (file, ...rest) => {
    if (!isPackageFile(file.fileName)) release(file, ...rest);
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
