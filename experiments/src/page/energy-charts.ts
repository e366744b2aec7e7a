/** What runs took, by part, where their records say. */

import { type EnergyOfRun, energyByPart } from '../figures/index.js';
import type { Chart } from './charts.js';
import { type Representative, representatives } from './run-charts.js';
import type { Subject } from './subject.js';

export function energyCharts(subject: Subject): Chart[] {
  const runs = representatives(subject).flatMap(toEnergy);
  if (runs.length === 0) return [];
  const subtitle = 'parts that are counted; the best point of each';
  return [{ heading: 'Energy', choices: [{ label: 'by part', figure: energyByPart(runs, { subtitle }) }] }];
}

/** All repeats together. */
function toEnergy({ name, runs }: Representative): EnergyOfRun[] {
  const parts: Record<string, number> = {};
  let newTokens = 0;
  for (const { record } of runs) {
    const { energy } = record.result;
    if (!energy) return [];
    newTokens += record.result.newTokens;
    for (const [part, joules] of Object.entries(energy.parts)) parts[part] = (parts[part] ?? 0) + joules;
  }
  return [{ name, newTokens, parts }];
}
