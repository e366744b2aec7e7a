/** What `require` means in a cell: packages from the notebook's folder, tslab itself, and TypeScript modules beside it. */

import Module from 'node:module';
import { dirname, extname, join } from 'node:path';
import { requireFromKernel } from '../packages.js';
import type { CompiledModule } from './compiler.js';
import { orBundled } from './lab-bundle.js';
import { traceScript } from './traces.js';

/** Node's own class, as far as it is used here. */
interface NodeModule {
  filename: string;
  paths: string[];
  exports: unknown;
  require: NodeJS.Require;
  _compile(code: string, file: string): void;
}
interface NodeModuleClass {
  new (file: string): NodeModule;
  _nodeModulePaths(folder: string): string[];
}

export interface CellModules {
  readonly require: NodeJS.Require;
  /** New ones, or new versions: whoever imports one from now on gets it as it is now. */
  update(modules: readonly CompiledModule[]): void;
  /** Whoever imports one from now on has it run anew. */
  forget(): void;
}

export function createCellModules(rootDirectory: string): CellModules {
  const scripts = new Map<string, string>();
  const loaded = new Map<string, NodeModule>();

  const load = (file: string, script: string): unknown => {
    const cached = loaded.get(file);
    if (cached !== undefined) return cached.exports;
    const Class = Module as unknown as NodeModuleClass;
    const module = new Class(file);
    module.filename = file;
    module.paths = Class._nodeModulePaths(dirname(file));
    module.require = wrap(module.require.bind(module) as NodeJS.Require, dirname(file));
    module._compile(script, file);
    loaded.set(file, module);
    return module.exports;
  };
  const wrap = (require: NodeJS.Require, folder: string): NodeJS.Require =>
    new Proxy(require, {
      apply(_target, self, [id, ...rest]: [string, ...unknown[]]) {
        if (id === 'tslab') return requireFromKernel('tslab');
        const path = join(folder, String(id));
        const file = extname(path) === '' ? `${path}.js` : path;
        const script = scripts.get(file);
        if (script !== undefined) return load(file, script);
        return Reflect.apply(require, self, [orBundled(id, require.resolve), ...rest]);
      },
    });
  return {
    require: wrap(Module.createRequire(join(rootDirectory, 'cell.js')), rootDirectory),
    forget: () => loaded.clear(),
    update(modules) {
      for (const { path, script, locate } of modules) {
        loaded.delete(path);
        scripts.set(path, script);
        traceScript(path, { label: () => path.replace(/\.js$/, '.ts'), locate });
      }
    },
  };
}
