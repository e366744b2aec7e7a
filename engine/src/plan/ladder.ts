/** From SpecOffload as published to the best policy: what each option does alone, and all do together. */

import { UserError } from '@specoffload/input';
import type { RunOutcome } from '../run/types.js';
import {
  isOpenField,
  type Policy,
  type PolicyInput,
  policyFieldNames,
  policyFields,
} from '../schedule/policy.js';
import { usesDraft } from '../schedule/strategies/index.js';
import type { PlanningJob } from './appraise.js';
import { type Plan, type PlannedPolicy, targetOf } from './plan.js';
import type { Contender } from './space.js';
import { medianOf, middleOutcome, Trials, throughputs } from './trials.js';

/**
 * SpecOffload as its released code runs it, with the batch sizes and candidates of the HumanEval script for Mixtral
 * 8x7B. Source: github.com/MobiSense/SpecOffload-public at b8b68c9.
 */
export const publishedPolicy = {
  batches: 2,
  decodeBatch: 256,
  prefillBatch: 80,
  draftBatch: 10,
  candidates: 6,
  draftCache: 'recompute',
  projections: 'host',
  prefillAttention: 'device',
  prefillOrder: 'batch-major',
  draftPlacement: 'after-prefill',
  prefetchDepth: 0,
  pageLocked: 0.5,
  pinnedLayers: 0,
  ending: 'slowest',
} as const satisfies PolicyInput;

export interface LadderStep {
  /** What is done otherwise, in words. */
  readonly option: string;
  /** The fields it sets. */
  readonly fields: PolicyInput;
  /** Seed by seed, on the first seeds of the plan; null where the option alone does not fit into memory. */
  readonly tokensPerSecondBySeed: readonly number[] | null;
}

export interface Ladder {
  /** On the seed in the middle, by tokens per second. */
  readonly published: RunOutcome;
  /** Of the published policy, on the first seeds of the plan. */
  readonly publishedBySeed: readonly number[];
  /** generatedTokens / seconds of the published policy: how the released code counts. */
  readonly publishedAsCounted: number;
  /** By the median of what they write, the most first. */
  readonly steps: readonly LadderStep[];
}

export interface LadderOptions {
  readonly published?: PolicyInput;
  readonly signal?: AbortSignal;
}

/** Of the published policy, which all is compared with. */
const numSeeds = 5;
/** Of each option alone: two runs that differ in one option mostly meet the same rounds. */
const numStepSeeds = 3;

/** Fields by what they are an option of. */
const options = new Map<string, (keyof Policy)[]>();
for (const field of policyFieldNames) {
  const { option } = policyFields[field];
  if (option !== null) options.set(option, [...(options.get(option) ?? []), field]);
}

/** @throws UserError when the published policy itself does not fit. */
export async function climbLadder(
  job: PlanningJob,
  { ranked: [best], seeds }: Plan,
  { published = publishedPolicy, signal }: LadderOptions = {},
): Promise<Ladder> {
  const trials = new Trials(job, seeds, signal);
  const base = await trials.of(
    { strategy: 'specoffload', policy: published },
    Math.min(numSeeds, seeds.length),
  );
  const reference = middleOutcome(base);
  const tried: { option: string; fields: PolicyInput; contender: Contender }[] = [];
  for (const [option, fields] of options) {
    const changed = pickChanged(best, reference.policy, published, fields);
    if (Object.keys(changed).length === 0) continue;
    const policy = withFields(published, changed, fields, best.input);
    tried.push({ option, fields: changed, contender: { strategy: 'specoffload', policy } });
  }
  if (best.strategy !== 'specoffload' || best.policy.decodeBatch !== reference.policy.decodeBatch) {
    const { speculation, batches, decodeBatch } = best.policy;
    const fields: PolicyInput = { speculation, batches, decodeBatch };
    tried.push({
      option: `${best.strategy === 'specoffload' ? 'batch' : best.strategy}: ${speculation}, ${batches} x ${decodeBatch}`,
      fields,
      contender: { strategy: best.strategy, policy: { ...published, ...fields } },
    });
  }
  if (best.targetFormat !== undefined)
    tried.push({
      option: 'weights packed without loss',
      fields: {},
      contender: { strategy: 'specoffload', policy: published, target: targetOf(job, best) },
    });
  const steps: LadderStep[] = [];
  for (const { option, fields, contender } of tried) {
    const tokensPerSecondBySeed = await maybeTry(trials, contender, Math.min(numStepSeeds, seeds.length));
    steps.push({ option, fields, tokensPerSecondBySeed });
  }
  const medianOfStep = ({ tokensPerSecondBySeed: values }: LadderStep) => (values ? medianOf(values) : 0);
  steps.sort((a, b) => medianOfStep(b) - medianOfStep(a) || (a.option < b.option ? -1 : 1));
  return {
    published: reference,
    publishedBySeed: throughputs(base),
    publishedAsCounted: reference.generatedTokens / reference.seconds,
    steps,
  };
}

async function maybeTry(
  trials: Trials,
  contender: Contender,
  count: number,
): Promise<readonly number[] | null> {
  try {
    return throughputs(await trials.of(contender, count));
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

/** The fields in which the best policy differs from the published one. */
function pickChanged(
  { policy }: PlannedPolicy,
  base: Policy,
  published: PolicyInput,
  fields: readonly (keyof Policy)[],
): PolicyInput {
  const isFollower = (field: keyof Policy) =>
    // Left open on both sides: what fits differs, the choice does not.
    published[field] === undefined && (field === 'pinnedLayers' || field === 'keptLayers');
  // A draft that the best policy does without says nothing about drafts.
  const isAboutDrafts = (field: keyof Policy) => policyFields[field].about === 'draft';
  return Object.fromEntries(
    fields
      .filter((field) => policy[field] !== base[field] && !isFollower(field))
      .filter((field) => usesDraft(policy) || !isAboutDrafts(field))
      // The published batch is one micro-batch.
      .filter((field) => !(field === 'microBatch' && policy.microBatch === policy.decodeBatch))
      .map((field) => [field, policy[field]]),
  );
}

/** What the best policy left open stays open: alone, another number of layers may fit. */
function withFields(
  published: PolicyInput,
  changed: PolicyInput,
  fields: readonly (keyof Policy)[],
  input: PolicyInput,
): PolicyInput {
  const policy: Record<string, unknown> = { ...published, ...changed };
  for (const field of fields)
    if (field in changed && input[field] === undefined && isOpenField(field)) delete policy[field];
  return policy as PolicyInput;
}
