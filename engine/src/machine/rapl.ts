/**
 * Energy counters of processors and their memory, where Linux lets this process read them (RAPL of Intel and AMD, in
 * /sys/class/powercap; since 2020 only for whoever may read `energy_uj`).
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '@specoffload/input';

interface Zone {
  /** `package-0`, `dram-0`. */
  readonly name: string;
  readonly path: string;
  /** At which the counter starts again from 0. */
  readonly rangeJoules: number;
}

/** Joules by zone since the counters were opened. */
export class RaplCounters {
  readonly #zones: readonly Zone[];
  readonly #last: Float64Array;
  readonly #sums: Float64Array;
  readonly #timer: NodeJS.Timeout;

  private constructor(zones: readonly Zone[], now: readonly number[]) {
    this.#zones = zones;
    this.#last = Float64Array.from(now);
    this.#sums = new Float64Array(zones.length);
    // A counter starts again after a quarter of an hour of full power at the soonest.
    this.#timer = setInterval(() => this.read(), 120_000).unref();
  }

  /** Null where there are none, or none that may be read. */
  static open(root = '/sys/class/powercap'): RaplCounters | null {
    const zones = zonesIn(root);
    const now = zones.map(({ path }) => maybeRead(join(path, 'energy_uj')));
    const isReadable = now.length > 0 && now.every((microjoules) => microjoules !== null);
    return isReadable ? new RaplCounters(zones, now as number[]) : null;
  }

  read(): Readonly<Record<string, number>> {
    for (const [index, { path, rangeJoules }] of this.#zones.entries()) {
      const microjoules = maybeRead(join(path, 'energy_uj')) ?? this.#last[index];
      const joules = (microjoules - this.#last[index]) / 1e6;
      this.#last[index] = microjoules;
      this.#sums[index] += joules < 0 ? joules + rangeJoules : joules;
    }
    return Object.fromEntries(this.#zones.map(({ name }, index) => [name, this.#sums[index]]));
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Whole packages, and memory, which is not in them; cores and graphics are. Zones of `-mmio` tell the same again. */
function zonesIn(root: string): Zone[] {
  return foldersIn(root).flatMap((folder) => {
    const [, socket, inner] = /^intel-rapl:(\d+)(:\d+)?$/.exec(folder) ?? [];
    if (socket === undefined) return [];
    const path = join(root, folder);
    const kind = maybeText(join(path, 'name'))?.trim() ?? '';
    const name = inner === undefined ? kind : `${kind}-${socket}`;
    const range = maybeRead(join(path, 'max_energy_range_uj'));
    return range !== null && /^(package|dram)-\d+$/.test(name)
      ? [{ name, path, rangeJoules: range / 1e6 }]
      : [];
  });
}

function foldersIn(root: string): string[] {
  try {
    return readdirSync(root).sort();
  } catch (error) {
    if (isSystemError(error)) return [];
    throw error;
  }
}

function maybeText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error)) return null;
    throw error;
  }
}

function maybeRead(path: string): number | null {
  const text = maybeText(path)?.trim();
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}
