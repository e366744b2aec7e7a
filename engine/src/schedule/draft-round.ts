/**
 * One round of proposing: the draft extends every sequence of a batch token by token, one task per step and
 * micro-batch, so that the target's work on the device never waits for more than one step.
 */

import { type DraftModelRun, type DraftSteps, draftSteps, type StepwiseProposal } from './draft-steps.js';
import type { DraftRound } from './drafter.js';
import { cacheCapacity } from './kv-cache.js';
import { inMicroBatches } from './micro-batches.js';
import { leadersWanted } from './outcomes.js';
import { beginProposals, keepProposal } from './proposals.js';
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
  const proposals = beginProposals(request).map(
    // Field by field: predictions make millions of them, and to spread each takes longer than all else here.
    ({ sequence, assumed, wanted }): StepwiseProposal => ({
      sequence,
      assumed,
      wanted,
      ids: new Array<number>(wanted),
      numProposed: 0,
      shares: null,
      leaders: null,
      room: null,
    }),
  );
  const { isAhead } = request;
  const steps: DraftSteps = {
    ...request,
    ...{ name: 'draft', numLeaders: leadersWanted(policy) },
    onWhole: (proposal) => keepProposal(proposal.sequence, proposal, isAhead),
  };
  const tasks: Task[] = [];
  for (const microBatch of inMicroBatches(proposals, policy.draftBatch)) {
    if (policy.draftCache !== 'resident') restart(policy, microBatch);
    const numSteps = microBatch.reduce((most, { wanted }) => Math.max(most, wanted), 0);
    for (let step = 0; step < numSteps; ) {
      const end = isCoarse && step > 0 ? numSteps : step + 1;
      tasks.push(draftSteps(steps, microBatch, step, end, tasks.at(-1)?.id));
      step = end;
    }
  }
  return tasks;
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
