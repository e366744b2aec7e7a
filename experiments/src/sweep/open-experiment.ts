/** An experiment by its shipped name or from a file. */

import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UserError } from '@specoffload/engine';
import { maybeReadJson, reasonOf } from '@specoffload/input';
import type { ExperimentDefinition } from '../definitions/definition.js';
import { parseDefinition } from '../definitions/parse.js';
import { UsageError } from '../terminal/errors.js';
import { shippedExperiments } from './experiments/index.js';

const mostBytes = 1 << 20;

/**
 * @param nameOrFile a shipped experiment, a `.json` file, which is only ever read, or a `.js` or `.mjs` module of the
 * caller's own, whose default export is the definition.
 * @throws UsageError when there is none, UserError when it is refused.
 */
export async function openExperiment(nameOrFile: string): Promise<ExperimentDefinition> {
  if (Object.hasOwn(shippedExperiments, nameOrFile))
    return parseDefinition(await shippedExperiments[nameOrFile](), `experiment ${nameOrFile}`);
  switch (extname(nameOrFile)) {
    case '.json':
      return parseDefinition(await readJson(nameOrFile), nameOrFile);
    case '.js':
    case '.mjs':
      return parseDefinition(await importDefault(nameOrFile), nameOrFile);
    default:
      throw new UsageError(
        `unknown experiment: ${nameOrFile}; expected one of ${Object.keys(shippedExperiments).join(', ')}, or a .json, .js or .mjs file`,
      );
  }
}

async function readJson(path: string): Promise<unknown> {
  const json = await maybeReadJson(path, mostBytes, {}, 'expected an experiment definition');
  if (json === null) throw new UsageError(`cannot read the experiment ${path}; expected a file`);
  return json;
}

async function importDefault(path: string): Promise<unknown> {
  try {
    const module = (await import(pathToFileURL(resolve(path)).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    throw new UserError(`cannot import the experiment ${path}: ${reasonOf(error)}`);
  }
}
