/** The micro-batches that read the prompts of batches, and those that decode one. */

import { pickAlternates } from '../speculate/alternates.js';
import type { Sequence } from '../speculate/sequence.js';
import { type Frame, feedOf, lastRows, verifiedRows } from './feeds.js';
import { inMicroBatches } from './micro-batches.js';
import type { OpenPolicy } from './policy.js';
import { planMicroBatches } from './resolve.js';

/** Where the attention is split, by the memory of their caches; else all are on the host. */
export interface BatchParts {
  readonly device: readonly Frame[];
  readonly host: readonly Frame[];
}

/** Those of a batch that have not ended; parts that need not wait for each other are one micro-batch each. */
export function partsOf(
  { microBatch, decodeBatch, overlap, alternates }: OpenPolicy,
  batch: number,
  sequences: readonly Sequence[],
): BatchParts {
  const size = overlap === 'sub-batches' ? microBatch : decodeBatch;
  const framesOf = (some: readonly Sequence[]) =>
    inMicroBatches(some, size).map((members): Frame => {
      const feeds = members.map((sequence) =>
        feedOf(sequence, sequence.targetCached, sequence.alternates ?? pickAlternates(sequence, alternates)),
      );
      return { batch, feeds, headRows: verifiedRows(feeds) };
    });
  const unfinished = sequences.filter(({ isFinished }) => !isFinished);
  const isOnDevice = ({ targetBlock }: Sequence) => targetBlock.isOnDevice;
  return {
    device: framesOf(unfinished.filter(isOnDevice)),
    host: framesOf(unfinished.filter((sequence) => !isOnDevice(sequence))),
  };
}

/**
 * Layer-major prefill sends all micro-batches through in one pass, batch-major each in a pass of its own.
 * @param numOnDevice see there
 */
export function prefillPasses(
  policy: OpenPolicy,
  batches: readonly (readonly Sequence[])[],
  numOnDevice: number,
): Frame[][] {
  const members = batches.map((batch) => batch.map((_, index) => index));
  const frames = planMicroBatches(policy, members, numOnDevice).map(({ batch, members: indices }): Frame => {
    const feeds = indices.map((index) => feedOf(batches[batch][index], batches[batch][index].targetCached));
    return { batch, feeds, headRows: lastRows(feeds) };
  });
  return policy.prefillOrder === 'layer-major' ? [frames] : frames.map((frame) => [frame]);
}

/**
 * Moves all that have not ended into the first batch, where the policy wants it, they fit and nobody waits for a place.
 * Mutates the batches.
 */
export function joinBatches(
  { joinBatches: asked, decodeBatch }: OpenPolicy,
  batches: readonly Sequence[][],
  waiting: readonly Sequence[],
): boolean {
  if (asked === 'no' || batches.length === 1 || waiting.length > 0) return false;
  const rest = batches.flat().filter(({ isFinished }) => !isFinished);
  if (rest.length > decodeBatch) return false;
  for (const [index, batch] of batches.entries()) batch.splice(0, batch.length, ...(index === 0 ? rest : []));
  return true;
}
