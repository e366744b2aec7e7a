/**
 * One round of proposing: the draft extends every sequence of a batch token by token, one task per step and
 * micro-batch, so that the target's work on the device never waits for more than one step.
 */

import type { Checkpoint } from '../model/types.js';
import type { Oracle } from '../speculate/acceptance.js';
import type { Sequence } from '../speculate/sequence.js';
import { type AttentionWork, addAttention, assignBlocks, cacheFields, type Feed, lastRows } from './feeds.js';
import type { GroupLayout } from './group-layout.js';
import { modelCosts, scoreFlops } from './layer-costs.js';
import type { ModelPlacement } from './memory-plan.js';
import type { DraftResult } from './ops.js';
import type { OpenPolicy } from './policy.js';
import { openTask, type Task } from './task.js';
import type { TaskIds } from './work.js';

/** After all target work: the draft uses the device's idle time. Target priorities are pass numbers. */
const draftPriority = 1e9;

/** One sequence in the round. */
interface Proposal {
  readonly sequence: Sequence;
  readonly wanted: number;
  /** Candidates under verification that the round takes for accepted: it goes on behind them. */
  readonly assumed: readonly number[];
  /** What has been proposed so far: the first `numProposed` of `wanted`. */
  readonly ids: number[];
  numProposed: number;
}

const nothing: readonly number[] = [];

export interface DraftRoundRequest {
  readonly draft: ModelPlacement;
  readonly policy: Pick<OpenPolicy, 'candidates' | 'draftBatch' | 'draftCache' | 'draftWindow'>;
  readonly ids: TaskIds;
  /** The pass that will verify. */
  readonly pass: number;
  readonly batch: number;
  /** Unfinished ones. */
  readonly sequences: readonly Sequence[];
  /** Propose behind the candidates that are being verified, the token that the target adds included. */
  readonly isAhead?: boolean;
  /** One task for all steps behind the first: enough for a machine that lets urgent work in between anyway. */
  readonly isCoarse?: boolean;
}

/**
 * Tasks that fill `candidates` (ahead: `nextCandidates`) of the sequences. A sequence never gets more candidates than
 * it could still use: the target adds a token of its own to those it accepts.
 *
 * Mutates the sequences when the tasks end: `candidates` or `nextCandidates`, `draftCached`, and with a recomputed
 * cache `draftBlock`.
 */
export function buildDraftRound(request: DraftRoundRequest): Task[] {
  const { policy, draft, sequences, isAhead = false, isCoarse = false } = request;
  const proposals: Proposal[] = [];
  for (const sequence of sequences) {
    const proposal = begin(sequence, policy.candidates, isAhead);
    if (proposal.wanted > 0) proposals.push(proposal);
  }
  const sizes = draftSizes(draft);
  const tasks: Task[] = [];
  for (let start = 0; start < proposals.length; start += policy.draftBatch) {
    const microBatch = proposals.slice(start, start + policy.draftBatch);
    if (policy.draftCache !== 'resident') restart(policy, microBatch);
    const numSteps = microBatch.reduce((most, { wanted }) => Math.max(most, wanted), 0);
    for (let step = 0; step < numSteps; ) {
      const end = isCoarse && step > 0 ? numSteps : step + 1;
      tasks.push(draftSteps(request, sizes, microBatch, step, end, tasks.at(-1)?.id));
      step = end;
    }
  }
  return tasks;
}

/** Forgets what was proposed for a sequence before, and says how much it wants now. Mutates it. */
function begin(sequence: Sequence, candidates: number, isAhead: boolean): Proposal {
  const assumed = isAhead ? sequence.candidates : nothing;
  if (isAhead) sequence.nextCandidates = nothing;
  else sequence.candidates = nothing;
  // Ahead, the first proposal stands for the target's own token.
  const extra = isAhead ? 1 : 0;
  const left = sequence.remaining - 1 - assumed.length;
  const wanted = left > extra ? Math.min(candidates + extra, left) : 0;
  return { sequence, assumed, wanted, ids: new Array<number>(wanted), numProposed: 0 };
}

/** The steps of a micro-batch from `first` to before `end`; an engine that computes takes them one by one. */
function draftSteps(
  { draft, ids, pass, batch, isAhead = false }: DraftRoundRequest,
  { elements, weightBytes, kinds }: DraftSizes,
  microBatch: readonly Proposal[],
  first: number,
  end: number,
  previous: number | undefined,
): Task {
  const { attention } = draft.checkpoint.spec.layers[0];
  const numSteps = end - first;
  const active = first === 0 ? microBatch : microBatch.filter(({ wanted }) => wanted > first);
  const works = kinds.map(({ window }) => {
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
      sequences: cacheFields(attention, fed, blocks),
      rowIndices: lastRows(fed),
    };
  };
  const task = openTask(
    {
      id: ids.next(),
      lane: 'device',
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
  task.numParts = numSteps;
  task.productRows = rows / numSteps;
  task.bytes = numSteps * elements * weightBytes;
  task.flops = 2 * rows * elements;
  for (const [kind, work] of works.entries()) {
    task.cacheBytes += work.cacheTokens * kinds[kind].cacheBytes;
    task.scoreFlops += work.scores * kinds[kind].scoreFlops;
  }
  task.imagine = (oracle) => ({ ids: imagineProposals(oracle, active, first, end) });
  task.onEnd = (result) => keepProposals((result as DraftResult).ids, active, first, end, isAhead);
  return task;
}

/** What the target chooses (0) or something else (1): sequence by sequence, step by step. */
function imagineProposals(
  oracle: Oracle,
  active: readonly Proposal[],
  first: number,
  end: number,
): readonly number[] {
  const proposed: number[] = [];
  for (const { sequence, assumed, wanted } of active) {
    const position = sequence.choices.length + assumed.length;
    for (let step = first; step < end && step < wanted; step += 1)
      proposed.push(oracle.accepts(sequence.index, position, step) ? 0 : 1);
  }
  return proposed;
}

/** Hands the proposals of some steps to their sequences. Mutates both. */
function keepProposals(
  proposed: ArrayLike<number>,
  active: readonly Proposal[],
  first: number,
  end: number,
  isAhead: boolean,
): void {
  let next = 0;
  for (const proposal of active) {
    const { sequence, wanted, ids, assumed } = proposal;
    for (let step = first; step < end && step < wanted; step += 1) {
      ids[proposal.numProposed] = proposed[next];
      proposal.numProposed += 1;
      next += 1;
    }
    // Behind the first step the draft's cache holds everything up to the token it was given.
    sequence.draftCached = sequence.length + assumed.length + proposal.numProposed - 1;
    if (proposal.numProposed !== wanted) continue;
    if (isAhead) sequence.nextCandidates = ids;
    else sequence.candidates = ids;
  }
}

/** The first step feeds what the cache does not hold yet, every later one the token just proposed. */
function feedFor({ sequence, assumed }: Proposal, step: number): Feed {
  const cached = sequence.draftCached;
  return { sequence, cached, count: step > 0 ? 1 : sequence.length + assumed.length - cached };
}

function tokensFor({ sequence, assumed, ids }: Proposal, step: number): readonly number[] {
  if (step > 0) return [ids[step - 1]];
  const cached = sequence.draftCached;
  const known = sequence.length;
  return [...sequence.tokensFrom(Math.min(cached, known)), ...assumed.slice(Math.max(0, cached - known))];
}

/**
 * Adds what a step will ask of attention, which only lengths decide: the first feeds what is missing, others one token.
 * Mutates `work`.
 */
function planAttention(work: AttentionWork, window: number, active: readonly Proposal[], step: number): void {
  for (const { sequence, assumed, wanted } of active) {
    if (wanted <= step) continue;
    const known = sequence.length + assumed.length;
    if (step === 0) addAttention(work, window, sequence.draftCached, known - sequence.draftCached);
    else addAttention(work, window, known + step - 1, 1);
  }
}

/** Micro-batches take turns in the draft's cache, each starting from nothing. */
function restart(
  { draftCache, draftWindow }: DraftRoundRequest['policy'],
  microBatch: readonly Proposal[],
): void {
  const sequences = microBatch.map(({ sequence }) => sequence);
  assignBlocks(sequences, 'draftBlock');
  // What lies before the window counts as held: the draft neither reads nor computes it.
  for (const { sequence, assumed } of microBatch) {
    const length = sequence.length + assumed.length;
    sequence.draftCached = draftCache === 'window' ? Math.max(0, length - draftWindow) : 0;
  }
}

/** What a step of a draft costs, per step, token or score. */
export interface DraftSizes {
  /** Weights that a step multiplies with: all but the embedding, of which it looks up rows. */
  readonly elements: number;
  readonly weightBytes: number;
  /** Layers that are alike, together. */
  readonly kinds: readonly {
    readonly window: number;
    /** Keys and values of one token. */
    readonly cacheBytes: number;
    /** Per pair of a new token and a key it sees. */
    readonly scoreFlops: number;
  }[];
}

export function draftSizes(placement: ModelPlacement): DraftSizes {
  const { checkpoint, layouts } = placement;
  return {
    elements: multipliedElements(checkpoint),
    weightBytes: headWeightBytes(layouts),
    kinds: modelCosts(placement).kinds.map(({ costs, numLayers }) => ({
      window: costs.window,
      cacheBytes: costs.cacheBytesPerToken * numLayers,
      scoreFlops: scoreFlops(costs.attention, numLayers),
    })),
  };
}

/** Weights that a token is multiplied with: all but an embedding that is only looked up. */
export function multipliedElements({ parameters, spec }: Checkpoint): number {
  return parameters - (spec.embedding.tied ? 0 : spec.vocabSize * spec.hiddenSize);
}

/** Device bytes of one weight, as the head has them. */
export function headWeightBytes(layouts: ModelPlacement['layouts']): number {
  const { deviceBytes, group } = layouts.get('head') as GroupLayout;
  return deviceBytes / group.tensors.reduce((sum, { ref }) => sum + ref.numElements, 0);
}
