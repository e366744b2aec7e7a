/** What a prediction would have been had it known how fast each lane was in the run itself: what is off then is the model's. */

import type { MachineModel, Pace } from '@specoffload/engine';
import { type Compared, type Deviation, deviationOf } from './compare.js';
import { atPace, type Busy, paceOf } from './pace.js';

type Outcome = Compared & Busy;

/** @param predicted by the machine's own rates */
export async function judgeOwnPace(
  measured: Outcome,
  predicted: Outcome,
  machine: MachineModel,
  predictOn: (machine: MachineModel) => Promise<Outcome>,
): Promise<Deviation & { readonly pace: Pace }> {
  const pace = paceOf(measured, predicted, machine);
  return { pace, ...deviationOf(measured, await predictOn(atPace(machine, pace))) };
}
