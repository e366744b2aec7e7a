/** What this machine's counters say that a run took, by phase. */

import { type Energy, type EnergySource, sumEnergy } from '../machine/power.js';
import type { RaplCounters } from '../machine/rapl.js';
import type { PhaseName } from '../trace/types.js';
import type { DevicePower } from './device-meter.js';

type Joules = Record<string, number>;

export class EnergyMeter {
  readonly #counters: RaplCounters | null;
  readonly #joules: Record<PhaseName, Joules> = { prefill: {}, decode: {} };
  #phase: PhaseName | null = null;
  #atStart: Readonly<Joules> = {};

  constructor(counters: RaplCounters | null) {
    this.#counters = counters;
  }

  /** What is drawn from now on belongs to a phase, or to none. */
  begin(phase: PhaseName | null): void {
    if (!this.#counters) return;
    const now = this.#counters.read();
    if (this.#phase) {
      const sums = this.#joules[this.#phase];
      for (const [zone, joules] of Object.entries(now))
        sums[zone] = (sums[zone] ?? 0) + joules - (this.#atStart[zone] ?? 0);
    }
    this.#phase = phase;
    this.#atStart = now;
  }

  /**
   * With what a GPU's own counter says; null where nobody tells.
   * @param device null where the device is the processor, or has no counter
   */
  energy(device: DevicePower | null, newTokens: number): Energy | null {
    const sources: EnergySource[] = [
      ...(this.#counters ? ['rapl' as const] : []),
      ...(device ? [device.source] : []),
    ];
    if (sources.length === 0) return null;
    const partsOf = (phase: PhaseName) => ({
      ...this.#joules[phase],
      ...(device ? { gpu: device[phase].joules } : {}),
    });
    return sumEnergy(sources, { prefill: partsOf('prefill'), decode: partsOf('decode') }, newTokens);
  }

  close(): void {
    this.#counters?.close();
  }
}
