/** From what a caller asked for to a complete policy, the waves of batches it makes, and the memory they need. */

import { UserError } from '@specoffload/input';
import { largest, sum } from '../extremes.js';
import { type Formats, isImagined, localFormats } from '../machine/formats.js';
import type { Checkpoint } from '../model/types.js';
import { followsRouters, keepsExperts } from './expert-cache.js';
import { cacheCapacity } from './kv-cache.js';
import type { MemoryDemand } from './memory-plan.js';
import { inMicroBatches } from './micro-batches.js';
import { branches } from './outcomes.js';
import {
  type OpenPolicy,
  type Policy,
  type PolicyField,
  type PolicyInput,
  parsePolicy,
  policyFieldNames,
  policyFields,
} from './policy.js';
import { wantsShares } from './shared-experts.js';
import { type Strategy, speculationsOf, usesDraft } from './strategies/strategy.js';

/**
 * Fills in what the caller left out.
 * @throws UserError when a field contradicts the strategy.
 */
export function resolvePolicy(strategy: Strategy, input: PolicyInput, numPrompts: number): OpenPolicy {
  const given = parsePolicy(input);
  const ways = speculationsOf(strategy);
  const wish = { speculation: ways[0], ...strategy.defaults, ...given };
  const { speculation } = wish;
  const { mostBatches = 2 } = strategy;
  if (!ways.includes(speculation))
    throw new UserError(
      `invalid speculation: ${speculation}; the strategy ${strategy.name} is defined by ${ways.join(' or ')}, choose another strategy`,
    );
  if (wish.batches > mostBatches)
    throw new UserError(
      `invalid batches: ${wish.batches}; the strategy ${strategy.name} has at most ${mostBatches} in flight`,
    );
  const policy = settle(wish, numPrompts);
  assertConsistent(policy);
  return policy;
}

/** Field by field, in the table's order. */
function settle(wish: PolicyInput, numPrompts: number): OpenPolicy {
  const settled: Record<string, string | number | null> = {};
  const above = settled as Policy & typeof settled;
  for (const name of policyFieldNames) {
    const field: PolicyField = policyFields[name];
    const value = wish[name] ?? settleDefault(field, above, numPrompts);
    settled[name] =
      field.kind === 'count' && field.atMost && typeof value === 'number'
        ? Math.min(value, field.atMost(above, numPrompts))
        : value;
  }
  return settled as unknown as OpenPolicy;
}

function settleDefault(field: PolicyField, above: Policy, numPrompts: number): string | number | null {
  if (typeof field.default !== 'object') return field.default;
  return 'of' in field.default ? field.default.of(above, numPrompts) : null;
}

/** @throws UserError when two fields contradict each other. */
function assertConsistent(policy: OpenPolicy): void {
  const { cache, attention, prefillAttention, hostExpertRows, experts } = policy;
  if (cache === 'device' && (attention === 'host' || prefillAttention === 'host'))
    throw new UserError(
      'invalid cache: device; attention on the host needs its cache in host memory, choose attention and prefillAttention device or cache host',
    );
  if (hostExpertRows > 0 && experts === 'all')
    throw new UserError(
      `invalid hostExpertRows: ${hostExpertRows}; whether the host computes an expert is decided by its rows, which needs experts routed`,
    );
  assertCanOverlap(policy);
  if (policy.alternates > 0 && branches(policy))
    throw new UserError(
      `invalid alternates: ${policy.alternates}; with speculation ahead the draft goes on behind its other choices meanwhile, expected 0, or outcomes 1`,
    );
  if (followsRouters(policy)) assertCanFollow(policy);
  if (!keepsExperts(policy))
    for (const field of ['cachedOnDevice', 'cachedOnHost'] as const)
      if (policy[field])
        throw new UserError(
          `invalid ${field}: ${policy[field]}; without an expert cache no expert stays, expected 0, or expertCache lru or lfu`,
        );
}

/** @throws UserError when the parts of a batch cannot go on without each other. */
function assertCanOverlap({ overlap, attention, speculation, batches, ending }: OpenPolicy): void {
  if (overlap === 'sub-batches') return;
  const refuse = (expected: string) => {
    throw new UserError(`invalid overlap: ${overlap}; ${expected}, or overlap sub-batches`);
  };
  if (attention !== 'split')
    refuse(`with attention ${attention} there is one part: expected attention split`);
  if (speculation !== 'none') refuse('a draft proposes for whole batches: expected speculation none');
  if (batches > 1) refuse('expected one batch in flight');
  if (ending === 'slowest') refuse('nobody waits for the slowest: expected ending own-limit');
}

/** @throws UserError when experts cannot stay where they were brought, or come before they are asked for. */
function assertCanFollow(policy: OpenPolicy): void {
  const { expertCache, expertPrefetch, experts, streaming } = policy;
  const refuse = (why: string) => {
    const which = keepsExperts(policy) ? `expertCache: ${expertCache}` : `expertPrefetch: ${expertPrefetch}`;
    throw new UserError(`invalid ${which}; ${why}`);
  };
  if (experts === 'all') refuse('all experts come in every pass, expected none, or experts routed');
  if (streaming === 'on-demand')
    refuse('on demand all weights share one place, expected none, or streaming ahead');
  if (wantsShares(policy))
    refuse('a part of an expert does not stay, expected none, or hostShare 0 with balance given');
}

/** What of a policy decides about batches and the memory they ask for, beside how many candidates a round has. */
export const batchFields = [
  ...(['batches', 'decodeBatch', 'microBatch', 'prefillBatch', 'prefillOrder'] as const),
  ...(['refill', 'ending', 'overlap', 'attention', 'prefillAttention'] as const),
] as const satisfies readonly (keyof OpenPolicy)[];

/** Nothing else is read of it, so that batches of policies that are alike in this are alike. */
type BatchPolicy = Pick<OpenPolicy, (typeof batchFields)[number] | ProposedField | 'speculation'>;

type ProposedField = 'candidates' | 'alternates' | 'alternateTokens';

/** What a round verifies of each sequence at most, beside its own tokens. */
export function mostProposed(
  policy: Pick<OpenPolicy, ProposedField | 'speculation'>,
): Pick<OpenPolicy, ProposedField> {
  const { candidates, alternates, alternateTokens } = policy;
  if (!usesDraft(policy)) return { candidates: 0, alternates: 0, alternateTokens: 0 };
  return { candidates, alternates, alternateTokens };
}

/** Indices of the prompts in each batch of each wave; a wave is finished before the next one starts. */
export function planWaves(policy: BatchPolicy, numPrompts: number): number[][][] {
  const waves: number[][][] = [];
  const waveSize = policy.decodeBatch * policy.batches;
  for (let start = 0; start < numPrompts; start += waveSize) {
    const members = Array.from({ length: Math.min(waveSize, numPrompts - start) }, (_, i) => start + i);
    const perBatch = Math.ceil(members.length / policy.batches);
    waves.push(inMicroBatches(members, perBatch));
  }
  return waves;
}

/**
 * How many of each batch's sequences have their part of a split cache in device memory: the first micro-batch's. Where
 * memory is only imagined, a cache is wherever it is used.
 */
export function numOnDevice({ attention, microBatch }: BatchPolicy, formats: Formats): number {
  return attention === 'split' && !isImagined(formats) ? microBatch : 0;
}

/**
 * Micro-batches of a wave's prefill: members of one batch, at most prefillBatch of them, with caches in the same memory.
 * @param onDevice see {@link numOnDevice}
 */
export function planMicroBatches(
  { prefillBatch }: Pick<BatchPolicy, 'prefillBatch'>,
  wave: readonly (readonly number[])[],
  onDevice = 0,
): { batch: number; members: number[] }[] {
  return wave.flatMap((members, batch) =>
    [members.slice(0, onDevice), members.slice(onDevice)]
      .flatMap((together) => inMicroBatches(together, prefillBatch))
      .map((micro) => ({ batch, members: micro })),
  );
}

/**
 * New tokens that a sequence has room for: a sequence that waits for its batch's slowest one overshoots its own limit.
 * The wait is relatively longer for short runs: at rates of acceptance near 0.8 the fastest of hundreds of sequences
 * generates four times what 16 asks for, and 1.7 times what 128 asks for.
 */
export function tokenRoom({ ending }: Pick<OpenPolicy, 'ending'>, maxNewTokens: number): number {
  return ending === 'slowest' ? Math.ceil(1.5 * maxNewTokens) + 64 : maxNewTokens;
}

/**
 * Tokens that each prompt's place has room for, with alternates behind the candidates under verification: where others take
 * it after them, it is as large as the largest needs.
 */
export function roomsOfPlaces(
  policy: Pick<OpenPolicy, 'refill' | ProposedField | 'speculation'>,
  promptLengths: readonly number[],
  newTokens: number,
): readonly number[] {
  const { alternates, alternateTokens } = mostProposed(policy);
  const rooms = promptLengths.map((length) => length + newTokens + alternates * alternateTokens);
  return policy.refill === 'yes' ? rooms.fill(largest(rooms)) : rooms;
}

/** Sequences of each micro-batch in decode; parts that need not wait for each other are one each. */
function decodeFrames({ decodeBatch, microBatch, overlap }: BatchPolicy): number[] {
  const [first, rest] = [Math.min(microBatch, decodeBatch), Math.max(0, decodeBatch - microBatch)];
  if (overlap !== 'sub-batches') return rest > 0 ? [first, rest] : [first];
  return inMicroBatches(Array.from({ length: decodeBatch }), microBatch).map(({ length }) => length);
}

/** The most memory that any wave will ask for. */
export function measureDemand(
  policy: BatchPolicy,
  waves: readonly (readonly (readonly number[])[])[],
  promptLengths: readonly number[],
  maxNewTokens: number,
  formats = localFormats,
): MemoryDemand {
  const room = tokenRoom(policy, maxNewTokens);
  // Imagined places grow with whoever comes; real ones are of one size.
  const rooms = isImagined(formats)
    ? promptLengths.map((length) => length + room)
    : roomsOfPlaces(policy, promptLengths, room);
  const capacity = (index: number) => cacheCapacity(rooms[index]);
  const promptRows = (members: readonly number[]) => sum(members.map((index) => promptLengths[index]));
  const { candidates, alternates, alternateTokens } = mostProposed(policy);
  // An alternate that stood is fed again where it belongs.
  const ofAlternates = alternates > 0 ? (alternates + 1) * alternateTokens : 0;
  const verified = Math.min(candidates, room - 1) + 1 + ofAlternates;
  const joiningRows =
    policy.refill === 'yes' ? policy.prefillBatch * promptLengths.reduce((a, b) => Math.max(a, b), 0) : 0;

  const decodeFrameRows = decodeFrames(policy).map((size) => size * verified + joiningRows);
  const prefillFrameRows: number[] = [];
  const onDevice = numOnDevice(policy, formats);
  let [targetCacheTokens, splitCacheTokens] = [0, 0];
  const sequenceTokens: number[][] = [];
  let frameCacheTokens = 0;
  for (const wave of waves) {
    const microBatches = planMicroBatches(policy, wave, onDevice);
    for (const [index, { members }] of microBatches.entries()) {
      const frame = policy.prefillOrder === 'layer-major' ? index : 0;
      prefillFrameRows[frame] = Math.max(prefillFrameRows[frame] ?? 0, promptRows(members));
      if (policy.prefillAttention === 'device')
        frameCacheTokens = Math.max(frameCacheTokens, sum(members.map(capacity)));
    }
    const capacities = wave.flat().map(capacity);
    const split = sum(wave.flatMap((members) => members.slice(0, onDevice)).map(capacity));
    splitCacheTokens = Math.max(splitCacheTokens, split);
    targetCacheTokens = Math.max(targetCacheTokens, sum(capacities) - split);
    const descending = [...capacities].sort((a, b) => b - a);
    sequenceTokens.push(descending);
    if (policy.attention !== 'host' && onDevice === 0)
      frameCacheTokens = Math.max(frameCacheTokens, sum(descending.slice(0, policy.microBatch)));
  }
  const numFrames = Math.max(decodeFrameRows.length, prefillFrameRows.length);
  const targetFrameRows = Array.from({ length: numFrames }, (_, frame) =>
    Math.max(decodeFrameRows[frame] ?? 0, prefillFrameRows[frame] ?? 0),
  );
  return {
    targetFrameRows,
    decodeFrameRows,
    targetCacheTokens,
    splitCacheTokens,
    sequenceTokens,
    frameCacheTokens,
    numPositions: promptLengths.reduce((a, b) => Math.max(a, b), 0) + room,
  };
}

/**
 * Refuses prompts that the models cannot take.
 * @throws UserError naming the prompt.
 */
export function assertPromptsFit(
  target: Checkpoint,
  draft: Checkpoint | null,
  prompts: readonly (readonly number[])[],
  maxNewTokens: number,
): void {
  if (prompts.length === 0) throw new UserError('there are no prompts; give at least one');
  for (const [index, prompt] of prompts.entries()) {
    if (prompt.length === 0) throw new UserError(`prompt ${index + 1} is empty; expected at least one token`);
    const stranger = prompt.find((id) => !(Number.isInteger(id) && 0 <= id && id < target.spec.vocabSize));
    if (stranger !== undefined)
      throw new UserError(
        `prompt ${index + 1} contains token ${stranger}; expected ids from 0 to ${target.spec.vocabSize - 1} of ${target.name}'s vocabulary`,
      );
    for (const { name, spec } of draft ? [target, draft] : [target])
      if (prompt.length + maxNewTokens > spec.maxPositions)
        throw new UserError(
          `prompt ${index + 1} has ${prompt.length} tokens and ${maxNewTokens} new ones were asked for, but the context of ${name} is ${spec.maxPositions} tokens; shorten the prompt or ask for fewer new tokens`,
        );
  }
}

/**
 * Refuses texts of which some need other rotations than the rest: frequencies change at the original length, and keys stay
 * as they were rotated when they were cached. transformers lets the longest text of a batch decide for all of them.
 * @param room new tokens of each
 * @throws UserError naming the prompt.
 */
export function assertSameRotations(
  { name, spec }: Checkpoint,
  promptLengths: readonly number[],
  room: number,
): void {
  const lengths = spec.layers.flatMap(({ attention: { rope } }) =>
    rope.scaling?.type === 'longrope' ? [rope.scaling.originalMaxPositions] : [],
  );
  for (const length of new Set(lengths)) {
    const end = promptLengths.findIndex((prompt) => prompt + room > length);
    const start = promptLengths.findIndex((prompt) => prompt <= length);
    if (end < 0 || start < 0) continue;
    throw new UserError(
      `${name} rotates positions differently in texts longer than ${length} tokens: prompt ${start + 1} begins below that, and prompt ${end + 1} with up to ${room} new tokens ends above it; run texts that stay below and prompts that are longer apart from each other`,
    );
  }
}
