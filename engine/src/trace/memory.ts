/** What a run's memory pools held over time. */

import type { ByMemory, MemoryName } from '../topology/topology.js';

/** From `seconds` on, until the next step, `bytes` are in use. */
export interface MemoryStep {
  readonly seconds: number;
  readonly bytes: number;
}

/** By memory, in the order of time. */
export type MemoryOverTime = ByMemory<readonly MemoryStep[]>;

/** A buffer, from the moment something started to fill it until its last user gave it back. */
export interface BufferUse {
  readonly pool: MemoryName;
  readonly bytes: number;
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** What memory over time is made from. */
export interface MemoryLog {
  /** All that stays for a phase at least: models, caches, activations. */
  readonly resident: MemoryOverTime;
  /** What comes and goes: weights that are streamed, a layer's cache on the device. */
  readonly buffers: readonly BufferUse[];
}

/** Resident bytes and buffers in use together; one step per moment at which that changes. */
export function memoryOverTime({ resident, buffers }: MemoryLog): MemoryOverTime {
  const inUse = ([pool, steps]: [MemoryName, readonly MemoryStep[]]) => {
    const ofPool = buffers.filter((use) => use.pool === pool);
    return [pool, sumChanges(changesOf(steps, ofPool))];
  };
  return Object.fromEntries(Object.entries(resident).map(inUse)) as MemoryOverTime;
}

interface Change {
  readonly seconds: number;
  readonly bytes: number;
}

function changesOf(resident: readonly MemoryStep[], buffers: readonly BufferUse[]): Change[] {
  const changes: Change[] = resident.map(({ seconds, bytes }, index) => ({
    seconds,
    bytes: bytes - (resident[index - 1]?.bytes ?? 0),
  }));
  for (const { bytes, startSeconds, endSeconds } of buffers)
    changes.push({ seconds: startSeconds, bytes }, { seconds: endSeconds, bytes: -bytes });
  return changes.sort((a, b) => a.seconds - b.seconds);
}

/** @param changes in the order of time; those of one moment count together, so a buffer handed on is not there twice */
function sumChanges(changes: readonly Change[]): MemoryStep[] {
  const steps: MemoryStep[] = [];
  let bytes = 0;
  for (const [index, change] of changes.entries()) {
    bytes += change.bytes;
    const isLastOfMoment = changes[index + 1]?.seconds !== change.seconds;
    if (isLastOfMoment && steps.at(-1)?.bytes !== bytes) steps.push({ seconds: change.seconds, bytes });
  }
  return steps;
}
