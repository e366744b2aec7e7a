/** Measuring again what came while the machine did something else as well. */

import type { RunResult } from '@specoffload/engine';
import type { ConditionsRecord } from '../store/index.js';
import { describeConditions, watchConditions } from './conditions.js';

/** How often a disturbed run is measured before the least disturbed one counts. */
const mostAttempts = 3;

export interface Measurement {
  readonly measured: RunResult;
  readonly conditions: ConditionsRecord | null;
}

/**
 * Measures until the machine was left alone, at most a few times.
 * @param onAgain told why it is measured again
 */
export async function measureUndisturbed(
  run: () => Promise<RunResult>,
  onAgain: (reason: string) => void,
): Promise<Measurement> {
  const disturbance = ({ conditions }: Measurement) =>
    (conditions?.stolenShare ?? 0) + (conditions?.othersShare ?? 0);
  let best: Measurement | null = null;
  for (let attempt = 1; attempt <= mostAttempts; attempt += 1) {
    const watch = watchConditions();
    const measured = await run();
    const latest = { measured, conditions: await watch.stop() };
    if (!best || disturbance(latest) < disturbance(best)) best = latest;
    if (!latest.conditions?.isDisturbed) return latest;
    if (attempt < mostAttempts) onAgain(describeConditions(latest.conditions));
  }
  return best as Measurement;
}
