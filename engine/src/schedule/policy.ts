/** The policy: every choice a planner may make, as one readonly object, parsed at the door. */

import { assertPlain, isRecord, quote, UserError } from '@specoffload/input';
import { mostCandidates } from '../speculate/acceptance.js';

/** Fields whose value is one of a few words. The first line of each says what the words mean. */
const choices = {
  /**
   * Who proposes, and when: nobody; the draft before each pass; the draft for one batch while the other is verified;
   * the draft, as if all its candidates were accepted, while the target verifies them.
   */
  speculation: ['none', 'serial', 'interleaved', 'ahead'],
  prefillOrder: ['batch-major', 'layer-major'],
  draftCache: ['recompute', 'resident', 'window'],
  cache: ['host', 'device'],
  attention: ['host', 'device', 'split'],
  prefillAttention: ['host', 'device'],
  projections: ['host', 'device'],
  streaming: ['ahead', 'on-demand'],
  attentionWeights: ['streamed', 'resident'],
  experts: ['all', 'routed'],
  draftPlacement: ['start', 'after-prefill'],
  ending: ['own-limit', 'slowest'],
  refill: ['no', 'yes'],
} as const;

const wholeNumberLimits = {
  decodeBatch: [1, 4096],
  batches: [1, 64],
  microBatch: [1, 4096],
  prefillBatch: [1, 4096],
  draftBatch: [1, 4096],
  candidates: [1, mostCandidates],
  draftWindow: [1, 1_048_576],
  hostExpertRows: [0, 1_048_576],
  pinnedLayers: [0, 4096],
  keptLayers: [0, 4096],
  prefetchDepth: [0, 64],
} as const;

const shares = ['hostShare', 'pageLocked'] as const;

type Choice<Field extends keyof typeof choices> = (typeof choices)[Field][number];

export interface Policy {
  /** Who proposes, and when: see the words above. */
  readonly speculation: Choice<'speculation'>;
  /** Sequences per batch. @default all prompts over the batches in flight */
  readonly decodeBatch: number;
  /** Batches in flight, as many as the strategy's order can take. @default 2 for specoffload, else 1 */
  readonly batches: number;
  /** Sequences that compute together in decode; a layer's weights serve all of a batch's before they are freed. @default decodeBatch */
  readonly microBatch: number;
  /** Sequences per prefill micro-batch. @default decodeBatch */
  readonly prefillBatch: number;
  /** Stream all weights once per micro-batch, or each layer once for all micro-batches. @default layer-major */
  readonly prefillOrder: Choice<'prefillOrder'>;
  /** Sequences per draft step. @default decodeBatch */
  readonly draftBatch: number;
  /** Tokens proposed per sequence and round, 1 to 64. @default 4 */
  readonly candidates: number;
  /** Keep the draft's KV cache between rounds, or prefill its whole context, or only a window of it, again every round. @default resident */
  readonly draftCache: Choice<'draftCache'>;
  /** Latest tokens that a draft with `draftCache: window` sees. @default 64 */
  readonly draftWindow: number;
  /** Memory that holds the target's KV cache. @default host */
  readonly cache: Choice<'cache'>;
  /** Lane of the target's attention in decode; `split`: the first micro-batch on the device, the others on the host. @default host */
  readonly attention: Choice<'attention'>;
  /** Lane of the target's attention in prefill. @default as attention */
  readonly prefillAttention: Choice<'prefillAttention'>;
  /** Lane of the attention's projections (q, k, v, output) and the router in decode. @default device */
  readonly projections: Choice<'projections'>;
  /** Weights come as far ahead as there are buffers, or each group only when its turn has come, into the only buffer. @default ahead */
  readonly streaming: Choice<'streaming'>;
  /** Attention weights of all layers cross the link in every pass, or stay in device memory. @default streamed */
  readonly attentionWeights: Choice<'attentionWeights'>;
  /** Bring all experts of a layer, or, after its router has chosen, only those that some row chose. @default all */
  readonly experts: Choice<'experts'>;
  /** Experts that at most this many rows chose are computed on the host, with `experts: routed`. @default 0 */
  readonly hostExpertRows: number;
  /** Share of every FFN's rows that the host computes instead of sending them, 0 to 1. @default 0 */
  readonly hostShare: number;
  /**
   * Share of the weights in page-locked host memory, which crosses the link faster, 0 to 1. The layers behind it are
   * pageable; a virtual machine with a page cache reads them through it where they do not all fit. @default 1
   */
  readonly pageLocked: number;
  /** Target layers, at even distances, whose weights stay in device memory. @default as many as fit */
  readonly pinnedLayers: number;
  /** Further target layers whose stored weights stay in host memory. @default as many as fit */
  readonly keptLayers: number;
  /**
   * Weight groups of each kind that may wait in memory ahead of the computation, per tier; 0: a group's successor
   * starts when it has been used. @default up to 8, in a third of each budget
   */
  readonly prefetchDepth: number;
  /** When the draft takes its place in device memory: before the run, or once all prompts are through. @default start */
  readonly draftPlacement: Choice<'draftPlacement'>;
  /** A sequence ends at its own limit, or goes on until the slowest of its batch is there. @default own-limit */
  readonly ending: Choice<'ending'>;
  /** A finished sequence's place goes to the next prompt at once, or a wave ends before the next begins. @default no */
  readonly refill: Choice<'refill'>;
}

/** What the local machine can do of the fields that go beyond it; the virtual machine does everything. */
export const localPolicyFields = {
  draftCache: ['resident', 'recompute'],
  attention: ['host', 'device'],
  projections: ['device'],
  hostShare: [0],
  draftPlacement: ['start'],
  refill: ['no'],
} as const;

/** What a caller may leave out. */
export type PolicyInput = Partial<Policy>;

/** Fields that may be left to what fits: null until placement has settled them. */
export interface OpenChoices {
  readonly prefetchDepth: number | null;
  readonly pinnedLayers: number | null;
  readonly keptLayers: number | null;
}

/** A policy before placement has settled how far to read ahead and how many layers stay in memory. */
export type OpenPolicy = Omit<Policy, keyof OpenChoices> & OpenChoices;

type Kind =
  | { readonly kind: 'choice'; readonly words: readonly string[] }
  | { readonly kind: 'count' | 'share'; readonly limits: readonly [number, number] };

/** Every field and what it takes, for command lines and sweeps. */
export const policyFields: Readonly<Record<keyof Policy, Kind>> = Object.fromEntries([
  ...Object.entries(choices).map(([field, words]) => [field, { kind: 'choice', words }]),
  ...Object.entries(wholeNumberLimits).map(([field, limits]) => [field, { kind: 'count', limits }]),
  ...shares.map((field) => [field, { kind: 'share', limits: [0, 1] }]),
]);

/**
 * Checks a policy that came from outside.
 * @throws UserError naming the field, its value and what was expected.
 */
export function parsePolicy(input: unknown): PolicyInput {
  if (!isRecord(input))
    throw new UserError('invalid policy: expected an object of policy fields, such as {"candidates": 4}');
  assertPlain(input, 'the policy');
  for (const [field, value] of Object.entries(input)) {
    if (!Object.hasOwn(policyFields, field))
      throw new UserError(
        `invalid policy field: ${field}; expected one of ${Object.keys(policyFields).join(', ')}`,
      );
    assertValid(field, policyFields[field as keyof Policy], value);
  }
  return input as PolicyInput;
}

function assertValid(field: string, kind: Kind, value: unknown): void {
  const shown = typeof value === 'string' ? value.slice(0, 80) : quote(value);
  if (kind.kind === 'choice') {
    if (!kind.words.includes(value as string))
      throw new UserError(`invalid ${field}: ${shown}; expected ${kind.words.join(' or ')}`);
    return;
  }
  const [least, most] = kind.limits;
  const isNumber = kind.kind === 'count' ? Number.isInteger(value) : typeof value === 'number';
  if (!(isNumber && least <= (value as number) && (value as number) <= most))
    throw new UserError(
      `invalid ${field}: ${shown}; expected a ${kind.kind === 'count' ? 'whole number' : 'number'} from ${least} to ${most}`,
    );
}
