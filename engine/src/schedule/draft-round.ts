/**
 * One round of proposing: the draft extends every sequence of a batch token by token, one task per step and
 * micro-batch, so that the target's work on the device never waits for more than one step.
 */

import { keyWidth, type ModelSpec } from '../model/spec.js';
import type { Checkpoint } from '../model/types.js';
import type { TokenShares } from '../speculate/draw-token.js';
import type { NoiseUse } from '../speculate/noise.js';
import { type DrawnText, drawRows } from '../speculate/row-draws.js';
import type { Sampling } from '../speculate/sampling.js';
import type { CacheBlock } from '../speculate/sequence.js';
import type { DraftRound, DraftRun } from './drafter.js';
import { type AttentionWork, addAttention, cacheFields, type Feed, lastRows } from './feeds.js';
import { cacheCapacity } from './kv-cache.js';
import { chosenExperts, type LayerCosts, modelCosts, type OpenWork, scoreFlops } from './layer-costs.js';
import type { ModelPlacement } from './memory-plan.js';
import type { DraftResult } from './ops.js';
import { beginProposals, draftPriority, imagineProposals, keepProposal, type Proposal } from './proposals.js';
import { openTask, type Task } from './task.js';

/** One sequence in the round. */
interface StepwiseProposal extends Proposal {
  /** What has been proposed so far: the first `numProposed` of `wanted`. */
  readonly ids: number[];
  numProposed: number;
  /** What they were drawn from, where somebody has to know. */
  shares: TokenShares[] | null;
}

/** A round, and all that is the same in every round of a run. */
export interface DraftRoundRequest extends DraftRound, Omit<DraftRun, 'placement'> {
  readonly placement: ModelPlacement;
  readonly sizes: DraftSizes;
}

/**
 * Tasks that fill `candidates` (ahead: `nextCandidates`) of the sequences.
 *
 * Mutates the sequences when the tasks end: `candidates` or `nextCandidates`, `draftCached`, and with a recomputed
 * cache `draftBlock`.
 */
export function buildDraftRound(request: DraftRoundRequest): Task[] {
  const { policy, isCoarse } = request;
  const proposals = beginProposals(request).map(
    // Field by field: predictions make millions of them, and to spread each takes longer than all else here.
    ({ sequence, assumed, wanted }): StepwiseProposal => ({
      sequence,
      assumed,
      wanted,
      ids: new Array<number>(wanted),
      numProposed: 0,
      shares: null,
    }),
  );
  const tasks: Task[] = [];
  for (let start = 0; start < proposals.length; start += policy.draftBatch) {
    const microBatch = proposals.slice(start, start + policy.draftBatch);
    if (policy.draftCache !== 'resident') restart(policy, microBatch);
    const numSteps = microBatch.reduce((most, { wanted }) => Math.max(most, wanted), 0);
    for (let step = 0; step < numSteps; ) {
      const end = isCoarse && step > 0 ? numSteps : step + 1;
      tasks.push(draftSteps(request, microBatch, step, end, tasks.at(-1)?.id));
      step = end;
    }
  }
  return tasks;
}

/** The steps of a micro-batch from `first` to before `end`; an engine that computes takes them one by one. */
function draftSteps(
  { placement, sizes, routes, ids, pass, batch, isAhead, sampling }: DraftRoundRequest,
  microBatch: readonly StepwiseProposal[],
  first: number,
  end: number,
  previous: number | undefined,
): Task {
  const numSteps = end - first;
  const active = first === 0 ? microBatch : microBatch.filter(({ wanted }) => wanted > first);
  const works = sizes.kinds.map(({ window }) => {
    const work: AttentionWork = { rows: 0, cacheTokens: 0, scores: 0 };
    for (let step = first; step < end; step += 1) planAttention(work, window, active, step);
    return work;
  });
  const { rows } = works[0];
  const createOp: Task['createOp'] = () => {
    const fed = active.map((proposal) => feedFor(proposal, first));
    const blocks = active.map(({ sequence }) => sequence.draftBlock);
    return {
      kind: 'draft',
      ids: Int32Array.from(active.flatMap((proposal) => tokensFor(proposal, first))),
      sequences: cacheFieldsByLayer(placement.checkpoint.spec, fed, blocks),
      rowIndices: lastRows(fed),
      draws: sampling ? drawRows(sampling, active.map(textOf), noiseOf(sampling)) : undefined,
    };
  };
  const task = openTask(
    {
      id: ids.next(),
      lane: routes.drafting.lane,
      kind: 'draft',
      name: `draft batch ${batch} step ${first}`,
      phase: 'decode',
      pass,
      batch,
      priority: draftPriority,
      rows,
    },
    previous === undefined ? [] : [previous],
    createOp,
  );
  task.isDivisible = true;
  computesDraft(task, sizes, rows, numSteps);
  for (const [kind, work] of works.entries())
    scoresDraft(task, sizes.kinds[kind], work.cacheTokens, work.scores);
  task.imagine = (oracle) => ({ ids: imagineProposals(oracle, active, first, end) });
  task.onEnd = (result) => keepProposals(result as DraftResult, active, first, end, isAhead);
  return task;
}

/** Layers whose keys are equally wide share theirs. */
function cacheFieldsByLayer(
  { layers }: ModelSpec,
  fed: readonly Feed[],
  blocks: readonly CacheBlock[],
): Float64Array[] {
  const byWidth = new Map<number, Float64Array>();
  return layers.map(({ attention }) => {
    const width = keyWidth(attention);
    const fields = byWidth.get(width) ?? cacheFields(attention, fed, blocks);
    byWidth.set(width, fields);
    return fields;
  });
}

/** Hands the proposals of some steps to their sequences. Mutates both. */
function keepProposals(
  { ids: proposed, shares }: DraftResult,
  active: readonly StepwiseProposal[],
  first: number,
  end: number,
  isAhead: boolean,
): void {
  let next = 0;
  for (const proposal of active) {
    const { sequence, wanted, ids, assumed } = proposal;
    for (let step = first; step < end && step < wanted; step += 1) {
      ids[proposal.numProposed] = proposed[next];
      if (shares && shares.length > 0) {
        proposal.shares ??= [];
        proposal.shares.push(shares[next]);
      }
      proposal.numProposed += 1;
      next += 1;
    }
    // Behind the first step the draft's cache holds everything up to the token it was given.
    sequence.draftCached = sequence.length + assumed.length + proposal.numProposed - 1;
    if (proposal.numProposed !== wanted) continue;
    keepProposal(sequence, ids, isAhead, proposal.shares);
  }
}

/**
 * The first step feeds what the cache does not hold yet, every later one the token just proposed. Behind a window
 * positions count from its first token: how far apart two tokens are is all that rotations tell.
 */
function feedFor({ sequence, assumed }: Proposal, step: number): Feed {
  const { draftCached, draftBlock } = sequence;
  const count = step > 0 ? 1 : sequence.length + assumed.length - draftCached;
  return { sequence, cached: draftCached - draftBlock.firstToken, count };
}

/** The rejection rule wants candidates that know nothing of the target's own draws. */
function noiseOf({ rule }: Sampling): NoiseUse {
  return rule === 'rejection' ? 'draft' : 'gumbel';
}

/** What a proposal's next token is drawn behind. */
function textOf({ sequence, assumed, ids, numProposed }: StepwiseProposal): DrawnText {
  return {
    ...{ noise: sequence.noise, numTokens: sequence.length + assumed.length + numProposed, numRows: 1 },
    tokens: () => [...sequence.tokensFrom(0), ...assumed, ...ids.slice(0, numProposed)],
  };
}

function tokensFor({ sequence, assumed, ids }: StepwiseProposal, step: number): readonly number[] {
  if (step > 0) return [ids[step - 1]];
  const cached = sequence.draftCached;
  const known = sequence.length;
  return [...sequence.tokensFrom(Math.min(cached, known)), ...assumed.slice(Math.max(0, cached - known))];
}

/**
 * Adds what a step will ask of attention, which only lengths decide: the first feeds what is missing, others one token.
 * Mutates `work`.
 */
function planAttention(
  work: AttentionWork,
  window: number,
  active: readonly StepwiseProposal[],
  step: number,
): void {
  for (const { sequence, assumed, wanted } of active) {
    if (wanted <= step) continue;
    const known = sequence.length + assumed.length;
    if (step === 0) addAttention(work, window, sequence.draftCached, known - sequence.draftCached);
    else addAttention(work, window, known + step - 1, 1);
  }
}

/** Micro-batches take turns in the draft's cache, each starting from nothing. */
function restart(
  { draftCache, draftWindow, candidates }: DraftRoundRequest['policy'],
  microBatch: readonly StepwiseProposal[],
): void {
  const window = draftCache === 'window' ? draftWindow : Number.POSITIVE_INFINITY;
  let tokenOffset = 0;
  for (const { sequence, assumed } of microBatch) {
    // What lies before the window counts as held: the draft neither reads nor computes it.
    const firstToken = Math.max(0, sequence.length + assumed.length - window);
    const whole = cacheCapacity(sequence.roomTokens);
    const capacity = Math.min(whole, window + candidates);
    sequence.draftBlock = { tokenOffset, capacity, firstToken, isOnDevice: false };
    sequence.draftCached = firstToken;
    tokenOffset += capacity;
  }
}

/** What a step of a draft costs, per step, token or score. */
export interface DraftSizes {
  /** Weights that every row is multiplied with: all but experts that it does not choose, and the embedding. */
  readonly elements: number;
  /** Of those that every step reads, in device memory. */
  readonly bytes: number;
  readonly kinds: readonly DraftKind[];
}

/** Layers that are alike, together. */
interface DraftKind {
  readonly window: number;
  /** Keys and values of one token. */
  readonly cacheBytes: number;
  /** Per pair of a new token and a key it sees. */
  readonly scoreFlops: number;
  /** Where rows choose among several; a step reads those that some row chooses. */
  readonly experts: { readonly costs: LayerCosts; readonly bytesOfEach: number } | null;
}

/** Fills in the products of some steps on `rows` rows in all. Mutates `work`. */
export function computesDraft(work: OpenWork, sizes: DraftSizes, rows: number, numSteps: number): void {
  work.numParts = numSteps;
  work.productRows = rows / numSteps;
  work.bytes = numSteps * sizes.bytes;
  for (const { experts } of sizes.kinds)
    if (experts)
      work.bytes += numSteps * experts.bytesOfEach * chosenExperts(experts.costs, work.productRows);
  work.flops = 2 * rows * sizes.elements;
}

/** Adds attention in the layers of a kind. Mutates `work`. */
export function scoresDraft(work: OpenWork, kind: DraftKind, cacheTokens: number, scores: number): void {
  work.cacheBytes += cacheTokens * kind.cacheBytes;
  work.scoreFlops += scores * kind.scoreFlops;
}

export function draftSizes(placement: ModelPlacement): DraftSizes {
  const { checkpoint, layouts } = placement;
  const { kinds } = modelCosts(placement);
  let bytes = 0;
  let elements = multipliedElements(checkpoint);
  for (const { group, deviceBytes } of layouts.values()) if (group.kind !== 'embedding') bytes += deviceBytes;
  for (const { costs, numLayers } of kinds) {
    if (costs.numExperts === 1) continue;
    bytes -= costs.numExperts * bytesOfExpert(costs, numLayers);
    elements -= (costs.numExperts - costs.expertsPerToken) * costs.expertElements * numLayers;
  }
  return {
    ...{ bytes, elements },
    kinds: kinds.map(({ costs, numLayers }) => ({
      window: costs.window,
      cacheBytes: costs.cacheBytesPerToken * numLayers,
      scoreFlops: scoreFlops(costs.attention, numLayers),
      experts: costs.numExperts > 1 ? { costs, bytesOfEach: bytesOfExpert(costs, numLayers) } : null,
    })),
  };
}

/** In device memory, in all layers of a kind. */
function bytesOfExpert({ expertElements, weightBytes }: LayerCosts, numLayers: number): number {
  return expertElements * weightBytes * numLayers;
}

/** Weights that a token is multiplied with: all but an embedding that is only looked up. */
export function multipliedElements({ parameters, spec }: Checkpoint): number {
  return parameters - (spec.embedding.tied ? 0 : spec.vocabSize * spec.hiddenSize);
}
