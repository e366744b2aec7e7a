/**
 * Makes the lab's packages importable from any notebook folder, their types and their code, as the last place that is
 * looked at, and every package by what its `exports` say (`exports.ts`): what a notebook has in a `node_modules` of its own, or of a folder above it, comes first.
 *
 * TypeScript sees a `node_modules` at the root of the file system that holds the lab's packages wherever nothing else
 * lies there (tslab does the same for itself, `forwardTslabPath` in its converter); Node gets the same folder as
 * NODE_PATH, which it also looks at last.
 */

import Module from 'node:module';
import { join, parse, sep } from 'node:path';
import { afterWorkspaces, findPackagesDirectory, isPackageFile } from '../packages.js';
import { followExports } from './exports.js';
import { tslabTypescript } from './typescript.js';

/** The parts of TypeScript's `sys` that look at files. */
export interface System {
  fileExists(path: string): boolean;
  directoryExists(path: string): boolean;
  readFile(path: string, encoding?: string): string | undefined;
  realpath(path: string): string;
  getDirectories(path: string): string[];
  watchFile(path: string, ...rest: unknown[]): { close(): void };
}

/** Call it before anything of tslab is loaded. */
export function shareLabPackages(): void {
  const packages = findPackagesDirectory();
  shareCode(packages);
  shareTypes(tslabTypescript().sys, packages);
  followExports();
}

/** Leaves the environment as it was: what the notebook starts looks for its packages in its own way. */
function shareCode(packages: string): void {
  const own = process.env.NODE_PATH;
  process.env.NODE_PATH =
    own === undefined ? packages : `${own}${process.platform === 'win32' ? ';' : ':'}${packages}`;
  (Module as unknown as { _initPaths(): void })._initPaths();
  if (own === undefined) delete process.env.NODE_PATH;
  else process.env.NODE_PATH = own;
}

/** Mutates `system`. */
function shareTypes(system: System, packages: string): void {
  const { fileExists, directoryExists, readFile, realpath, getDirectories, watchFile } = system;
  const virtual = join(parse(process.cwd()).root, 'node_modules').replaceAll(sep, '/');
  const forward = (path: string): string =>
    (path === virtual || path.startsWith(`${virtual}/`)) && !fileExists(path) && !directoryExists(path)
      ? join(packages, path.slice(virtual.length))
      : path;
  Object.assign(system, {
    fileExists: (path) => fileExists(forward(path)),
    directoryExists: (path) => directoryExists(forward(path)),
    readFile: (path, encoding) => readFile(forward(path), encoding),
    realpath: (path) => nameByPackage(realpath(forward(path)), virtual),
    // Global types are those of Node; others come with what is imported. Reading all of @types takes a second.
    getDirectories: (path) => {
      const names = getDirectories(forward(path));
      return path.endsWith('/node_modules/@types') ? names.filter((name) => name === 'node') : names;
    },
    // Packages do not change under a running kernel, and there are hundreds of files.
    watchFile: (path, ...rest) => (isPackageFile(path) ? { close() {} } : watchFile(path, ...rest)),
  } satisfies System);
}

/**
 * The lab's own files as files of packages. What a cell declares is written down with its type for the cells after it
 * (error TS2742 where that has no name), and a folder outside every `node_modules` has a name only in the lab itself.
 */
function nameByPackage(path: string, virtual: string): string {
  const [, workspace, rest] =
    /^\/(native|engine|kernel|experiments)(\/.*)?$/.exec(afterWorkspaces(path)) ?? [];
  return workspace === undefined ? path : `${virtual}/@specoffload/${workspace}${rest ?? ''}`;
}
