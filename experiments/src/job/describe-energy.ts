/** What a run took, in words. */

import type { RunRecord } from '../store/index.js';
import { formatPercent, threeDigits } from '../terminal/format.js';

const counters = { rapl: 'processor and memory by RAPL', nvml: 'GPU by NVML', hwmon: 'GPU by hwmon' };

/** `4.31 J per new token, 5.5 kJ: device 61 %, host 20 %; by what the machine file says that lanes draw`; null of a run of an earlier version. */
export function describeEnergy({ kind, machine, result: { energy, seconds } }: RunRecord): string | null {
  if (energy === undefined)
    return kind === 'measured' ? null : `not known: ${machine.name} does not say what its lanes draw`;
  if (!energy) return "not measured: no counter can be read (RAPL in /sys/class/powercap, a GPU's own)";
  const { joules, joulesPerToken, parts, sources } = energy;
  const shares = Object.entries(parts)
    .filter(([, drawn]) => drawn >= 0.005 * joules)
    .sort(([, a], [, b]) => b - a)
    .map(([part, drawn]) => `${part} ${formatPercent(drawn / joules)}`);
  const who =
    kind === 'simulated'
      ? 'by what the machine file says that lanes draw'
      : `${sources.flatMap((source) => (source === 'lanes' ? [] : [counters[source]])).join(', ')}`;
  return `${threeDigits(joulesPerToken)} J per new token, ${threeDigits(joules / seconds)} W on average: ${shares.join(', ')}; ${who}`;
}
