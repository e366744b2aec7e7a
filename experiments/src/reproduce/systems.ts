/** Every published system as a strategy and a policy of the engine. */

import {
  type Checkpoint,
  cacheRate,
  countHeads,
  describeCatalogModel,
  type Lane,
  laneNamed,
  largest,
  type MachineModel,
  type ModelDescription,
  type PolicyInput,
  parseMachineModel,
  type SimulationRequest,
  smallest,
  type TransferLane,
  UserError,
  withRate,
} from '@specoffload/engine';
import {
  catalogNames,
  fiddlerHostRows,
  flexgenBlock,
  flexgenDefaultLayers,
  mostUnspeculatedSequences,
  paddedPromptTokens,
  scriptedLike,
  unsearchedPolicy,
} from './assumptions.js';
import { acceptanceOf, type Constants } from './constants.js';
import { machineFile } from './machine-files.js';
import type { Question } from './question.js';
import type {
  BaselineBatch,
  EnvironmentName,
  MemoryPoint,
  ModelName,
  Reference,
  SpecOffloadBatch,
} from './reference.js';

/** Batches as listed, and what the memory curve says of FlexGen. */
export type Scripts = Pick<Reference, 'policies' | 'memory'>;

/** @throws UserError when no script lists the question's batches. */
export function toRequest(question: Question, scripts: Scripts, constants: Constants): SimulationRequest {
  const { model, dataset, environment, generationLength, system } = question;
  const { target, draft } = catalogNames[model];
  const { numPrompts, ...chosen } = choose(question, scripts, constants);
  const isByExpert = system === 'Fiddler' || system === 'FlexGen';
  const isLlama = model === 'LLaMA-3.3-70B';
  const machine = createMachine(environment, constants);
  const promptTokens = Math.round(paddedPromptTokens[dataset] * (isLlama ? constants.llamaPrompt : 1));
  return {
    target: describe(target, isByExpert ? 'expert' : 'ffn'),
    draft: describe(draft, 'ffn'),
    promptLengths: new Array<number>(numPrompts).fill(promptTokens),
    maxNewTokens: generationLength,
    machine: isLlama ? copyingLike(scriptedLike[model]!, model, machine) : machine,
    acceptance: { kind: 'rates', name: dataset, byPosition: [acceptanceOf(constants, dataset)] },
    ...(system === 'Fiddler' ? { routingSkew: constants.routingSkew } : {}),
    ...chosen,
  };
}

interface Choice extends Pick<SimulationRequest, 'strategy'> {
  readonly policy: PolicyInput;
  readonly numPrompts: number;
}

function choose(question: Question, scripts: Scripts, constants: Constants): Choice {
  if (question.system === 'SpecOffload')
    return chooseVariant(question, listedBatch(question, scripts) as SpecOffloadBatch);
  const { batch: listed } = listedBatch(question, scripts) as BaselineBatch;
  const isBorrowed = !scripts.policies.some(({ model }) => model === question.model);
  const batch = Math.max(1, Math.round(listed * (isBorrowed ? constants.llamaBatch : 1)));
  const pageable = { pageLocked: 0, pinnedLayers: 0, prefetchDepth: 1 };
  if (question.system === 'FlexGen')
    return {
      strategy: 'flexgen',
      numPrompts: flexgenBlock * batch,
      policy: {
        ...{ microBatch: batch, prefillBatch: batch, pageLocked: 1, prefetchDepth: 1 },
        pinnedLayers: residentLayers(question, scripts.memory),
      },
    };
  if (question.system === 'Fiddler')
    return {
      ...{ strategy: 'fiddler', numPrompts: batch },
      policy: { ...pageable, hostExpertRows: fiddlerHostRows },
    };
  const strategy = question.system === 'Accelerate' ? 'accelerate' : 'deepspeed';
  return { strategy, numPrompts: batch, policy: pageable };
}

/** SpecOffload as released, whole or with something left out. */
function chooseVariant({ variant }: Question, listed: SpecOffloadBatch): Choice {
  const { batches, decodeBatch, prefillBatch, draftBatch, candidates } =
    variant === 'no policy search' ? { ...listed, ...unsearchedPolicy } : listed;
  const placement: PolicyInput = {
    ...{ projections: 'host', prefillAttention: 'device', prefillOrder: 'batch-major' },
    ...{ prefetchDepth: 0, pinnedLayers: 0, pageLocked: 0.5 },
  };
  if (variant === 'no speculative decoding') {
    const fewer = Math.min(decodeBatch, mostUnspeculatedSequences);
    return {
      ...{ strategy: 'none', numPrompts: batches * fewer },
      policy: { ...placement, batches, decodeBatch: fewer, prefillBatch },
    };
  }
  return {
    strategy: variant === 'serial speculative decoding' ? 'serial' : 'specoffload',
    numPrompts: batches * decodeBatch,
    policy: {
      ...placement,
      ...{ batches, decodeBatch, prefillBatch, draftBatch, candidates },
      ...{ draftCache: 'recompute', draftPlacement: 'after-prefill', ending: 'slowest' },
    },
  };
}

function listedBatch({ system, model, dataset, batchDivisor = 1 }: Question, { policies }: Scripts) {
  const find = (owner: ModelName | undefined) =>
    policies.find(
      (policy) => policy.system === system && policy.model === owner && policy.dataset === dataset,
    );
  const listed = find(model) ?? find(scriptedLike[model]);
  if (!listed)
    throw new UserError(`policies.json lists no batch for ${system}, ${model}, ${dataset}; add an entry`);
  const divide = (count: number) => Math.max(1, Math.floor(count / batchDivisor));
  return listed.system === 'SpecOffload'
    ? { ...listed, decodeBatch: divide(listed.decodeBatch), prefillBatch: divide(listed.prefillBatch) }
    : { ...listed, batch: divide(listed.batch) };
}

/** Layers that FlexGen keeps on the GPU: the curve's points lie one FFN layer apart, and the bars use all memory. */
function residentLayers({ model, gpuMemoryGB }: Question, curve: readonly MemoryPoint[]): number {
  const sizes = curve.filter((point) => point.model === model).map((point) => point.gpuMemoryGB);
  if (sizes.length === 0) return flexgenDefaultLayers;
  const [{ experts }] = describe(catalogNames[model].target, 'ffn').layers;
  const layerGiB = experts.reduce((sum, { storedBytes }) => sum + storedBytes, 0) / 2 ** 30;
  return Math.round(((gpuMemoryGB ?? largest(sizes)) - smallest(sizes)) / layerGiB);
}

const described = new Map<string, Checkpoint>();

function describe(name: string, unit: NonNullable<ModelDescription['unit']>): Checkpoint {
  const key = `${name} by ${unit}`;
  const known = described.get(key) ?? describeCatalogModel(name, unit);
  described.set(key, known);
  return known;
}

/** The machine, whose software copies one model's KV cache as often as another's. */
function copyingLike(other: ModelName, model: ModelName, machine: MachineModel): MachineModel {
  const headsOf = (name: ModelName) => countHeads(describe(catalogNames[name].target, 'ffn').spec);
  return cacheLanes.reduce((changed, lane) => {
    const rates = laneNamed(machine, lane);
    const factor = cacheRate(rates, headsOf(other)) / cacheRate(rates, headsOf(model));
    return withRate(changed, `${lane}.cacheBytesPerSecond`, cacheBytesPerSecond(rates) * factor);
  }, machine);
}

/** Of KV cache as software moves it, on one lane. */
export function cacheBytesPerSecond(lane: Lane): number {
  return lane.cacheBytesPerSecond ?? (lane as TransferLane).bytesPerSecond;
}

/** Lanes whose software copies the KV cache. */
export const cacheLanes = ['link', 'host', 'device'] as const;

export function createMachine(environment: EnvironmentName, constants: Constants): MachineModel {
  return parseMachineModel(machineFile(environment, constants), environment);
}
