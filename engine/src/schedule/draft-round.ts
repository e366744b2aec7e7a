/**
 * One round of proposing: the draft extends every sequence of a batch token by token, one task per step and
 * micro-batch, so that the target's work on the device never waits for more than one step.
 */

import type { ModelConfig } from '../model/types.js';
import type { Sequence } from '../speculate/sequence.js';
import {
  type AttentionWork,
  addAttention,
  assignBlocks,
  cacheFields,
  type Feed,
  feedTokens,
  lastRows,
} from './feeds.js';
import type { GroupLayout } from './group-layout.js';
import type { DraftResult } from './ops.js';
import { cacheBytesPerToken, type ModelPlacement } from './placement.js';
import type { OpenPolicy } from './policy.js';
import { createTask, type Task, type TaskHead } from './task.js';
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
  const sizes = draftSizes(draft);
  const tasks: Task[] = [];
  for (let start = 0; start < proposals.length; start += policy.draftBatch) {
    const microBatch = proposals.slice(start, start + policy.draftBatch);
    if (policy.draftCache !== 'resident') restart(draft, policy, microBatch);
    const numSteps = microBatch.reduce((most, { wanted }) => Math.max(most, wanted), 0);
    for (let step = 0; step < numSteps; step += 1)
      tasks.push(draftStep(request, sizes, microBatch, step, tasks.at(-1)?.id));
  }
  return tasks;
}

function draftStep(
  { draft, ids, pass, batch, isAhead = false }: DraftRoundRequest,
  { elements, weightBytes, cacheBytes, scoreFlops }: DraftSizes,
  microBatch: readonly Proposal[],
  step: number,
  previous: number | undefined,
): Task {
  const { config } = draft.checkpoint;
  const active = step === 0 ? microBatch : microBatch.filter(({ wanted }) => wanted > step);
  const feeds = () => active.map((proposal) => feedFor(proposal, step));
  const { rows, cacheTokens, scores } = planAttention(config, active, step);
  const head: TaskHead = {
    id: ids.next(),
    lane: 'device',
    kind: 'draft',
    name: `draft batch ${batch} step ${step}`,
    phase: 'decode',
    ...{ pass, batch, priority: draftPriority, rows },
  };
  return createTask(head, {
    isDivisible: true,
    after: previous === undefined ? [] : [previous],
    bytes: elements * weightBytes,
    flops: 2 * rows * elements,
    cacheBytes: cacheTokens * cacheBytes,
    scoreFlops: scores * scoreFlops,
    createOp: () => {
      const fed = feeds();
      return {
        kind: 'draft',
        ids: feedTokens(fed),
        sequences: cacheFields(
          config,
          fed,
          fed.map(({ sequence }) => sequence.draftBlock),
        ),
        rowIndices: lastRows(fed),
      };
    },
    imagine: (oracle) => {
      const proposed = new Int32Array(active.length);
      for (let index = 0; index < active.length; index += 1) {
        const { sequence, assumed } = active[index];
        const position = sequence.choices.length + assumed.length;
        proposed[index] = oracle.accepts(sequence.index, position, step) ? 0 : 1;
      }
      return { ids: proposed };
    },
    onEnd: (result) => {
      const proposed = (result as DraftResult).ids;
      for (let index = 0; index < active.length; index += 1) {
        const proposal = active[index];
        const { sequence } = proposal;
        // Behind the first step the draft's cache holds everything up to the token it was given.
        sequence.draftCached = sequence.length + proposal.assumed.length + step;
        proposal.ids.push(proposed[index]);
        if (proposal.ids.length !== proposal.wanted) continue;
        if (isAhead) sequence.nextCandidates = proposal.ids;
        else sequence.candidates = proposal.ids;
      }
    },
  });
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

/** What a step will ask of attention, which only lengths decide: the first feeds what is missing, others one token. */
function planAttention(config: ModelConfig, active: readonly Proposal[], step: number): AttentionWork {
  const work: AttentionWork = { rows: 0, cacheTokens: 0, scores: 0 };
  for (const { sequence, assumed } of active) {
    const known = sequence.length + assumed.length;
    if (step === 0) addAttention(work, config, sequence.draftCached, known - sequence.draftCached);
    else addAttention(work, config, known + step - 1, 1);
  }
  return work;
}

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

interface DraftSizes {
  /** Weights that a step multiplies with: all but the embedding, of which it looks up rows. */
  readonly elements: number;
  readonly weightBytes: number;
  /** Keys and values of one token, all layers. */
  readonly cacheBytes: number;
  /** Per pair of a new token and a key it sees, all layers. */
  readonly scoreFlops: number;
}

function draftSizes({ checkpoint, layouts, formats }: ModelPlacement): DraftSizes {
  const { parameters, config } = checkpoint;
  const embedding = config.tieEmbeddings ? 0 : config.vocabSize * config.hiddenSize;
  const head = layouts.get('head') as GroupLayout;
  const headElements = head.group.tensors.reduce((sum, { ref }) => sum + ref.numElements, 0);
  return {
    elements: parameters - embedding,
    weightBytes: head.deviceBytes / headElements,
    cacheBytes: cacheBytesPerToken(config, formats),
    scoreFlops: 4 * config.numHeads * config.headDim * config.numLayers,
  };
}
