/** Steps of a draft model: what each feeds of some texts, and what becomes of the tokens that it answers with. */

import { sharedFields } from '@specoffload/native';
import { keyWidth, type ModelSpec } from '../model/spec.js';
import { noAlternates } from '../speculate/alternates.js';
import type { TokenShares } from '../speculate/draw-token.js';
import type { Leaders } from '../speculate/leaders.js';
import type { NoiseUse } from '../speculate/noise.js';
import { type DrawnText, drawRows } from '../speculate/row-draws.js';
import type { Sampling } from '../speculate/sampling.js';
import type { CacheBlock } from '../speculate/sequence.js';
import {
  computesDraft,
  type DraftSizes,
  laneOfDraft,
  multipliesInCrossbars,
  scoresDraft,
} from './draft-sizes.js';
import type { DraftRun } from './drafter.js';
import { type AttentionWork, addAttention, blockFields, cacheFields, type Feed, lastRows } from './feeds.js';
import type { ModelPlacement } from './memory-plan.js';
import type { DraftOp, DraftResult } from './ops.js';
import {
  draftPriority,
  imagineLeaders,
  imagineProposals,
  type Proposal,
  type Proposed,
} from './proposals.js';
import { openTask, type Task } from './task.js';

/** A text that the draft goes on with. */
export interface StepwiseProposal extends Proposal, Proposed {
  /** What has been proposed so far: the first `numProposed` of `wanted`. */
  readonly ids: number[];
  numProposed: number;
  /** What they were drawn from, where somebody has to know. */
  shares: TokenShares[] | null;
  /** What was favoured in their places, where somebody asked. */
  leaders: Leaders[] | null;
  /** Room for the last assumed token and what follows it; null where that is the sequence's own. */
  readonly room: CacheBlock | null;
}

/** What is the same in every round of a run. */
export interface DraftModelRun extends Omit<DraftRun, 'placement'> {
  readonly placement: ModelPlacement;
  readonly sizes: DraftSizes;
}

/** What some steps belong to, and what is done with their tokens. */
export interface DraftSteps extends DraftModelRun {
  readonly pass: number;
  readonly batch: number;
  readonly name: string;
  /** How many of a row's favoured tokens are wanted. */
  readonly numLeaders: number;
  /** Asked before each: whether nobody needs it any more. */
  readonly isOver?: (() => boolean) | undefined;
  /** Told of a proposal that has got so many tokens as it wants. */
  readonly onWhole: (proposal: StepwiseProposal) => void;
}

/** The steps of a micro-batch from `first` to before `end`; an engine that computes takes them one by one. */
export function draftSteps(
  steps: DraftSteps,
  microBatch: readonly StepwiseProposal[],
  first: number,
  end: number,
  previous: number | undefined,
): Task {
  const { placement, sizes, policy, routes, ids, pass, batch, sampling, numLeaders } = steps;
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
    return {
      kind: 'draft',
      ids: Int32Array.from(active.flatMap((proposal) => tokensFor(proposal, first))),
      ...fieldsByLayer(placement.checkpoint.spec, fed, active),
      rowIndices: lastRows(fed),
      draws: sampling ? drawRows(sampling, active.map(textOf), noiseOf(sampling)) : undefined,
      numLeaders,
      flops: task.flops,
    };
  };
  const task = openTask(
    {
      id: ids.next(),
      lane: laneOfDraft(routes, policy),
      kind: 'draft',
      name: `${steps.name} batch ${batch} step ${first}`,
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
  if (policy.crossbars === 'draft') multipliesInCrossbars(task, placement);
  for (const [kind, work] of works.entries())
    scoresDraft(task, sizes.kinds[kind], work.cacheTokens, work.scores);
  task.imagine = (oracle) => {
    const ids = imagineProposals(oracle, active, first, end);
    if (policy.alternates === 0 || numLeaders === 0) return { ids };
    return { ids, leaders: imagineLeaders(oracle, active, ids, first, end, policy.alternates) };
  };
  task.isIdle = steps.isOver;
  task.onEnd = (result) => {
    if (result) keepProposals(result as DraftResult, active, first, end, steps.onWhole);
  };
  return task;
}

/** Where the layers find keys and values; those whose keys are equally wide share theirs. */
function fieldsByLayer(
  { layers }: ModelSpec,
  fed: readonly Feed[],
  active: readonly StepwiseProposal[],
): Pick<DraftOp, 'sequences' | 'shared'> {
  const blocks = active.map(({ sequence, room }) => room ?? sequence.draftBlock);
  const branches = active.some(({ room }) => room !== null);
  const byWidth = new Map<number, { sequences: Float64Array; shared: Float64Array }>();
  const fields = layers.map(({ attention }) => {
    const width = keyWidth(attention);
    const found = byWidth.get(width) ?? {
      sequences: cacheFields(attention, fed, blocks).sequences,
      shared: branches ? Float64Array.from(active.flatMap((proposal) => sharedBy(proposal, width))) : none,
    };
    byWidth.set(width, found);
    return found;
  });
  return {
    sequences: fields.map(({ sequences }) => sequences),
    shared: branches ? fields.map(({ shared }) => shared) : undefined,
  };
}

const none = new Float64Array();

/** The native attention's description of what a branch finds in its sequence's room: all before its own first token. */
function sharedBy({ sequence, assumed, room }: StepwiseProposal, width: number): number[] {
  const { firstToken } = sequence.draftBlock;
  const count = room === null ? 0 : sequence.length + assumed.length - 1 - firstToken;
  const fields = [...blockFields(sequence.draftBlock, width), count];
  if (fields.length !== sharedFields) throw new Error('a block is described by other fields');
  return fields;
}

/** Hands the proposals of some steps to their sequences. Mutates both. */
function keepProposals(
  { ids: proposed, shares, leaders }: DraftResult,
  active: readonly StepwiseProposal[],
  first: number,
  end: number,
  onWhole: DraftSteps['onWhole'],
): void {
  let next = 0;
  for (const proposal of active) {
    const { sequence, wanted, ids, assumed, room } = proposal;
    for (let step = first; step < end && step < wanted; step += 1) {
      ids[proposal.numProposed] = proposed[next];
      if (shares && shares.length > 0) {
        proposal.shares ??= [];
        proposal.shares.push(shares[next]);
      }
      if (leaders) {
        proposal.leaders ??= [];
        proposal.leaders.push(leaders[next]);
      }
      proposal.numProposed += 1;
      next += 1;
    }
    // Behind the first step the draft's cache holds everything up to the token it was given.
    if (room === null) sequence.draftCached = sequence.length + assumed.length + proposal.numProposed - 1;
    if (proposal.numProposed === wanted) onWhole(proposal);
  }
}

/**
 * The first step feeds what the cache does not hold yet, every later one the token just proposed. Behind a window
 * positions count from its first token: how far apart two tokens are is all that rotations tell.
 */
function feedFor({ sequence, assumed, room }: StepwiseProposal, step: number): Feed {
  const { draftCached, draftBlock } = sequence;
  const known = sequence.length + assumed.length;
  if (room !== null)
    return { sequence, cached: known + step - 1 - draftBlock.firstToken, count: 1, alternates: noAlternates };
  const count = step > 0 ? 1 : known - draftCached;
  return { sequence, cached: draftCached - draftBlock.firstToken, count, alternates: noAlternates };
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

function tokensFor({ sequence, assumed, ids, room }: StepwiseProposal, step: number): readonly number[] {
  if (step > 0) return [ids[step - 1]];
  if (room !== null) return assumed.slice(-1);
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
  for (const { sequence, assumed, wanted, room } of active) {
    if (wanted <= step) continue;
    const known = sequence.length + assumed.length;
    if (step === 0 && room === null)
      addAttention(work, window, sequence.draftCached, known - sequence.draftCached);
    else addAttention(work, window, known + step - 1, 1);
  }
}
