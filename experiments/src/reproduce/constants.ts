/**
 * The constants that the published bars are fitted with: few, shared by all bars, each inside physical bounds. What
 * they do is said in machine-files.ts (rates of the two machines) and assumptions.ts (everything else).
 */

import { check, is, type Schema } from '@specoffload/input';
import type { Question } from './question.js';
import { type DatasetName, datasetNames, type SystemName } from './reference.js';

export interface ConstantDefinition {
  readonly unit: string;
  readonly bounds: readonly [least: number, most: number];
  /** Why these bounds. */
  readonly limit: string;
  /** What it stands for. */
  readonly meaning: string;
  /** What makes it as large as it is, in one sentence. */
  readonly cause: string;
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
  cause: 'a draft of 7 to 8 billion parameters, of the same family as its target, decoding greedily',
  touches: (question) =>
    question.dataset === dataset &&
    question.system === 'SpecOffload' &&
    question.variant !== 'no speculative decoding',
});

export const constantDefinitions = {
  lockedLink1: {
    ...{ unit: 'bytes/s', bounds: [9e9, 13e9], limit: 'PCIe 3.0 x16 in practice' },
    meaning: 'env1, host to device out of page-locked memory',
    cause: 'PCIe 3.0 x16 carries 15.8 GB/s, headers and flow control included',
    touches: onEnv1('FlexGen', 'SpecOffload'),
  },
  pageableLink1: {
    ...{ unit: 'bytes/s', bounds: [3e9, 9e9], limit: 'staged copies, below the page-locked rate' },
    meaning: 'env1, host to device out of pageable memory',
    cause: 'one core copies into a page-locked buffer of the driver before each piece crosses',
    touches: onEnv1('Accelerate', 'DeepSpeed', 'Fiddler', 'SpecOffload'),
  },
  lockedLink2: {
    ...{ unit: 'bytes/s', bounds: [18e9, 26e9], limit: 'PCIe 4.0 x16 in practice' },
    meaning: 'env2, host to device out of page-locked memory',
    cause: 'PCIe 4.0 x16 carries 31.5 GB/s, headers and flow control included',
    touches: onEnv2('FlexGen', 'SpecOffload'),
  },
  pageableLink2: {
    ...{ unit: 'bytes/s', bounds: [3e9, 14e9], limit: 'staged copies, below the page-locked rate' },
    meaning: 'env2, host to device out of pageable memory',
    cause:
      'the same copy by one core, and one core of a server copies slower than one of a desktop, however fast the link',
    touches: onEnv2('Accelerate', 'DeepSpeed', 'Fiddler', 'SpecOffload'),
  },
  deviceFlops: {
    ...{ unit: 'FLOP/s', bounds: [90e12, 165e12], limit: 'RTX 4090, dense bf16 peak 165e12' },
    meaning: 'matrix products on the device',
    cause: 'thousands of rows at once come near the peak',
    touches: () => true,
  },
  deviceTask: {
    ...{ unit: 's', bounds: [5e-5, 4e-3], limit: 'a few launches up to a Python module call' },
    meaning: 'one expert, or one attention, on the device beside its arithmetic',
    cause: "some twenty kernel launches out of Python, with the selection of an expert's rows",
    touches: () => true,
  },
  hostFlops1: {
    ...{
      unit: 'FLOP/s',
      bounds: [0.1e12, 3e12],
      limit: 'up to the fp32 peak of 18 cores with AVX-512, 3e12',
    },
    meaning: 'env1, bf16 matrix products on the host',
    cause:
      'no bf16 units, but oneDNN has kernels for AVX-512 that widen to fp32 on the way: half of the fp32 peak',
    touches: onEnv1('SpecOffload', 'Fiddler'),
  },
  hostFlops2: {
    ...{
      unit: 'FLOP/s',
      bounds: [6e9, 300e9],
      limit: 'a 500th to a 10th of the fp32 peak of 32 cores with AVX2, 3e12',
    },
    meaning: 'env2, bf16 matrix products on the host',
    cause:
      'the EPYC 7542 has no AVX-512, without which PyTorch has no bf16 kernel: it widens or loops (pytorch issue 146508: at least 44 times slower than fp32; the bars ask for less)',
    touches: onEnv2('SpecOffload', 'Fiddler'),
  },
  hostWeights: {
    ...{
      unit: 'bytes/s',
      bounds: [2e9, 80e9],
      limit: 'below the memory bandwidth of both CPUs, 94e9 and 205e9',
    },
    meaning: "an expert's weights under few rows on the host, both CPUs",
    cause:
      "products of few rows in bf16 are bound by one operator after the other, not by the memory's channels",
    touches: systems('Fiddler', 'SpecOffload'),
  },
  hostCopies1: {
    ...{
      unit: 'bytes/s',
      bounds: [2e9, 47e9],
      limit: 'a copy reads and writes: up to half of 94e9, four channels',
    },
    meaning: 'env1, bytes that the host moves when software copies the KV cache',
    cause: 'every copy goes to memory that the system hands out page by page, for this one layer',
    touches: onEnv1('FlexGen', 'SpecOffload'),
  },
  hostCopies2: {
    ...{
      unit: 'bytes/s',
      bounds: [2e9, 102e9],
      limit: 'a copy reads and writes: up to half of 205e9, eight channels',
    },
    meaning: 'env2, bytes that the host moves when software copies the KV cache',
    cause:
      "the same copies on a server's slower cores, whose memory is divided; one of them copies more slowly for the link, too (pageableLink2)",
    touches: onEnv2('FlexGen', 'SpecOffload'),
  },
  routingSkew: {
    ...{
      unit: 'sigma',
      bounds: [0.05, 1],
      limit: 'from even to one expert in eight with a third of the tokens',
    },
    meaning:
      "spread of the experts' log-normal popularity, which decides how many of Fiddler's have few rows",
    cause: 'Mixtral was trained to balance its experts',
    touches: systems('Fiddler'),
  },
  draftCall: {
    ...{ unit: 's', bounds: [5e-4, 0.1], limit: 'from one kernel launch to a process round trip' },
    meaning: 'gap between two draft steps, in which the device is free',
    cause: 'Python drives 32 layers, and ids, masks and logits (197 MB in fp32) cross to another process',
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
    cause:
      'a vocabulary four times as large, and padding to the longest of a batch rather than of the dataset',
    touches: isLlama,
  },
  llamaBatch: {
    ...{ unit: 'ratio', bounds: [0.3, 2], limit: 'what 24 GB can hold' },
    meaning: "a baseline's LLaMA batch over its listed 8x7B batch",
    cause: 'no scripts for it are released',
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

const constants = is.picked(
  Object.fromEntries(
    constantNames.map((name) => {
      const { bounds, unit } = definitionOf(name);
      const [least, most] = bounds;
      // A value at its bound may have been rounded over it.
      return [name, is.numberFrom(least * (1 - 1e-3), most * (1 + 1e-3), `${least} to ${most} ${unit}`)];
    }),
  ),
) as Schema<Constants>;

/**
 * Checks constants that were read from a file.
 * @throws UserError when one is missing or outside its bounds.
 */
export function parseConstants(json: unknown, source: string): Constants {
  return check(constants, json, source, { remedy: 'run specoffload reproduce --fit' });
}
