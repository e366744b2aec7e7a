/** What proposing for a batch takes, all its draft batches together. */

import { crossbarMemory } from '../machine/crossbars.js';
import type { Placed } from '../run/prepare.js';
import {
  computesDraft,
  type DraftSizes,
  draftSizes,
  laneOfDraft,
  multipliesInCrossbars,
  scoresDraft,
} from '../schedule/draft-sizes.js';
import { countScores } from '../schedule/feeds.js';
import { extendsAlternates } from '../schedule/outcomes.js';
import type { LifetimeRound } from './lifetimes.js';
import type { TaskSeconds } from './task-seconds.js';

export interface DraftSituation {
  readonly round: LifetimeRound;
  /** Sequences that the batch began with. */
  readonly sequences: number;
  readonly promptTokens: number;
  /** The draft's cache holds nothing yet. */
  readonly isFirst: boolean;
  /** Behind candidates that are being verified, one more for the target's own token. */
  readonly isAhead: boolean;
}

export interface DraftSeconds {
  readonly seconds: number;
  readonly longestStep: number;
}

export function draftSeconds(tasks: TaskSeconds, placed: Placed, situation: DraftSituation): DraftSeconds {
  const { policy, plan } = placed;
  const { round, sequences, isAhead } = situation;
  if (!plan.draft) return roundSeconds(tasks, placed, situation);
  if (round.wanting.length === 0) return { seconds: 0, longestStep: 0 };
  const sizes = draftSizes(plan.draft);
  const memory = policy.crossbars === 'draft' ? crossbarMemory : tasks.drafting.memory;
  const steps = isAhead ? [round.wanting[0], ...round.wanting] : round.wanting;
  const numChunks = Math.max(1, Math.ceil((steps[0] * sequences) / policy.draftBatch - 1e-9));
  let seconds = 0;
  let longestStep = 0;
  for (const [step, share] of steps.entries()) {
    const n = (share * sequences) / numChunks;
    if (n <= 0) continue;
    const time = stepSeconds(tasks, placed, sizes, n, fedIn(step, placed, situation));
    longestStep = Math.max(longestStep, time);
    seconds += time + tasks.latencyOf('draft', memory);
  }
  if (!isAhead && extendsAlternates(policy)) {
    const n = (round.wanting[0] * sequences * policy.alternates) / numChunks;
    const fed = { ...fedIn(1, placed, situation), count: 1 };
    const time = n > 0 ? stepSeconds(tasks, placed, sizes, n, fed) : 0;
    longestStep = Math.max(longestStep, time);
    seconds += (policy.alternateTokens - 1) * (time + tasks.latencyOf('draft', memory));
  }
  return { seconds: numChunks * seconds, longestStep };
}

/** Of a drafter without a model: one task for all. */
function roundSeconds(
  tasks: TaskSeconds,
  { drafter, plan, policy }: Placed,
  { round, sequences, promptTokens }: DraftSituation,
): DraftSeconds {
  const n = (round.wanting[0] ?? 0) * sequences;
  if (!drafter?.roundWork || n <= 0) return { seconds: 0, longestStep: 0 };
  const { bytes, flops } = drafter.roundWork(n * (promptTokens + round.tokens));
  const seconds = tasks.of(drafter.laneIn(plan.routes, policy), 'draft', n, (work) => {
    work.bytes = bytes;
    work.flops = flops;
  });
  return { seconds, longestStep: seconds };
}

/** Tokens that a step feeds for one sequence, behind those that the draft's cache holds. */
interface Fed {
  readonly cached: number;
  readonly count: number;
}

function fedIn(
  step: number,
  { policy }: Placed,
  { round, promptTokens, isFirst, isAhead }: DraftSituation,
): Fed {
  const known = promptTokens + round.tokens;
  if (step > 0) return { cached: known + step - 1, count: 1 };
  const { draftCache, draftWindow } = policy;
  // A kept cache lacks the target's own token, and the last candidate where all were accepted.
  let count = isAhead ? 1 : 1.3;
  if (draftCache === 'window') count = Math.min(known, draftWindow);
  else if (draftCache === 'recompute' || isFirst) count = known;
  return { cached: known - count, count };
}

/** One step for `n` sequences. */
function stepSeconds(
  tasks: TaskSeconds,
  { plan, policy }: Placed,
  sizes: DraftSizes,
  n: number,
  { cached, count }: Fed,
): number {
  const rows = n * count;
  return tasks.of(laneOfDraft(plan.routes, policy), 'draft', rows, (work) => {
    computesDraft(work, sizes, rows, 1);
    if (plan.draft && policy.crossbars === 'draft') multipliesInCrossbars(work, plan.draft);
    for (const kind of sizes.kinds) {
      const { window } = kind;
      const cacheTokens = n * Math.min(cached + count, window);
      scoresDraft(work, kind, cacheTokens, n * countScores(cached, count, window));
    }
  });
}
