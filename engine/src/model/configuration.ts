/** Models whose configuration is here and whose weights are not: enough to place, schedule and predict. */

import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isRecord, maybeReadJson, quote, UserError } from '@specoffload/input';
import type { WeightDtype } from '@specoffload/native';
import { parseModelSpec } from './config.js';
import { parseEosTokenIds } from './config-eos.js';
import { parseQuantisation, publishedFormat, type Quantisation } from './config-quantised.js';
import { ConfigValues, warnOfCheckpoint } from './config-values.js';
import { describeModel, type ModelDescription } from './describe.js';
import type { ModelSpec } from './spec.js';
import type { Checkpoint } from './types.js';

export const maxConfigBytes = 16_000_000;

const configName = 'config.json';

/** The configuration of a folder, with the end-of-sequence ids of generation_config.json where that file gives some. */
export async function readModelSpec(directory: string): Promise<ModelSpec> {
  const file = join(directory, configName);
  return parseConfig(await readConfigJson(file), file);
}

/** How the configuration of a folder says that weights are quantised; null where they are not. */
export async function readQuantisation(directory: string): Promise<Quantisation | null> {
  const file = join(directory, configName);
  return quantisationOf(await readConfigJson(file), file);
}

function quantisationOf(json: unknown, file: string): Quantisation | null {
  return isRecord(json) ? parseQuantisation(new ConfigValues(json, file, warnOfCheckpoint)) : null;
}

/** Whether `path` is a configuration itself, or a folder that holds one and no safetensors file. */
export async function isConfigurationAlone(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => null);
  if (!stats?.isDirectory()) return stats !== null && path.endsWith('.json');
  const names = await readdir(path);
  return names.includes(configName) && !names.some((name) => /\.safetensors(\.index\.json)?$/.test(name));
}

/**
 * A model by its configuration alone, named after its folder or, if the file has a name of its own, after that.
 * @param path a folder with config.json, or the file itself
 * @throws UserError naming what is wrong and what to do.
 */
export async function openConfiguration(
  path: string,
  unit: ModelDescription['unit'] = 'ffn',
  format?: ModelDescription['format'],
): Promise<Checkpoint> {
  const file = path.endsWith('.json') ? path : join(path, configName);
  const named = basename(file) === configName ? dirname(resolve(file)) : file.slice(0, -'.json'.length);
  const json = await readConfigJson(file);
  const spec = await parseConfig(json, file);
  const published = publishedFormat(quantisationOf(json, file));
  const dtype = parseDtype(json, file);
  const model = describeModel({ name: basename(named), spec, unit, format, published, dtype });
  // Where its tokenizer lies, if it has one.
  return { ...model, directory: dirname(file) };
}

async function readConfigJson(path: string): Promise<unknown> {
  const json = await maybeReadJson(path, maxConfigBytes);
  if (json === null) {
    throw new UserError(
      `there is no ${path}; expected the directory of a Hugging Face checkpoint; check the path or download the model`,
    );
  }
  return json;
}

async function parseConfig(json: unknown, path: string): Promise<ModelSpec> {
  const spec = parseModelSpec(json, path);
  const generationPath = join(dirname(path), 'generation_config.json');
  const eosTokenIds = parseEosTokenIds(await maybeReadJson(generationPath, maxConfigBytes), generationPath);
  return eosTokenIds === null ? spec : { ...spec, eosTokenIds };
}

const dtypeNames: Readonly<Record<string, WeightDtype>> = {
  bfloat16: 'bf16',
  float16: 'f16',
  float32: 'f32',
};

/** What the weights were saved as, which transformers 5 calls dtype and older ones torch_dtype; bf16 where nothing is said. */
function parseDtype(json: unknown, file: string): WeightDtype {
  const config = new ConfigValues(isRecord(json) ? json : {}, file, warnOfCheckpoint);
  const [dtype, former] = ['dtype', 'torch_dtype'].map((field) => config.get(field) ?? null);
  if (dtype !== null && former !== null && dtype !== former)
    config.warn(`dtype ${quote(dtype)} contradicts torch_dtype ${quote(former)}`, 'dtype holds');
  const said = dtype ?? former ?? 'auto';
  if (said === 'auto') return 'bf16';
  const name = typeof said === 'string' ? said.replace(/^torch\./, '') : '';
  if (Object.hasOwn(dtypeNames, name)) return dtypeNames[name];
  const field = dtype === null ? 'torch_dtype' : 'dtype';
  throw config.unsupported(field, said, 'bfloat16, float16 or float32', 'correct it');
}
