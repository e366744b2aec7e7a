/**
 * One round of proposing: the draft extends every sequence of a batch token by token, one task per step and
 * micro-batch, so that the target's work on the device never waits for more than one step.
 */

import type { ModelConfig } from '../model/types.js';
import type { Sequence } from '../speculate/sequence.js';
import type { DraftResult } from './ops.js';
import { cacheCapacity, type ModelPlacement } from './placement.js';
import type { Policy } from './policy.js';
import { cacheFields, type Feed } from './target-pass.js';
import type { Task } from './task.js';
import type { TaskIds } from './work.js';

/** After all target work: the draft uses the device's idle time. Target priorities are pass numbers. */
const draftPriority = 1e9;

/** One sequence in the round. */
interface Proposal {
  readonly sequence: Sequence;
  readonly wanted: number;
  readonly ids: number[];
}

/**
 * Tasks that fill `candidates` of every unfinished sequence. A sequence never gets more candidates than it could
 * still use: the target adds a token of its own to those it accepts.
 *
 * Mutates the sequences when the tasks end: `candidates`, `draftCached`, and with a recomputed cache `draftBlock`.
 */
export function buildDraftRound(
  draft: ModelPlacement,
  policy: Pick<Policy, 'candidates' | 'draftBatch' | 'draftCache'>,
  ids: TaskIds,
  pass: number,
  batch: number,
  sequences: readonly Sequence[],
): Task[] {
  const proposals = sequences
    .map((sequence): Proposal => {
      sequence.candidates = [];
      return { sequence, wanted: Math.min(policy.candidates, sequence.remaining - 1), ids: [] };
    })
    .filter(({ wanted }) => wanted > 0);
  const tasks: Task[] = [];
  for (let start = 0; start < proposals.length; start += policy.draftBatch) {
    const microBatch = proposals.slice(start, start + policy.draftBatch);
    if (policy.draftCache === 'recompute') restart(draft, microBatch);
    const numSteps = Math.max(...microBatch.map(({ wanted }) => wanted));
    for (let step = 0; step < numSteps; step += 1)
      tasks.push(draftStep(draft, ids.next(), pass, batch, microBatch, step, tasks.at(-1)?.id));
  }
  return tasks;
}

function draftStep(
  draft: ModelPlacement,
  id: number,
  pass: number,
  batch: number,
  microBatch: readonly Proposal[],
  step: number,
  previous: number | undefined,
): Task {
  const { config, parameters } = draft.checkpoint;
  const active = microBatch.filter(({ wanted }) => wanted > step);
  const feeds = () => active.map((proposal) => feedFor(proposal, step));
  const rows = step === 0 ? feeds().reduce((sum, { ids: fed }) => sum + fed.length, 0) : active.length;
  return {
    ...{ id, pass, batch, rows },
    lane: 'device',
    kind: 'draft',
    name: `draft batch ${batch} step ${step}`,
    phase: 'decode',
    after: previous === undefined ? [] : [previous],
    priority: draftPriority,
    bytes: parameters * 4,
    flops: 2 * rows * parameters,
    createOp: () => {
      const fed = feeds();
      return {
        kind: 'draft',
        ids: Int32Array.from(fed.flatMap(({ ids: tokens }) => tokens)),
        sequences: cacheFields(config, fed, 'draftBlock'),
        rowIndices: lastRows(fed),
      };
    },
    onEnd: (result) => {
      const fed = feeds();
      for (const [index, proposal] of active.entries()) {
        const { sequence } = proposal;
        sequence.draftCached += fed[index].ids.length;
        proposal.ids.push((result as DraftResult).ids[index]);
        if (proposal.ids.length === proposal.wanted) sequence.candidates = proposal.ids;
      }
    },
  };
}

/** The first step feeds what the cache does not hold yet, every later one the token just proposed. */
function feedFor({ sequence, ids }: Proposal, step: number): Feed {
  const cached = sequence.draftCached;
  return { sequence, cached, ids: step === 0 ? sequence.tokensFrom(cached) : [ids[step - 1]] };
}

/** Micro-batches take turns in the draft's cache, each starting from nothing. */
function restart(draft: ModelPlacement, microBatch: readonly Proposal[]): void {
  const sequences = microBatch.map(({ sequence }) => sequence);
  assignBlocks(draft.checkpoint.config, sequences, 'draftBlock');
  for (const sequence of sequences) sequence.draftCached = 0;
}

/** Gives the sequences room in a cache, one behind the other from its start. */
export function assignBlocks(
  { numKvHeads, headDim }: ModelConfig,
  sequences: readonly Sequence[],
  block: 'targetBlock' | 'draftBlock',
): void {
  let elementOffset = 0;
  for (const sequence of sequences) {
    const capacity = cacheCapacity(sequence.prompt.length, sequence.maxNewTokens);
    sequence[block] = { elementOffset, capacity };
    elementOffset += 2 * numKvHeads * capacity * headDim;
  }
}

/** Index of each feed's last row in the frame. */
export function lastRows(feeds: readonly Feed[]): Int32Array {
  let row = -1;
  return Int32Array.from(feeds, ({ ids }) => {
    row += ids.length;
    return row;
  });
}
