/**
 * One round of proposing: the draft extends every sequence of a batch token by token, one task per step and
 * micro-batch, so that the target's work on the device never waits for more than one step.
 */

import { noAlternates, pickAlternates } from '../speculate/alternates.js';
import type { Sequence } from '../speculate/sequence.js';
import { type DraftModelRun, type DraftSteps, draftSteps, type StepwiseProposal } from './draft-steps.js';
import type { DraftRound } from './drafter.js';
import { cacheCapacity } from './kv-cache.js';
import { inMicroBatches } from './micro-batches.js';
import { leadersWanted } from './outcomes.js';
import type { OpenPolicy } from './policy.js';
import { beginEach, keepProposal } from './proposals.js';
import type { Task } from './task.js';

export type DraftRoundRequest = DraftRound & DraftModelRun;

/**
 * Tasks that fill `candidates` (ahead: `prepared`) of the sequences.
 *
 * Mutates the sequences when the tasks end: `candidates` or `prepared`, `draftCached`, and with a recomputed
 * cache `draftBlock`.
 */
export function buildDraftRound(request: DraftRoundRequest): Task[] {
  const { policy, isCoarse } = request;
  const proposals = begin(request);
  const steps = stepsOf(request);
  const tasks: Task[] = [];
  for (const microBatch of inMicroBatches(proposals, policy.draftBatch)) {
    if (policy.draftCache !== 'resident') restart(policy, microBatch);
    addSteps(tasks, steps, microBatch, isCoarse);
  }
  return tasks;
}

/**
 * The same for one micro-batch after the other, each with tasks behind it that go on from the alternates that its
 * candidates leave. Mutates the sequences' `alternates`, too.
 * @param request `firstBranchToken`: where branches begin in a cache that is kept
 */
export function* draftInParts(
  request: DraftRoundRequest & { readonly firstBranchToken: number },
): Generator<readonly Task[]> {
  const { policy, isAhead, isCoarse } = request;
  for (const microBatch of inMicroBatches(begin(request), policy.draftBatch)) {
    const kept = policy.draftCache === 'resident';
    const firstToken = kept ? request.firstBranchToken : restart(policy, microBatch);
    const tasks: Task[] = [];
    addSteps(tasks, stepsOf(request), microBatch, isCoarse);
    yield tasks;
    if (isAhead) continue;
    const proposals: StepwiseProposal[] = [];
    for (const { sequence } of microBatch) addBranches(proposals, policy, sequence, firstToken);
    const steps: DraftSteps = {
      ...stepsOf(request),
      name: 'draft alternates',
      numLeaders: 0,
      onWhole: keepBranch,
    };
    const further: Task[] = [];
    addSteps(further, steps, proposals, isCoarse);
    yield further;
  }
}

/**
 * All that the draft proposes behind the candidates before an alternate's place and its own token, each in the next room
 * from `firstToken` on. Mutates `branches` and the sequence.
 */
function addBranches(
  branches: StepwiseProposal[],
  policy: OpenPolicy,
  sequence: Sequence,
  firstToken: number,
): void {
  const capacity = cacheCapacity(policy.alternateTokens);
  const alternates = pickAlternates(sequence, policy.alternates);
  sequence.alternates = alternates;
  for (const { place, ids } of alternates) {
    // The target adds one to those that stand.
    const wanted = Math.min(policy.alternateTokens - 1, sequence.remaining - place - 2);
    if (wanted <= 0) continue;
    const assumed = sequence.candidates.slice(0, place).concat(ids);
    const tokenOffset = firstToken + branches.length * capacity;
    const room = { tokenOffset, capacity, firstToken: 0, isOnDevice: false };
    branches.push(stepwise(sequence, assumed, wanted, room));
  }
}

function keepBranch({ sequence, assumed, ids }: StepwiseProposal): void {
  const place = assumed.length - 1;
  sequence.alternates = (sequence.alternates ?? noAlternates).map((alternate) =>
    alternate.place === place ? { place, ids: [...alternate.ids, ...ids] } : alternate,
  );
}

// Field by field: predictions make millions of them, and to spread each takes longer than all else here.
function stepwise(
  sequence: Sequence,
  assumed: readonly number[],
  wanted: number,
  room: StepwiseProposal['room'] = null,
): StepwiseProposal {
  return {
    sequence,
    assumed,
    wanted,
    ids: new Array<number>(wanted),
    numProposed: 0,
    shares: null,
    leaders: null,
    room,
  };
}

function begin(request: DraftRoundRequest): StepwiseProposal[] {
  return beginEach(request, (sequence, assumed, wanted) => stepwise(sequence, assumed, wanted));
}

function stepsOf(request: DraftRoundRequest): DraftSteps {
  const { policy, isAhead } = request;
  return {
    ...request,
    ...{ name: 'draft', numLeaders: leadersWanted(policy) },
    onWhole: (proposal) => keepProposal(proposal.sequence, proposal, isAhead),
  };
}

/** One behind the other. Mutates `tasks`. */
function addSteps(
  tasks: Task[],
  steps: DraftSteps,
  microBatch: readonly StepwiseProposal[],
  isCoarse: boolean,
): void {
  const numSteps = microBatch.reduce((most, { wanted }) => Math.max(most, wanted), 0);
  for (let step = 0; step < numSteps; ) {
    const end = isCoarse && step > 0 ? numSteps : step + 1;
    tasks.push(draftSteps(steps, microBatch, step, end, tasks.at(-1)?.id));
    step = end;
  }
}

/** Micro-batches take turns in the draft's cache, each starting from nothing. @returns the first token behind all of them */
function restart(
  { draftCache, draftWindow, candidates }: DraftRoundRequest['policy'],
  microBatch: readonly StepwiseProposal[],
): number {
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
  return tokenOffset;
}
