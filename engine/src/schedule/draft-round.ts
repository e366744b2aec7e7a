/**
 * One round of proposing: the draft extends every sequence of a batch token by token, one task per step and
 * micro-batch, so that the target's work on the device never waits for more than one step.
 */

import type { Sequence } from '../speculate/sequence.js';
import { assignBlocks, cacheFields, type Feed, feedTokens, lastRows, measureAttention } from './feeds.js';
import type { GroupLayout } from './group-layout.js';
import type { DraftResult } from './ops.js';
import { cacheBytesPerToken, type ModelPlacement } from './placement.js';
import type { OpenPolicy } from './policy.js';
import type { Task } from './task.js';
import type { TaskIds } from './work.js';

/** After all target work: the draft uses the device's idle time. Target priorities are pass numbers. */
const draftPriority = 1e9;

/** One sequence in the round. */
interface Proposal {
  readonly sequence: Sequence;
  readonly wanted: number;
  /** Candidates under verification that the round takes for accepted: it goes on behind them. */
  readonly assumed: readonly number[];
  readonly ids: number[];
}

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
}

/**
 * Tasks that fill `candidates` (ahead: `nextCandidates`) of the sequences. A sequence never gets more candidates than
 * it could still use: the target adds a token of its own to those it accepts.
 *
 * Mutates the sequences when the tasks end: `candidates` or `nextCandidates`, `draftCached`, and with a recomputed
 * cache `draftBlock`.
 */
export function buildDraftRound(request: DraftRoundRequest): Task[] {
  const { policy, draft, sequences, isAhead = false } = request;
  const proposals = sequences
    .map((sequence): Proposal => {
      const assumed = isAhead ? sequence.candidates : [];
      if (isAhead) sequence.nextCandidates = [];
      else sequence.candidates = [];
      // Ahead, the first proposal stands for the target's own token.
      const extra = isAhead ? 1 : 0;
      const left = sequence.remaining - 1 - assumed.length;
      return {
        sequence,
        assumed,
        wanted: left > extra ? Math.min(policy.candidates + extra, left) : 0,
        ids: [],
      };
    })
    .filter(({ wanted }) => wanted > 0);
  const tasks: Task[] = [];
  for (let start = 0; start < proposals.length; start += policy.draftBatch) {
    const microBatch = proposals.slice(start, start + policy.draftBatch);
    if (policy.draftCache !== 'resident') restart(draft, policy, microBatch);
    const numSteps = Math.max(...microBatch.map(({ wanted }) => wanted));
    for (let step = 0; step < numSteps; step += 1)
      tasks.push(draftStep(request, microBatch, step, tasks.at(-1)?.id));
  }
  return tasks;
}

function draftStep(
  { draft, ids, pass, batch, isAhead = false }: DraftRoundRequest,
  microBatch: readonly Proposal[],
  step: number,
  previous: number | undefined,
): Task {
  const { config } = draft.checkpoint;
  const { elements, weightBytes } = draftSizes(draft);
  const active = microBatch.filter(({ wanted }) => wanted > step);
  const feeds = () => active.map((proposal) => feedFor(proposal, step));
  // The cache grows by one token per step and sequence behind what the first step fed.
  const { rows, cacheTokens, scores } = measureAttention(
    config,
    active.map((proposal) => plannedFeed(proposal, step)),
  );
  return {
    ...{ id: ids.next(), pass, batch, rows, productRows: rows },
    lane: 'device',
    kind: 'draft',
    name: `draft batch ${batch} step ${step}`,
    phase: 'decode',
    after: previous === undefined ? [] : [previous],
    priority: draftPriority,
    bytes: elements * weightBytes,
    flops: 2 * rows * elements,
    cacheBytes: cacheTokens * cacheBytesPerToken(config, draft.formats),
    scoreFlops: 4 * scores * config.numHeads * config.headDim * config.numLayers,
    createOp: () => {
      const fed = feeds();
      return {
        kind: 'draft',
        ids: feedTokens(fed),
        sequences: cacheFields(config, fed, 'draftBlock'),
        rowIndices: lastRows(fed),
      };
    },
    imagine: (oracle) => ({
      ids: Int32Array.from(active, ({ sequence, assumed }) =>
        oracle.accepts(sequence.index, sequence.choices.length + assumed.length, step) ? 0 : 1,
      ),
    }),
    onEnd: (result) => {
      for (const [index, proposal] of active.entries()) {
        const { sequence, assumed } = proposal;
        // Behind the first step the draft's cache holds everything up to the token it was given.
        sequence.draftCached = sequence.length + assumed.length + step;
        proposal.ids.push((result as DraftResult).ids[index]);
        if (proposal.ids.length !== proposal.wanted) continue;
        if (isAhead) sequence.nextCandidates = proposal.ids;
        else sequence.candidates = proposal.ids;
      }
    },
  };
}

/** The first step feeds what the cache does not hold yet, every later one the token just proposed. */
function feedFor({ sequence, assumed, ids }: Proposal, step: number): Feed {
  const cached = sequence.draftCached;
  if (step > 0) return { sequence, cached, ids: [ids[step - 1]] };
  const known = sequence.length;
  return {
    ...{ sequence, cached },
    ids: [...sequence.tokensFrom(Math.min(cached, known)), ...assumed.slice(Math.max(0, cached - known))],
  };
}

/** The same, as known before anything has been proposed: only lengths count. */
function plannedFeed(proposal: Proposal, step: number): Feed {
  const { sequence, assumed } = proposal;
  if (step === 0) return feedFor(proposal, 0);
  return { sequence, cached: sequence.length + assumed.length + step - 1, ids: onePlannedToken };
}

const onePlannedToken: readonly number[] = [0];

/** Micro-batches take turns in the draft's cache, each starting from nothing. */
function restart(
  draft: ModelPlacement,
  { draftCache, draftWindow }: DraftRoundRequest['policy'],
  microBatch: readonly Proposal[],
): void {
  const sequences = microBatch.map(({ sequence }) => sequence);
  assignBlocks(draft.checkpoint.config, sequences, 'draftBlock');
  // What lies before the window counts as held: the draft neither reads nor computes it.
  for (const { sequence, assumed } of microBatch) {
    const length = sequence.length + assumed.length;
    sequence.draftCached = draftCache === 'window' ? Math.max(0, length - draftWindow) : 0;
  }
}

/** Weights that a step multiplies with: all but the embedding, of which it looks up rows. */
function draftSizes({ checkpoint, layouts }: ModelPlacement): { elements: number; weightBytes: number } {
  const { parameters, config } = checkpoint;
  const embedding = config.tieEmbeddings ? 0 : config.vocabSize * config.hiddenSize;
  const head = layouts.get('head') as GroupLayout;
  const headElements = head.group.tensors.reduce((sum, { ref }) => sum + ref.numElements, 0);
  return { elements: parameters - embedding, weightBytes: head.deviceBytes / headElements };
}
