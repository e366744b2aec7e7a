/** The policy: every choice a planner may make, as one readonly object, parsed at the door. */

import { UserError } from '../model/types.js';

export type StrategyName = 'none' | 'serial' | 'specoffload';

export const strategyNames: readonly StrategyName[] = ['none', 'serial', 'specoffload'];

export interface Policy {
  /** Who proposes, and when: nobody; the draft before each pass; the draft for one batch while the other is verified. */
  readonly speculation: 'none' | 'serial' | 'interleaved';
  /** Sequences per batch. @default all prompts over the batches in flight */
  readonly decodeBatch: number;
  /** Batches in flight, 1 or 2. @default 2 for specoffload, else 1 */
  readonly batches: number;
  /** Sequences per prefill micro-batch. @default decodeBatch */
  readonly prefillBatch: number;
  /** Stream all weights once per micro-batch, or each layer once for all micro-batches. @default layer-major */
  readonly prefillOrder: 'batch-major' | 'layer-major';
  /** Sequences per draft step. @default decodeBatch */
  readonly draftBatch: number;
  /** Tokens proposed per sequence and round, 1 to 64. @default 4 */
  readonly candidates: number;
  /** Keep the draft's KV cache between rounds, or prefill its whole context again every round. @default resident */
  readonly draftCache: 'recompute' | 'resident';
  /** Target layers, at even distances, whose weights stay in device memory. @default as many as fit */
  readonly pinnedLayers: number;
  /** Further target layers whose stored weights stay in host memory. @default as many as fit */
  readonly keptLayers: number;
  /** Weight groups of each kind that may wait in memory ahead of the computation, per tier. @default up to 8, in a third of each budget */
  readonly prefetchDepth: number;
}

/** What a caller may leave out. */
export type PolicyInput = Partial<Policy>;

const wholeNumberFields = [
  'decodeBatch',
  'batches',
  'prefillBatch',
  'draftBatch',
  'candidates',
  'pinnedLayers',
  'keptLayers',
  'prefetchDepth',
] as const;

const choices = {
  speculation: ['none', 'serial', 'interleaved'],
  prefillOrder: ['batch-major', 'layer-major'],
  draftCache: ['recompute', 'resident'],
} as const;

const limits: Readonly<Record<(typeof wholeNumberFields)[number], readonly [number, number]>> = {
  decodeBatch: [1, 4096],
  batches: [1, 2],
  prefillBatch: [1, 4096],
  draftBatch: [1, 4096],
  candidates: [1, 64],
  pinnedLayers: [0, 4096],
  keptLayers: [0, 4096],
  prefetchDepth: [1, 64],
};

/**
 * Checks a policy that came from outside.
 * @throws UserError naming the field, its value and what was expected.
 */
export function parsePolicy(input: unknown): PolicyInput {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw new UserError('invalid policy: expected an object of policy fields, such as {"candidates": 4}');
  const known: readonly string[] = [...wholeNumberFields, ...Object.keys(choices)];
  for (const [field, value] of Object.entries(input)) {
    if (!known.includes(field))
      throw new UserError(`invalid policy field: ${field}; expected one of ${known.join(', ')}`);
    if (field in choices) assertChoice(field as keyof typeof choices, value);
    else assertWholeNumber(field as (typeof wholeNumberFields)[number], value);
  }
  return input as PolicyInput;
}

function assertChoice(field: keyof typeof choices, value: unknown): void {
  const allowed: readonly unknown[] = choices[field];
  if (!allowed.includes(value))
    throw new UserError(`invalid ${field}: ${String(value)}; expected ${allowed.join(' or ')}`);
}

function assertWholeNumber(field: (typeof wholeNumberFields)[number], value: unknown): void {
  const [least, most] = limits[field];
  if (!(Number.isInteger(value) && least <= (value as number) && (value as number) <= most))
    throw new UserError(
      `invalid ${field}: ${String(value)}; expected a whole number from ${least} to ${most}`,
    );
}
