/**
 * SpecOffload's own planner as formulas, written for mathjs: what can be shown as mathematics can be computed from the
 * same text. Source: the paper's model as released (benchmarks/planner.py), with the correct sum for E.
 */

import { loadMath } from '../inputs/math.js';
import type { TaskTimes } from './task-times.js';

export interface PlannerFormula {
  /** The name that it gives a value to. */
  readonly name: string;
  /** A mathjs assignment. */
  readonly text: string;
  readonly meaning: string;
}

const formula = (text: string, meaning: string): PlannerFormula => ({
  name: text.slice(0, text.indexOf(' ')),
  text,
  meaning,
});

/** In an order in which each needs only what stands before it, and {@link PlannerInputs}. */
export const plannerFormulas: readonly PlannerFormula[] = [
  formula('E = (1 - p^(c + 1)) / (1 - p)', 'tokens that a round brings to a sequence'),
  formula(
    't_prefill = ceil(B / B_prefill) * L * t_layer',
    'prompts of one batch: all weights once for every micro-batch',
  ),
  formula('t_draft = ceil(B / B_draft) * (t_first + (c - 1) * t_step)', 'proposing for one batch'),
  formula('t_target = L * (max(t_attention, t_transfer) + t_ffn)', 'verifying one batch'),
  formula('t_round = max(t_target, t_draft)', 'both at once, as if they never met'),
  formula('throughput = B * N / (t_prefill + (N - 1) / E * t_round)', 'tokens per second'),
];

/** Letters of the formulas. */
export interface PlannerInputs {
  /** New tokens per sequence. */
  readonly N: number;
  /** Layers of the target. */
  readonly L: number;
  /** Sequences of one of the two batches, of a micro-batch of prefill, of a draft batch. */
  readonly B: number;
  readonly B_prefill: number;
  readonly B_draft: number;
  /** Candidates, and the chance that one stands; below 1. */
  readonly c: number;
  readonly p: number;
  readonly times: TaskTimes;
}

/** `evaluatePlanner(inputs).throughput`: every formula's value by its name. */
export function evaluatePlanner({ times, ...letters }: PlannerInputs): Readonly<Record<string, number>> {
  const scope: Record<string, number> = {
    ...letters,
    t_attention: times.attention,
    t_transfer: times.transfer,
    t_ffn: times.ffn,
    t_first: times.draftFirst,
    t_step: times.draftStep,
    t_layer: times.prefillLayer,
  };
  const { evaluate } = loadMath();
  for (const { text } of plannerFormulas) evaluate(text, scope);
  return Object.fromEntries(plannerFormulas.map(({ name }) => [name, scope[name]]));
}
