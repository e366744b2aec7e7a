/** From what a caller asked for to a complete policy, the waves of batches it makes, and the memory they need. */

import { type Checkpoint, UserError } from '../model/types.js';
import { cacheCapacity, type MemoryDemand, type OpenChoices } from './placement.js';
import { type Policy, type PolicyInput, parsePolicy } from './policy.js';
import type { Strategy } from './strategies/strategy.js';

/** A policy before placement has settled how far to read ahead and how many layers stay in memory. */
export type OpenPolicy = Omit<Policy, keyof OpenChoices> & OpenChoices;

/**
 * Fills in what the caller left out.
 * @throws UserError when a field contradicts the strategy.
 */
export function resolvePolicy(strategy: Strategy, input: PolicyInput, numPrompts: number): OpenPolicy {
  const given = parsePolicy(input);
  const { speculation } = strategy.defaults;
  if (given.speculation && given.speculation !== speculation)
    throw new UserError(
      `invalid speculation: ${given.speculation}; the strategy ${strategy.name} is defined by ${speculation}, choose another strategy`,
    );
  const batches = Math.min(given.batches ?? strategy.defaults.batches, numPrompts);
  const decodeBatch = Math.min(given.decodeBatch ?? numPrompts, Math.ceil(numPrompts / batches));
  return {
    speculation,
    decodeBatch,
    batches,
    prefillBatch: Math.min(given.prefillBatch ?? decodeBatch, decodeBatch),
    prefillOrder: given.prefillOrder ?? 'layer-major',
    draftBatch: Math.min(given.draftBatch ?? decodeBatch, decodeBatch),
    candidates: given.candidates ?? 4,
    draftCache: given.draftCache ?? 'resident',
    prefetchDepth: given.prefetchDepth ?? null,
    pinnedLayers: given.pinnedLayers ?? null,
    keptLayers: given.keptLayers ?? null,
  };
}

/** Indices of the prompts in each batch of each wave; a wave is finished before the next one starts. */
export function planWaves(policy: OpenPolicy, numPrompts: number): number[][][] {
  const waves: number[][][] = [];
  const waveSize = policy.decodeBatch * policy.batches;
  for (let start = 0; start < numPrompts; start += waveSize) {
    const members = Array.from({ length: Math.min(waveSize, numPrompts - start) }, (_, i) => start + i);
    const perBatch = Math.ceil(members.length / policy.batches);
    waves.push(chunk(members, perBatch));
  }
  return waves;
}

/** Micro-batches of a wave's prefill: members of one batch, at most prefillBatch of them. */
export function planMicroBatches(
  policy: OpenPolicy,
  wave: readonly (readonly number[])[],
): { batch: number; members: number[] }[] {
  return wave.flatMap((members, batch) =>
    chunk(members, policy.prefillBatch).map((micro) => ({ batch, members: micro })),
  );
}

/** The most memory that any wave will ask for. */
export function measureDemand(
  policy: OpenPolicy,
  waves: readonly (readonly (readonly number[])[])[],
  promptLengths: readonly number[],
  maxNewTokens: number,
): MemoryDemand {
  const capacity = (index: number) => cacheCapacity(promptLengths[index], maxNewTokens);
  const promptRows = (members: readonly number[]) => sum(members.map((index) => promptLengths[index]));
  const candidates = policy.speculation === 'none' ? 0 : Math.min(policy.candidates, maxNewTokens - 1);

  const frameRows = [policy.decodeBatch * (candidates + 1)];
  let draftRows = policy.draftBatch;
  let targetCacheTokens = 0;
  let draftCacheTokens = 0;
  for (const wave of waves) {
    const microBatches = planMicroBatches(policy, wave);
    for (const [index, { members }] of microBatches.entries()) {
      const frame = policy.prefillOrder === 'layer-major' ? index : 0;
      frameRows[frame] = Math.max(frameRows[frame] ?? 0, promptRows(members));
    }
    const capacities = wave.flat().map(capacity);
    targetCacheTokens = Math.max(targetCacheTokens, sum(capacities));
    const largest = [...capacities].sort((a, b) => b - a).slice(0, policy.draftBatch);
    const draftTokens = policy.draftCache === 'resident' ? sum(capacities) : sum(largest);
    draftCacheTokens = Math.max(draftCacheTokens, draftTokens);
    // Its first step, or every one that recomputes the cache, feeds whole contexts.
    draftRows = Math.max(draftRows, sum(largest));
  }
  return {
    targetFrameRows: frameRows,
    ...{ draftRows, targetCacheTokens, draftCacheTokens },
    numPositions: Math.max(...promptLengths) + maxNewTokens,
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
    const stranger = prompt.find((id) => !(Number.isInteger(id) && 0 <= id && id < target.config.vocabSize));
    if (stranger !== undefined)
      throw new UserError(
        `prompt ${index + 1} contains token ${stranger}; expected ids from 0 to ${target.config.vocabSize - 1} of ${target.name}'s vocabulary`,
      );
    for (const { name, config } of draft ? [target, draft] : [target])
      if (prompt.length + maxNewTokens > config.maxPositions)
        throw new UserError(
          `prompt ${index + 1} has ${prompt.length} tokens and ${maxNewTokens} new ones were asked for, but the context of ${name} is ${config.maxPositions} tokens; shorten the prompt or ask for fewer new tokens`,
        );
  }
}

function chunk<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
