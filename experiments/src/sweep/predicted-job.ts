/** A simulated point as a request, and what it is before it is predicted. */

import {
  type Acceptance,
  type Checkpoint,
  type MachineModel,
  needsDraft,
  noCaps,
  type PlanRequest,
  parsePolicy,
  type SimulationRequest,
  type StrategyName,
  speculates,
  withRate,
} from '@specoffload/engine';
import type { Settings } from '../definitions/definition.js';
import { policyOf, toBytes, toRate } from '../definitions/settings.js';
import { withAccounting } from '../job/accounting.js';
import { type SimulatedSpec, specOfPrediction } from '../store/index.js';
import { choiceOf, proposersFor } from './planned-points.js';
import { requestsOf } from './requests.js';
import type { Shelf } from './shelf.js';

/** What a sweep runs, whatever it is: all that identifies it is known before it runs. */
export interface PredictedJob {
  readonly request: Omit<SimulationRequest, 'seed' | 'signal'>;
  /** What the workload is called in records. */
  readonly workload: string;
  readonly spec: SimulatedSpec;
}

/** As `specoffload simulate` has them. */
const defaults = {
  ...{ strategy: 'specoffload', target: 'mixtral-8x7b', draft: 'mistral-7b', machine: 'env1' },
  ...{ prompts: 512, promptTokens: 437, maxNewTokens: 32 },
} as const;

/** @throws UserError naming what cannot be opened or contradicts another setting. */
export async function openPredictedJob(given: Settings, shelf: Shelf): Promise<PredictedJob> {
  const settings = { ...defaults, ...given };
  const { routingSkew = 0, accounting = 'useful' } = settings;
  const strategy = settings.strategy as StrategyName;
  const policy = withAccounting(strategy, parsePolicy(policyOf(given)), accounting);
  const { workload, ...inputs } = await openInputs(given, shelf, speculates(strategy, policy));
  const request = { ...inputs, strategy, policy, routingSkew };
  return { request, workload, spec: specOfPrediction(request, requestsOf(settings)) };
}

/** What the planner is asked for a point: the policy fields that it names stay as they are. */
export async function openPlannedPrediction(given: Settings, shelf: Shelf): Promise<PlanRequest> {
  const { workload: _, ...inputs } = await openInputs(given, shelf, given.planned !== 'without draft');
  return { ...inputs, ...choiceOf(given), proposers: proposersFor(given, inputs) };
}

/** All but strategy and policy. */
async function openInputs(given: Settings, shelf: Shelf, proposes: boolean) {
  const settings = { ...defaults, ...given };
  const { unit, targetFormat, drafter, maxNewTokens, draft: draftName } = settings;
  const target = await shelf.model('target', settings.target, unit, targetFormat);
  const hasDraft = proposes && draftName !== 'none' && needsDraft(drafter);
  const draft = hasDraft ? await shelf.model('draft', draftName, unit) : null;
  const machine = await openVirtualMachine(settings, shelf);
  const acceptance: Acceptance | null =
    proposes && settings.acceptance !== undefined ? await shelf.acceptance(settings.acceptance) : null;
  const lengths = await openLengths(given, target, shelf);
  return {
    ...{ target, draft, machine, acceptance, maxNewTokens, ...lengths },
    ...(drafter ? { drafter } : {}),
  };
}

async function openLengths({ workload, prompts, promptTokens }: Settings, target: Checkpoint, shelf: Shelf) {
  if (workload === undefined) {
    const [count, tokens] = [prompts ?? defaults.prompts, promptTokens ?? defaults.promptTokens];
    return { promptLengths: await shelf.equalLengths(count, tokens), workload: `${count} x ${tokens}` };
  }
  const loaded = await shelf.workload(workload, prompts ?? null, target);
  return { promptLengths: loaded.prompts.map(({ length }) => length), workload: loaded.name };
}

/** The named machine with the point's own rates and memory. */
async function openVirtualMachine(
  settings: Settings & { readonly machine: string },
  shelf: Shelf,
): Promise<MachineModel> {
  let machine = await shelf.machine(settings.machine);
  shelf.noteForeignCaps(machine, noCaps);
  const rates: (readonly [string, number])[] = Object.entries(settings)
    .filter(([name]) => name.startsWith('machine.'))
    .map(([name, value]) => [name.slice('machine.'.length), toRate(name, value)]);
  const { deviceMemory, hostMemory } = settings;
  if (deviceMemory !== undefined) rates.push(['memory.deviceBytes', toBytes('deviceMemory', deviceMemory)]);
  if (hostMemory !== undefined) rates.push(['memory.hostBytes', toBytes('hostMemory', hostMemory)]);
  // Other rates are those at the file's own frequency.
  rates.sort(([a], [b]) => Number(a.endsWith('.hertz')) - Number(b.endsWith('.hertz')));
  for (const [path, value] of rates) machine = withRate(machine, path, value);
  return machine;
}
