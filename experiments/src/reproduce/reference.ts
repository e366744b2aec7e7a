/** What the paper published, read from a folder of JSON files and checked: see results/paper. */

import { join } from 'node:path';
import { type Checked, check, is, maybeReadJson, type Schema, UserError } from '@specoffload/input';

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

const run = {
  model: is.oneOf(modelNames),
  environment: is.oneOf(environmentNames),
  dataset: is.oneOf(datasetNames),
  /** New tokens per sequence. */
  generationLength: is.wholeFrom(1),
  tokensPerSecond: is.positive,
};

/** One bar of the main figure. */
export type Bar = Checked<typeof bar>;
const bar = is.picked({ system: is.oneOf(systemNames), ...run });

/** One bar of the ablation: SpecOffload with something left out. */
export type AblationBar = Checked<typeof ablationBar>;
const ablationBar = is.picked({ variant: is.oneOf(variantNames), ...run });

export type UtilizationBar = Checked<typeof utilizationBar>;
const utilizationBar = is.picked({
  system: is.oneOf(systemNames),
  gpuCoreUtilizationPercent: is.positive,
});

/** One point of throughput against GPU memory. */
export type MemoryPoint = Checked<typeof memoryPoint>;
const memoryPoint = is.picked({
  system: is.oneOf(systemNames),
  model: is.oneOf(modelNames),
  gpuMemoryGB: is.positive,
  tokensPerSecond: is.positive,
});

/** The batches that a released script runs a system with. */
export type BatchChoice = BaselineBatch | SpecOffloadBatch;

const owner = { model: is.oneOf(modelNames), dataset: is.oneOf(datasetNames) };

export type BaselineBatch = Checked<typeof baselineBatch>;
const baselineBatch = is.picked({
  system: is.oneOf(['Accelerate', 'DeepSpeed', 'FlexGen', 'Fiddler']),
  ...{ ...owner, batch: is.wholeFrom(1) },
});

export type SpecOffloadBatch = Checked<typeof specOffloadBatch>;
const specOffloadBatch = is.picked({
  system: is.oneOf(['SpecOffload']),
  ...owner,
  decodeBatch: is.wholeFrom(1),
  batches: is.wholeFrom(1),
  prefillBatch: is.wholeFrom(1),
  draftBatch: is.wholeFrom(1),
  candidates: is.wholeFrom(1),
});

const batchChoice: Schema<BatchChoice> = is.variant('system', {
  ...{ Accelerate: baselineBatch, DeepSpeed: baselineBatch, FlexGen: baselineBatch },
  ...{ Fiddler: baselineBatch, SpecOffload: specOffloadBatch },
});

export interface Reference {
  readonly bars: readonly Bar[];
  readonly policies: readonly BatchChoice[];
  readonly ablation: readonly AblationBar[];
  readonly utilization: readonly UtilizationBar[];
  readonly memory: readonly MemoryPoint[];
}

/** @throws UserError naming file, entry, field, value and what was expected. */
export async function readReference(directory: string): Promise<Reference> {
  const read = async <Entry>(name: string, entry: Schema<Entry>) =>
    parseEntries(await readJson(join(directory, name)), join(directory, name), entry);
  return {
    bars: await read('throughput.json', bar),
    policies: await read('policies.json', batchChoice),
    ablation: await read('ablation.json', ablationBar),
    utilization: await read('gpu-utilization.json', utilizationBar),
    memory: await read('gpu-memory.json', memoryPoint),
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

/** Checks a list of entries one by one, so that a message counts them as people do. */
export function parseEntries<Entry>(json: unknown, source: string, entry: Schema<Entry>): Entry[] {
  return check(is.listOf(is.anything, { expected: 'a list of objects' }), json, source).map((item, index) =>
    check(entry, item, `${source}: entry ${index + 1}`, { whole: 'entry' }),
  );
}
