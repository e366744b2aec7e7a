/** From a run's memory plan and the use of its slots to what its pools held when. */

import { type MemoryPlan, mapPools, type Slots } from '../schedule/memory-plan.js';
import type { SlotClass } from '../schedule/task.js';
import type { MemoryName } from '../topology/topology.js';
import type { BufferUse, MemoryLog, MemoryStep } from '../trace/memory.js';
import type { TimeWindow } from '../trace/report.js';
import type { PhaseName } from '../trace/types.js';
import type { SlotUse } from './slot-table.js';

/** @param windows of the waves, one after the other */
export function logMemory(
  plan: MemoryPlan,
  windows: Readonly<Record<PhaseName, readonly TimeWindow[]>>,
  slotUses: readonly SlotUse[],
): MemoryLog {
  const bufferOf = describeSlots(plan);
  return {
    resident: mapPools(plan, ({ name }) => residentSteps(plan, name, windows)),
    buffers: slotUses.map(({ slotClass, startSeconds, endSeconds }): BufferUse => {
      const { pool, bytes } = bufferOf.get(slotClass) as Buffer;
      return { pool, bytes, startSeconds, endSeconds };
    }),
  };
}

type Buffer = Pick<BufferUse, 'pool' | 'bytes'>;

function describeSlots({ slots, cacheSlots }: MemoryPlan): ReadonlyMap<SlotClass, Buffer> {
  const buffers = new Map<SlotClass, Buffer>();
  const add = (pool: MemoryName, { slotClass, regions }: Slots) =>
    buffers.set(slotClass, { pool, bytes: regions[0]?.byteLength ?? 0 });
  for (const [pool, byKind] of Object.entries(slots))
    for (const ofKind of Object.values(byKind)) add(pool, ofKind);
  if (cacheSlots) add('device', cacheSlots);
  return buffers;
}

function residentSteps(
  { residentBytes }: MemoryPlan,
  pool: MemoryName,
  windows: Readonly<Record<PhaseName, readonly TimeWindow[]>>,
): MemoryStep[] {
  return windows.prefill.flatMap(({ startSeconds }, wave) => [
    { seconds: startSeconds, bytes: residentBytes.prefill[pool] },
    { seconds: windows.decode[wave].startSeconds, bytes: residentBytes.decode[pool] },
  ]);
}
