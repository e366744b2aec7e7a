/** Models by name or directory: a catalogue of what can be predicted without weights, and checkpoints that are here. */

import {
  type Checkpoint,
  describeCatalogModel,
  describeModel,
  isConfigurationAlone,
  type ModelDescription,
  modelCatalog,
  openCheckpoint,
  openConfiguration,
} from '@specoffload/engine';
import { cacheDirectory, pairPaths } from '../paths.js';
import type { Output } from '../terminal/output.js';
import { prepareTarget } from './inflated-target.js';
import { assertModelDirectory, assertModelOrDirectory } from './model-names.js';
import { prepareRounded } from './rounded-pair.js';
import { parseBytes } from './sizes.js';

/**
 * @param nameOrDirectory `mixtral-8x7b` and the like, a checkpoint's directory, or one with config.json alone.
 * @param unit what moves at once, for a model without weights.
 * @param format how its matrices are imagined to be stored; its own weights are not looked at then.
 * @throws UserError when it is neither.
 */
export async function openOrDescribeModel(
  nameOrDirectory: string,
  unit: ModelDescription['unit'] = 'ffn',
  format?: ModelDescription['format'],
): Promise<Checkpoint> {
  if (Object.hasOwn(modelCatalog, nameOrDirectory))
    return describeCatalogModel(nameOrDirectory, unit, format);
  await assertModelOrDirectory(nameOrDirectory);
  if (await isConfigurationAlone(nameOrDirectory)) return openConfiguration(nameOrDirectory, unit, format);
  const checkpoint = await openCheckpoint(nameOrDirectory);
  if (format === undefined) return checkpoint;
  const { name, spec, directory, digest } = checkpoint;
  return { ...describeModel({ name, spec, unit, format, digest }), directory };
}

export type ModelRole = 'target' | 'draft';

/**
 * The directory of a checkpoint that is here.
 * @param name `pair`: the shipped one; `pair:2GB`: the shipped one, inflated, once, into the cache; `pair:1bit`: the
 * shipped target with one bit of mantissa left, likewise; or a directory.
 */
export async function locateModel(
  role: ModelRole,
  name: string,
  output: Output,
  signal: AbortSignal,
): Promise<string> {
  const [, size] = /^pair(?::(.*))?$/.exec(name) ?? [null, null];
  if (size === null) {
    await assertModelDirectory(name);
    return name;
  }
  if (size === undefined) return pairPaths[role];
  const bits = /^([1-6])bit$/.exec(size)?.[1];
  if (bits !== undefined)
    return prepareRounded(
      { sourceDirectory: pairPaths.target, cacheDirectory, mantissaBits: Number(bits) },
      output,
    );
  const request = { sourceDirectory: pairPaths[role], cacheDirectory, bytes: parseBytes(`--${role}`, size) };
  return (await prepareTarget(request, output, signal)).directory;
}
