/**
 * The TypeScript that tslab's converter is given: tslab's own, but for two things that it has no option for. What it
 * emits can be traced back to the cell's lines, and what a cell awaits ends when the cell was interrupted meanwhile.
 */

import Module from 'node:module';
import { requireFromKernel } from '../packages.js';
import { type Kept, keptName } from '../snapshot/entry.js';
import { guardAwaits } from './awaits.js';
import { transpileUnchecked } from './common-js.js';
import { createProgramOf } from './program.js';
import type { Builder, Transformers, TypeScript, WatchHost } from './syntax.js';

/** From emitted JavaScript back to TypeScript in two steps, as source maps: tslab emits modules, then translates those. */
export interface MapTexts {
  readonly toModule: string;
  readonly toSource: string;
}

const moduleName = '@tslab/typescript-for-tslab';
const mapComment = /\n?\/\/# sourceMappingURL=(?:data:application\/json;base64,)?(\S*)\s*$/;

/** By emitted text: what tslab hands on has no other mark. */
const mapsByText = new Map<string, MapTexts>();
let provided: TypeScript | undefined;

/** Call it before anything of tslab is loaded: all its parts share the one that they find then. */
export function tslabTypescript(): TypeScript {
  provided ??= provideTypeScript(loadTypeScript());
  return provided;
}

/** From the heap that this process was started with, where it is there. */
function loadTypeScript(): TypeScript {
  const kept = (globalThis as Record<symbol, unknown>)[Symbol.for(keptName)] as Kept | undefined;
  const path = requireFromKernel.resolve(moduleName);
  if (kept?.path === path) {
    const module = Object.assign(new Module(path), { filename: path, loaded: true, exports: kept.exports });
    requireFromKernel.cache[path] = module;
    // As TypeScript sets it, which a snapshot does not keep.
    Error.stackTraceLimit = 100;
  }
  return requireFromKernel(moduleName);
}

/** The maps of a text that was emitted since the last call. */
export function takeMaps(texts: readonly string[]): (MapTexts | null)[] {
  const maps = texts.map((text) => mapsByText.get(text) ?? null);
  mapsByText.clear();
  return maps;
}

function provideTypeScript(original: TypeScript): TypeScript {
  const changes: Partial<TypeScript> = {
    createWatchCompilerHost: (files, options, system, _createProgram, ...rest) => {
      const mapped = { ...options, inlineSourceMap: true };
      return original.createWatchCompilerHost(files, mapped, system, createProgramOf(original), ...rest);
    },
    createWatchProgram: (host) => original.createWatchProgram(withGuardedAwaits(host, original)),
    transpileModule(text, options) {
      const toSource = Buffer.from(mapComment.exec(text)?.[1] ?? '', 'base64').toString();
      const result = transpileUnchecked(original, text.replace(mapComment, '\n'), {
        ...options.compilerOptions,
        sourceMap: true,
      });
      const outputText = result.outputText.replace(mapComment, '\n');
      mapsByText.set(outputText, { toModule: result.sourceMapText ?? '', toSource });
      return { outputText };
    },
  };
  const changed = changedTypeScript(original, changes);
  // Of the module as tslab finds it: it has no other way to be told.
  requireFromKernel.cache[requireFromKernel.resolve(moduleName)]!.exports = changed;
  return changed;
}

/** As an ES module, of which whoever imports it makes no copy of thousands of functions. */
export function changedTypeScript<T extends object>(original: T, changes: Partial<T>): T {
  return Object.create(original, Object.getOwnPropertyDescriptors({ __esModule: true, ...changes }));
}

/** Mutates `host`, whose `afterProgramCreate` tslab has set. */
function withGuardedAwaits(host: WatchHost, ts: TypeScript): WatchHost {
  const created = host.afterProgramCreate;
  host.afterProgramCreate = (builder: Builder) => {
    const emit = builder.emit.bind(builder);
    builder.emit = (file, write, token, onlyTypes, transformers: Transformers) =>
      emit(file, write, token, onlyTypes, {
        ...transformers,
        after: [guardAwaits(ts), ...(transformers.after ?? [])],
      });
    created.call(host, builder);
  };
  return host;
}
