/**
 * Packages as their `exports` describe them, types and code, in whatever form Node's documentation allows.
 *
 * A cell becomes a CommonJS script, so what a package has for `require` comes first, then what it has for `import`.
 * tslab asks TypeScript to resolve as Node 10 did, which knows no `exports`; that comes last, for packages whose
 * `exports` name no types while an older field does.
 */

import Module from 'node:module';
import { sep } from 'node:path';
import { hasCode } from '@specoffload/input';
import { requireFromKernel } from '../packages.js';
import { changedTypeScript } from './typescript.js';

const typescriptName = '@tslab/typescript-for-tslab';

/** Mutates what tslab and Node resolve modules with; call it before tslab is loaded. */
export function followExports(): void {
  followExportsInTypes();
  followExportsInCode();
}

/** TypeScript's numbers for ways of resolving and for kinds of modules. */
const [node10, node16] = [2, 3];
const [commonJs, esNext] = [1, 99];

interface ResolvedModule {
  readonly resolvedFileName: string;
  readonly extension: string;
}
interface Resolution {
  readonly resolvedModule?: ResolvedModule;
}
type Options = Readonly<Record<string, unknown>>;
interface Host {
  resolveModuleNameLiterals?: (
    names: readonly { readonly text: string }[],
    containingFile: string,
    redirected: unknown,
    options: Options,
  ) => Resolution[];
  hasInvalidatedResolutions?: (path: string) => boolean;
  getModuleResolutionCache?: () => unknown;
}
interface TypeScript {
  readonly sys: Host;
  createWatchCompilerHost(...args: unknown[]): Host;
  createModuleResolutionCache(cwd: string, toCanonical: (path: string) => string, options: Options): unknown;
  resolveModuleName(
    name: string,
    containingFile: string,
    options: Options,
    host: Host,
    cache?: unknown,
    redirected?: unknown,
    mode?: number,
  ): Resolution;
}

/** tslab takes a copy of TypeScript's functions when it is loaded, so it has to find ours in their place by then. */
function followExportsInTypes(): void {
  const path = requireFromKernel.resolve(typescriptName);
  const typescript = requireFromKernel(typescriptName) as TypeScript;
  const createWatchCompilerHost = (...args: unknown[]): Host => {
    const host = typescript.createWatchCompilerHost(...args);
    host.resolveModuleNameLiterals = createResolver(typescript, host);
    // Packages stay as they are; what a notebook's own files mean may change with every cell.
    host.hasInvalidatedResolutions = (file) => !isPackageFile(file);
    // With it TypeScript finds out once, not in every program, that no package replaces a library of its own.
    const libraries = typescript.createModuleResolutionCache('/', keepCase, { moduleResolution: node10 });
    host.getModuleResolutionCache = () => libraries;
    return host;
  };
  requireFromKernel.cache[path]!.exports = changedTypeScript(typescript, { createWatchCompilerHost });
}

/** What packages ask for, and what declares the same types in a tenth of the text, which every kernel would hold. */
const standIns = new Map([['plotly.js-dist-min', 'plotly.js']]);

function createResolver(typescript: TypeScript, host: Host): NonNullable<Host['resolveModuleNameLiterals']> {
  const packages = new Map<number, unknown>();
  // A package may be installed from one cell to the next, but not while one is translated, which awaits nothing.
  const cells = new Map<number, unknown>();
  const cacheFor = (containingFile: string, options: Options): unknown => {
    const caches = isPackageFile(containingFile) ? packages : cells;
    if (caches === cells && cells.size === 0) queueMicrotask(() => cells.clear());
    const way = options.moduleResolution as number;
    if (!caches.has(way)) caches.set(way, typescript.createModuleResolutionCache('/', keepCase, options));
    return caches.get(way);
  };
  const ways = [
    { moduleResolution: node16, mode: commonJs },
    { moduleResolution: node16, mode: esNext },
    { moduleResolution: node10, mode: undefined },
  ] as const;
  return (names, containingFile, redirected, options) => {
    const resolve = (name: string, { moduleResolution, mode }: (typeof ways)[number]): Resolution => {
      const asked = { ...options, moduleResolution };
      const cache = cacheFor(containingFile, asked);
      return typescript.resolveModuleName(name, containingFile, asked, host, cache, redirected, mode);
    };
    return names.map(({ text: asked }) => {
      const text = (isPackageFile(containingFile) && standIns.get(asked)) || asked;
      if (isRelative(text)) return resolve(text, ways[2]);
      // Declared by name in Node's types, which TypeScript prefers to any file.
      if (Module.isBuiltin(text)) return {};
      const found: Resolution[] = [];
      for (const way of ways) {
        const resolution = resolve(text, way);
        if (hasTypes(resolution)) return resolution;
        found.push(resolution);
      }
      return found.find(({ resolvedModule }) => resolvedModule !== undefined) ?? found[0];
    });
  };
}

function keepCase(path: string): string {
  return path;
}

function hasTypes({ resolvedModule }: Resolution): boolean {
  return resolvedModule !== undefined && /^\.(d\.)?[cm]?tsx?$/.test(resolvedModule.extension);
}

function isRelative(name: string): boolean {
  return /^(\.{0,2}\/|\.{1,2}$)/.test(name);
}

function isPackageFile(path: string): boolean {
  return path.includes('/node_modules/') || path.includes(`${sep}node_modules${sep}`);
}

/** Node's own part that finds the file of what `require` asks for. */
const loader = Module as unknown as {
  _resolveFilename(request: string, parent: ModuleLike | undefined, ...rest: unknown[]): string;
};
interface ModuleLike {
  readonly filename?: string | null;
}

/** A package that exports nothing for `require` is looked up as `import` would. */
function followExportsInCode(): void {
  const { _resolveFilename: resolveFilename } = loader;
  loader._resolveFilename = function (request, parent, ...rest) {
    try {
      return resolveFilename.call(this, request, parent, ...rest);
    } catch (error) {
      const found = hasCode(error, 'ERR_PACKAGE_PATH_NOT_EXPORTED') ? findForImport(request, parent) : null;
      if (found === null) throw error;
      return found;
    }
  };
}

/** From a cell or a file beside the notebook; packages find each other as Node has it. */
function findForImport(request: string, parent: ModuleLike | undefined): string | null {
  const from = parent?.filename;
  if (typeof from !== 'string' || isPackageFile(from)) return null;
  const { sys, resolveModuleName } = requireFromKernel(typescriptName) as TypeScript;
  const options = { moduleResolution: node16, noDtsResolution: true, allowJs: true };
  const { resolvedModule } = resolveModuleName(request, from, options, sys, undefined, undefined, esNext);
  return resolvedModule?.resolvedFileName ?? null;
}
