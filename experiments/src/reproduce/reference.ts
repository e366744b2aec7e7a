/** What the paper published, read from a folder of JSON files and checked: see results/paper. */

import { join } from 'node:path';
import { maybeReadJson, UserError } from '@specoffload/input';
import { Fields } from '../inputs/fields.js';

export const systemNames = ['Accelerate', 'DeepSpeed', 'FlexGen', 'Fiddler', 'SpecOffload'] as const;
export const modelNames = ['Mixtral 8x7B', 'Mixtral 8x22B', 'LLaMA-3.3-70B'] as const;
export const datasetNames = ['HumanEval', 'C-Eval', 'SummEval', 'SAMSum'] as const;
export const environmentNames = ['env1', 'env2'] as const;
export const variantNames = [
  'all optimisations',
  'no policy search',
  'serial speculative decoding',
  'no speculative decoding',
] as const;

export type SystemName = (typeof systemNames)[number];
export type ModelName = (typeof modelNames)[number];
export type DatasetName = (typeof datasetNames)[number];
export type EnvironmentName = (typeof environmentNames)[number];
export type VariantName = (typeof variantNames)[number];

/** One bar of the main figure. */
export interface Bar {
  readonly system: SystemName;
  readonly model: ModelName;
  readonly environment: EnvironmentName;
  readonly dataset: DatasetName;
  /** New tokens per sequence. */
  readonly generationLength: number;
  readonly tokensPerSecond: number;
}

/** One bar of the ablation: SpecOffload with something left out. */
export interface AblationBar extends Omit<Bar, 'system'> {
  readonly variant: VariantName;
}

export interface UtilizationBar {
  readonly system: SystemName;
  readonly gpuCoreUtilizationPercent: number;
}

/** One point of throughput against GPU memory. */
export interface MemoryPoint {
  readonly system: SystemName;
  readonly model: ModelName;
  readonly gpuMemoryGB: number;
  readonly tokensPerSecond: number;
}

/** The batches that a released script runs a system with. */
export type BatchChoice = BaselineBatch | SpecOffloadBatch;

interface BatchOwner {
  readonly model: ModelName;
  readonly dataset: DatasetName;
}

export interface BaselineBatch extends BatchOwner {
  readonly system: Exclude<SystemName, 'SpecOffload'>;
  readonly batch: number;
}

export interface SpecOffloadBatch extends BatchOwner {
  readonly system: 'SpecOffload';
  readonly decodeBatch: number;
  readonly batches: number;
  readonly prefillBatch: number;
  readonly draftBatch: number;
  readonly candidates: number;
}

export interface Reference {
  readonly bars: readonly Bar[];
  readonly policies: readonly BatchChoice[];
  readonly ablation: readonly AblationBar[];
  readonly utilization: readonly UtilizationBar[];
  readonly memory: readonly MemoryPoint[];
}

/** @throws UserError naming file, entry, field, value and what was expected. */
export async function readReference(directory: string): Promise<Reference> {
  const read = async <Entry>(name: string, parse: (fields: Fields) => Entry) =>
    parseEntries(await readJson(join(directory, name)), join(directory, name), parse);
  return {
    bars: await read('throughput.json', (fields) => ({
      system: fields.word('system', systemNames),
      ...parseRun(fields),
    })),
    policies: await read('policies.json', parseBatchChoice),
    ablation: await read('ablation.json', (fields) => ({
      variant: fields.word('variant', variantNames),
      ...parseRun(fields),
    })),
    utilization: await read('gpu-utilization.json', (fields) => ({
      system: fields.word('system', systemNames),
      gpuCoreUtilizationPercent: fields.number('gpuCoreUtilizationPercent'),
    })),
    memory: await read('gpu-memory.json', (fields) => ({
      system: fields.word('system', systemNames),
      model: fields.word('model', modelNames),
      gpuMemoryGB: fields.number('gpuMemoryGB'),
      tokensPerSecond: fields.number('tokensPerSecond'),
    })),
  };
}

function parseRun(fields: Fields) {
  return {
    model: fields.word('model', modelNames),
    environment: fields.word('environment', environmentNames),
    dataset: fields.word('dataset', datasetNames),
    generationLength: fields.count('generationLength'),
    tokensPerSecond: fields.number('tokensPerSecond'),
  };
}

function parseBatchChoice(fields: Fields): BatchChoice {
  const system = fields.word('system', systemNames);
  const owner = { model: fields.word('model', modelNames), dataset: fields.word('dataset', datasetNames) };
  if (system !== 'SpecOffload') return { system, ...owner, batch: fields.count('batch') };
  return {
    ...{ system, ...owner },
    decodeBatch: fields.count('decodeBatch'),
    batches: fields.count('batches'),
    prefillBatch: fields.count('prefillBatch'),
    draftBatch: fields.count('draftBatch'),
    candidates: fields.count('candidates'),
  };
}

const mostBytes = 1 << 24;

async function readJson(path: string): Promise<unknown> {
  const json = await maybeReadJson(path, mostBytes, {}, 'check the file');
  if (json !== null) return json;
  throw new UserError(
    `there is no ${path}; --reference wants a folder with throughput.json, policies.json, ablation.json, gpu-utilization.json and gpu-memory.json, such as results/paper`,
  );
}

/** Checks a list of entries, each by its fields. */
export function parseEntries<Entry>(
  json: unknown,
  source: string,
  parse: (fields: Fields) => Entry,
): Entry[] {
  if (!Array.isArray(json)) throw new UserError(`${source}: invalid content; expected a list of objects`);
  return json.map((entry, index) => parse(new Fields(entry, `${source}: entry ${index + 1}`)));
}
