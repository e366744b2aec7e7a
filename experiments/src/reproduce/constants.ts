/**
 * The constants that the published bars are fitted with: few, shared by all bars, each inside physical bounds. What
 * they do is said in machine-files.ts (rates of the two machines) and assumptions.ts (everything else).
 */

import { UserError } from '@specoffload/engine';
import { Fields } from '../fields.js';
import type { Question } from './question.js';
import { type DatasetName, datasetNames, type SystemName } from './reference.js';

export interface ConstantDefinition {
  readonly unit: string;
  readonly bounds: readonly [least: number, most: number];
  /** Why these bounds. */
  readonly limit: string;
  /** What it stands for. */
  readonly meaning: string;
  /** Chances are fitted on a logistic scale, everything else on a logarithmic one. @default false */
  readonly isChance?: boolean;
  /** Whether a prediction depends on it; others are not simulated again when it changes. */
  readonly touches: (question: Question) => boolean;
}

const systems =
  (...names: readonly SystemName[]) =>
  ({ system }: Question) =>
    names.includes(system);
const onEnv1 =
  (...names: readonly SystemName[]) =>
  ({ system, environment }: Question) =>
    environment === 'env1' && names.includes(system);
const onEnv2 =
  (...names: readonly SystemName[]) =>
  ({ system, environment }: Question) =>
    environment === 'env2' && names.includes(system);
const isLlama = ({ model }: Question) => model === 'LLaMA-3.3-70B';

const acceptance = (dataset: DatasetName): ConstantDefinition => ({
  ...{ unit: 'probability', bounds: [0.5, 0.95], isChance: true },
  limit: 'rates that papers on speculative decoding report',
  meaning: `chance that a candidate stands on ${dataset}, the same at every place and for every target`,
  touches: (question) =>
    question.dataset === dataset &&
    question.system === 'SpecOffload' &&
    question.variant !== 'no speculative decoding',
});

export const constantDefinitions = {
  lockedLink1: {
    ...{ unit: 'bytes/s', bounds: [9e9, 13e9], limit: 'PCIe 3.0 x16 in practice' },
    meaning: 'env1, host to device out of page-locked memory',
    touches: onEnv1('FlexGen', 'SpecOffload'),
  },
  pageableLink1: {
    ...{ unit: 'bytes/s', bounds: [3e9, 9e9], limit: 'staged copies, below the page-locked rate' },
    meaning: 'env1, host to device out of pageable memory',
    touches: onEnv1('Accelerate', 'DeepSpeed', 'Fiddler', 'SpecOffload'),
  },
  cacheLink1: {
    ...{ unit: 'bytes/s', bounds: [0.5e9, 12e9], limit: 'up to the link; strided copies are slower' },
    meaning: 'env1, KV cache from host to device, as FlexGen moves it',
    touches: onEnv1('FlexGen'),
  },
  hostCache1: {
    ...{
      unit: 'bytes/s',
      bounds: [0.3e9, 60e9],
      limit: 'memory bandwidth over the copies made of each byte',
    },
    meaning: 'env1, KV cache under host attention, with the copies that the released code makes of it',
    touches: onEnv1('SpecOffload'),
  },
  lockedLink2: {
    ...{ unit: 'bytes/s', bounds: [18e9, 26e9], limit: 'PCIe 4.0 x16 in practice' },
    meaning: 'env2, host to device out of page-locked memory',
    touches: onEnv2('FlexGen', 'SpecOffload'),
  },
  pageableLink2: {
    ...{ unit: 'bytes/s', bounds: [3e9, 14e9], limit: 'staged copies, below the page-locked rate' },
    meaning: 'env2, host to device out of pageable memory',
    touches: onEnv2('Accelerate', 'DeepSpeed', 'Fiddler', 'SpecOffload'),
  },
  cacheLink2: {
    ...{ unit: 'bytes/s', bounds: [0.3e9, 24e9], limit: 'up to the link; strided copies are slower' },
    meaning: 'env2, KV cache from host to device, as FlexGen moves it',
    touches: onEnv2('FlexGen'),
  },
  hostCache2: {
    ...{
      unit: 'bytes/s',
      bounds: [0.1e9, 60e9],
      limit: 'memory bandwidth over the copies made of each byte',
    },
    meaning: 'env2, KV cache under host attention, with the copies that the released code makes of it',
    touches: onEnv2('SpecOffload'),
  },
  deviceFlops: {
    ...{ unit: 'FLOP/s', bounds: [90e12, 165e12], limit: 'RTX 4090, dense bf16 peak 165e12' },
    meaning: 'matrix products on the device',
    touches: () => true,
  },
  deviceTask: {
    ...{ unit: 's', bounds: [5e-5, 4e-3], limit: 'a few launches up to a Python module call' },
    meaning: 'one expert, or one attention, on the device beside its arithmetic',
    touches: () => true,
  },
  hostFlops: {
    ...{ unit: 'FLOP/s', bounds: [0.05e12, 2e12], limit: 'below the fp32 peaks of both CPUs, 3e12' },
    meaning: 'bf16 matrix products on the host, both CPUs',
    touches: systems('SpecOffload', 'Fiddler'),
  },
  hostWeights: {
    ...{ unit: 'bytes/s', bounds: [2e9, 80e9], limit: 'memory bandwidth of either CPU' },
    meaning: "an expert's weights under few rows on the host, both CPUs",
    touches: systems('Fiddler', 'SpecOffload'),
  },
  routingSkew: {
    ...{
      unit: 'sigma',
      bounds: [0.05, 1],
      limit: 'from even to one expert in eight with a third of the tokens',
    },
    meaning:
      "spread of the experts' log-normal popularity, which decides how many of Fiddler's have few rows",
    touches: systems('Fiddler'),
  },
  draftCall: {
    ...{ unit: 's', bounds: [5e-4, 0.1], limit: 'from one kernel launch to a process round trip' },
    meaning: 'gap between two draft steps, in which the device is free',
    touches: ({ system, variant }: Question) =>
      system === 'SpecOffload' && variant !== 'no speculative decoding',
  },
  acceptHumanEval: acceptance('HumanEval'),
  acceptCEval: acceptance('C-Eval'),
  acceptSummEval: acceptance('SummEval'),
  acceptSAMSum: acceptance('SAMSum'),
  llamaPrompt: {
    ...{ unit: 'ratio', bounds: [0.2, 1], limit: 'from the mean to the longest prompt' },
    meaning: 'padded prompt of the LLaMA bars over that of the Mixtral bars',
    touches: isLlama,
  },
  llamaBatch: {
    ...{ unit: 'ratio', bounds: [0.3, 2], limit: 'what 24 GB can hold' },
    meaning: "a baseline's LLaMA batch over its listed 8x7B batch",
    touches: (question: Question) => isLlama(question) && question.system !== 'SpecOffload',
  },
} as const satisfies Readonly<Record<string, ConstantDefinition>>;

export type ConstantName = keyof typeof constantDefinitions;
export type Constants = Readonly<Record<ConstantName, number>>;

export const constantNames = Object.keys(constantDefinitions) as ConstantName[];

export function definitionOf(name: ConstantName): ConstantDefinition {
  return constantDefinitions[name];
}

const acceptanceNames = {
  HumanEval: 'acceptHumanEval',
  'C-Eval': 'acceptCEval',
  SummEval: 'acceptSummEval',
  SAMSum: 'acceptSAMSum',
} as const satisfies Readonly<Record<DatasetName, ConstantName>>;

export function acceptanceOf(constants: Constants, dataset: DatasetName): number {
  return constants[acceptanceNames[dataset]];
}

/** A dataset that no bar has been seen of gets the mean acceptance of the others. */
export function withUnseenAcceptance(constants: Constants, unseen: DatasetName): Constants {
  const others = datasetNames.filter((dataset) => dataset !== unseen);
  const mean = others.reduce((sum, dataset) => sum + acceptanceOf(constants, dataset), 0) / others.length;
  return { ...constants, [acceptanceNames[unseen]]: mean };
}

/**
 * Checks constants that were read from a file.
 * @throws UserError when one is missing or outside its bounds.
 */
export function parseConstants(json: unknown, source: string): Constants {
  const fields = new Fields(json, source);
  const entries = constantNames.map((name) => {
    const value = fields.number(name);
    const {
      bounds: [least, most],
      unit,
    } = definitionOf(name);
    // A value at its bound may have been rounded over it.
    if (!(least * (1 - 1e-3) <= value && value <= most * (1 + 1e-3)))
      throw new UserError(
        `${source}: invalid ${name}: ${value}; expected ${least} to ${most} ${unit}; run specoffload reproduce --fit`,
      );
    return [name, value];
  });
  return Object.fromEntries(entries) as Constants;
}
