/**
 * What tslab is given in place of TypeScript's builder for programs that change. That one asks the type checker, twice
 * before every cell, what each of hundreds of files refers to; tslab needs of it which files a cell depends on. Nor does
 * it make the program that tslab asks for only to learn what names a cell declares.
 */

import { isPackageFile } from '../packages.js';
import { createSharedImports } from './shared-imports.js';
import type { Builder, Program, ProgramHost, SourceFile, TypeScript } from './syntax.js';

/** As tslab names the cell that it translates. */
const cellName = /(^|\/)__tslab__\.[jt]s$/;

let asksForNames = false;

/** Of `work`, which has tslab translate a cell, the first program is asked for nothing but the names in it. */
export function translateCell<T>(work: () => T): T {
  asksForNames = true;
  try {
    return work();
  } finally {
    asksForNames = false;
  }
}

export function createProgramOf(ts: TypeScript) {
  const hosts = new WeakSet<ProgramHost>();
  /** By those that stand in for them. */
  const real = new WeakMap<Builder, Builder>();
  const imports = createSharedImports(ts);

  return (
    files: readonly string[],
    options: object,
    host: ProgramHost,
    old: Builder | undefined,
    ...rest: unknown[]
  ): Builder => {
    if (!hosts.has(host)) keepPackages(host);
    hosts.add(host);
    const before = old && (real.get(old) ?? old);
    const [cell, ...others] = files
      .filter((name) => cellName.test(name) || name.endsWith('.d.ts'))
      .sort((a) => (cellName.test(a) ? -1 : 1))
      .map((name) => readFile(ts, host, name, options));
    if (asksForNames && before !== undefined && cell !== undefined) {
      asksForNames = false;
      ts.bindSourceFile(cell, options);
      if (cell.locals !== undefined && cell.locals.size > 0) {
        const names = knowingNames(before, cell);
        real.set(names, before);
        return names;
      }
    }
    if (cell !== undefined) imports.share([cell, ...others]);
    const builder = ts.createAbstractBuilder(files, options, host, before, ...rest);
    if (cell !== undefined) imports.keep(cell);
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

/** As a program would read it, which finds it read then. */
function readFile(ts: TypeScript, host: ProgramHost, name: string, options: object): SourceFile {
  return host.getSourceFileByPath(name, host.toPath(name), {
    languageVersion: ts.getEmitScriptTarget(options),
    setExternalModuleIndicator: ts.getSetExternalModuleIndicator(options),
  });
}

/** The one before, but for the cell, with which it counts as out of date. */
function knowingNames(before: Builder, cell: SourceFile): Builder {
  const program = before.getProgram();
  const files = () => program.getSourceFiles().map((file) => (file.path === cell.path ? cell : file));
  const outdated = Object.create(program, { getSourceFiles: { value: files } }) as Program;
  return Object.assign(Object.create(before) as Builder, {
    getProgramOrUndefined: () => outdated,
    getSourceFile: (name: string) => (name === cell.fileName ? cell : before.getSourceFile(name)),
  });
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

/** The names of all files that it imports, and that these import, itself included; of packages those that it names. */
function listDependencies(program: Program, first: SourceFile): string[] {
  const found = new Set([first]);
  for (const file of found) {
    if (isPackageFile(file.fileName)) continue;
    file.resolvedModules?.forEach(({ resolvedModule }) => {
      const imported = resolvedModule && program.getSourceFile(resolvedModule.resolvedFileName);
      if (imported !== undefined) found.add(imported);
    });
  }
  return [...found].map(({ fileName }) => fileName);
}
