/** What a predicted run's crossbars were written with, once, and what their products took. */

import { crossbarMemory } from '../machine/crossbars.js';
import { type MachineModel, memoryNamed } from '../machine/machine-model.js';
import type { MemoryPlan } from '../schedule/memory-plan.js';
import type { MeasuredSpans } from '../trace/report.js';
import type { PhaseName } from '../trace/types.js';

/** Beside the run's time and energy: cells keep what is written, for this run and any after it. */
export interface CrossbarReport {
  /** Of the target, of which they hold something. */
  readonly layers: number;
  readonly bytes: number;
  readonly writeSeconds: number;
  /** Null where the machine does not say. */
  readonly writeJoules: number | null;
}

/** Undefined where nothing is in crossbars. */
export function reportCrossbars(
  machine: MachineModel,
  { held, pools }: MemoryPlan,
): CrossbarReport | undefined {
  const { crossbars } = held ? memoryNamed(machine, crossbarMemory) : {};
  if (!held || !crossbars) return undefined;
  const { totalBytes: bytes } = pools[crossbarMemory];
  const { writeBytesPerSecond, writeJoulesPerByte } = crossbars;
  return {
    ...{ layers: held.numLayers, bytes, writeSeconds: bytes / writeBytesPerSecond },
    writeJoules: writeJoulesPerByte === undefined ? null : bytes * writeJoulesPerByte,
  };
}

/** Multiplications and additions in crossbars. */
export function countOperations(spans: MeasuredSpans): Record<PhaseName, number> {
  const operations = { prefill: 0, decode: 0 };
  spans.forEach(({ lane, phase, flops }) => {
    if (lane === crossbarMemory) operations[phase] += flops;
  });
  return operations;
}
