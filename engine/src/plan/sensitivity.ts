/** What would have to change to go faster: the same policy, predicted on machines that are better in one way. */

import { quote, UserError } from '@specoffload/input';
import type { ComputeRates, KindRates, MachineModel } from '../machine/machine-model.js';
import { type Acceptance, type AcceptanceRates, averageRates } from '../speculate/acceptance.js';
import type { PlanningJob } from './appraise.js';
import type { PlannedPolicy } from './plan.js';
import { predict } from './search.js';

export interface Sensitivity {
  /** What was changed: `link x1.5`. */
  readonly change: string;
  readonly tokensPerSecond: number;
  /** tokensPerSecond with the change / without. */
  readonly gain: number;
}

const factor = 1.5;
const acceptanceFactor = 1.1;

/** Predicts a policy under every change, most useful change first. */
export async function analyseSensitivity(
  job: PlanningJob,
  { strategy, input, policy, outcome }: PlannedPolicy,
  signal?: AbortSignal,
): Promise<Sensitivity[]> {
  const { machine, acceptance } = job;
  const faster = (lane: 'disk' | 'link' | 'host' | 'device'): PlanningJob => ({
    ...job,
    machine: fasterLane(machine, lane),
  });
  const roomier = (pool: 'deviceBytes' | 'hostBytes'): PlanningJob => ({
    ...job,
    machine: { ...machine, memory: { ...machine.memory, [pool]: machine.memory[pool] * factor } },
  });
  const changes: [string, PlanningJob][] = [
    [`link x${factor}`, faster('link')],
    [`disk x${factor}`, faster('disk')],
    [`host x${factor}`, faster('host')],
    [`device x${factor}`, faster('device')],
    [`device memory x${factor}`, roomier('deviceBytes')],
    [`host memory x${factor}`, roomier('hostBytes')],
  ];
  const found: Sensitivity[] = [];
  const tokensPerSecondOf = async (changed: PlanningJob) =>
    (await predict(changed, { strategy, policy: input }, signal)).outcome.tokensPerSecond;
  for (const [change, changed] of changes) {
    const isIdle =
      change.startsWith('disk') &&
      outcome.phases.prefill.lanes.disk.busySeconds + outcome.phases.decode.lanes.disk.busySeconds === 0;
    const tokensPerSecond = isIdle ? outcome.tokensPerSecond : await tokensPerSecondOf(changed);
    found.push({ change, tokensPerSecond, gain: tokensPerSecond / outcome.tokensPerSecond });
  }
  if (policy.speculation !== 'none' && acceptance) {
    // A recorded course can't be raised; its average rates can, and are compared with themselves.
    const base = toRates(acceptance);
    const without =
      acceptance.kind === 'rates'
        ? outcome.tokensPerSecond
        : await tokensPerSecondOf({ ...job, acceptance: base });
    const tokensPerSecond = await tokensPerSecondOf({ ...job, acceptance: raise(base) });
    found.push({
      change: `acceptance x${acceptanceFactor}`,
      tokensPerSecond,
      gain: tokensPerSecond / without,
    });
  }
  return found.sort((a, b) => b.gain - a.gain || (a.change < b.change ? -1 : 1));
}

function toRates(acceptance: Acceptance): AcceptanceRates {
  return acceptance.kind === 'rates' ? acceptance : averageRates(acceptance);
}

function raise(rates: AcceptanceRates): AcceptanceRates {
  return { ...rates, byPosition: rates.byPosition.map((rate) => Math.min(1, rate * acceptanceFactor)) };
}

/** The lane with all its rates raised and all its fixed times shortened. */
function fasterLane(machine: MachineModel, lane: 'disk' | 'link' | 'host' | 'device'): MachineModel {
  switch (lane) {
    case 'disk':
    case 'link':
      return { ...machine, [lane]: scaleNumbers(machine[lane]) };
    case 'host':
    case 'device': {
      const { kinds, ...rates } = machine[lane];
      const fasterKinds = Object.fromEntries(
        Object.entries(kinds).map(([kind, own]) => [kind, scaleRates(own)]),
      );
      return { ...machine, [lane]: { ...scaleRates(rates as ComputeRates), kinds: fasterKinds } };
    }
    default:
      throw new UserError(`unknown lane: ${quote(lane)}`);
  }
}

function scaleRates<Rates extends KindRates>({ arithmetic, ...numbers }: Rates): Rates {
  return {
    ...scaleNumbers(numbers),
    ...(arithmetic ? { arithmetic: arithmetic.map(([rows, rate]) => [rows, rate * factor]) } : {}),
  } as Rates;
}

function scaleNumbers<Numbers extends object>(numbers: Numbers): Numbers {
  return Object.fromEntries(
    Object.entries(numbers).map(([field, value]: [string, number]) => [
      field,
      field.endsWith('PerSecond') ? value * factor : value / factor,
    ]),
  ) as Numbers;
}
