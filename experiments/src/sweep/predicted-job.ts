/** A simulated point as a request, and what it is before it is predicted. */

import {
  type Acceptance,
  type MachineModel,
  needsDraft,
  noCaps,
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
  const { unit, targetFormat, drafter, maxNewTokens, routingSkew = 0, accounting = 'useful' } = settings;
  const strategy = settings.strategy as StrategyName;
  const policy = withAccounting(strategy, parsePolicy(policyOf(given)), accounting);
  const isSpeculating = speculates(strategy, policy);
  const target = await shelf.model('target', settings.target, unit, targetFormat);
  const hasDraft = isSpeculating && settings.draft !== 'none' && needsDraft(drafter);
  const draft = hasDraft ? await shelf.model('draft', settings.draft, unit) : null;
  const machine = await openVirtualMachine(settings, shelf);
  const acceptance: Acceptance | null =
    isSpeculating && settings.acceptance !== undefined ? await shelf.acceptance(settings.acceptance) : null;
  const { promptLengths, workload } = await openLengths(given, shelf);
  const request = {
    ...{ target, draft, machine, promptLengths, strategy, policy, maxNewTokens, acceptance, routingSkew },
    ...(drafter ? { drafter } : {}),
  };
  return { request, workload, spec: specOfPrediction(request, requestsOf(settings)) };

  async function openLengths({ workload, prompts, promptTokens }: Settings, from: Shelf) {
    if (workload === undefined) {
      const [count, tokens] = [prompts ?? defaults.prompts, promptTokens ?? defaults.promptTokens];
      return {
        promptLengths: await from.equalLengths(count, tokens),
        workload: `${count} x ${tokens}`,
      };
    }
    const loaded = await from.workload(workload, prompts ?? null, target);
    return { promptLengths: loaded.prompts.map(({ length }) => length), workload: loaded.name };
  }
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
