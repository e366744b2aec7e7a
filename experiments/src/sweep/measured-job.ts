/** A measured point as a plan to run, and what it is before it runs. */

import {
  assertSameVocabulary,
  defaultReadsInFlight,
  needsDraft,
  type PolicyInput,
  parsePolicy,
  type StrategyName,
  speculates,
  UserError,
} from '@specoffload/engine';
import type { Settings } from '../definitions/definition.js';
import { policyOf, samplingOf, toBytes, toCap } from '../definitions/settings.js';
import { type LocalSettings, namedFactors, readCaps, writeCaps } from '../inputs/caps.js';
import { assertCores, assertDeviceCores, hasCores } from '../inputs/cores.js';
import { namedArithmetic, usualDevice } from '../inputs/devices.js';
import { withAccounting } from '../job/accounting.js';
import type { Job } from '../job/execute.js';
import { type MeasuredSpec, specOfRun } from '../store/index.js';
import type { Tunnel } from '../tunnel/index.js';
import { requestsOf } from './requests.js';
import type { Shelf } from './shelf.js';

export interface MeasuredJob {
  readonly plan: Job;
  readonly spec: MeasuredSpec;
}

const defaults = {
  ...{ strategy: 'specoffload', target: 'pair', draft: 'pair', machine: 'local' },
  ...{ workload: 'code', maxNewTokens: 32, deviceMemory: '512MB', hostMemory: '512MB' },
  ...{ device: usualDevice, deviceCores: 1, hostCores: 1, readsInFlight: defaultReadsInFlight },
} satisfies Settings;

/** @throws UserError naming what cannot be opened or contradicts another setting. */
export async function openMeasuredJob(given: Settings, shelf: Shelf): Promise<MeasuredJob> {
  const { machine: where = defaults.machine } = given;
  const base = where === 'local' ? {} : settingsIn(await shelf.tunnel(where), given);
  if (where === 'local') assertUnplanned(given);
  const settings = { ...defaults, ...base, ...given };
  const { maxNewTokens, accounting = 'useful' } = settings;
  const strategy = settings.strategy as StrategyName;
  const policy = withAccounting(strategy, parsePolicy(policyOf(settings)), accounting);
  const { drafter } = settings;
  const models = await openModels(settings, speculates(strategy, policy) && needsDraft(drafter), shelf);
  const workload = await shelf.workload(settings.workload, settings.prompts ?? null, models.target);
  assertDeviceCores(settings.device, [
    ['deviceCores', given.deviceCores],
    ['prefillCores', given.prefillCores],
  ]);
  const machine = toMachineSettings(settings);
  // Sequences of one length: what stops by itself would make runs of different strategies unequal where rounding ties.
  const sampling = samplingOf(settings);
  const plan = {
    ...{ ...models, strategy, policy, sampling, machine, workload, maxNewTokens, stopAtEos: false },
    ...(drafter ? { drafter } : {}),
    requests: requestsOf(settings),
  };
  return { plan, spec: specOfRun(plan) };
}

/** What a tunnel says, and, where a point asks for it, what the planner picked there. */
function settingsIn(tunnel: Tunnel, { planned }: Settings): Settings {
  return { ...settingsOf(tunnel), ...(planned === undefined ? {} : pickOf(tunnel, planned)) };
}

function pickOf({ name, planned: picks }: Tunnel, which: 'with draft' | 'without draft'): Settings {
  const pick = picks[which === 'with draft' ? 'withDraft' : 'withoutDraft'];
  if (pick) return { strategy: pick.strategy, ...pick.policy };
  throw new UserError(
    `the planner found nothing ${which} for ${name}; make the tunnel again, or leave it out`,
  );
}

function assertUnplanned({ planned }: Settings): void {
  if (planned !== undefined)
    throw new UserError(
      `planned: ${planned} needs a tunnel, whose file holds what the planner picks there; set machine to one, such as tunnel:env1`,
    );
}

/** What a tunnel says, as settings that a point's own go before. */
function settingsOf({ models, caps, cores, device, arithmetic, memory, workload, policy }: Tunnel): Settings {
  return {
    ...models,
    ...(policy as PolicyInput),
    ...{ workload: workload.name, prompts: workload.prompts, maxNewTokens: workload.maxNewTokens },
    ...{ deviceMemory: memory.deviceBytes, hostMemory: memory.hostBytes, ...namedFactors(memory) },
    ...{ device, ...(arithmetic && { arithmetic }) },
    ...{ ...(hasCores(device) && { deviceCores: cores.device }), hostCores: cores.host },
    ...writeCaps(caps, (rate) => rate),
  };
}

async function openModels(
  settings: { readonly target: string; readonly draft: string },
  hasDraft: boolean,
  shelf: Shelf,
): Promise<Pick<Job, 'target' | 'draft' | 'tokenizer'>> {
  const target = await shelf.checkpoint('target', settings.target);
  const tokenizer = await shelf.tokenizer(target.directory);
  if (!hasDraft || settings.draft === 'none') return { target, draft: null, tokenizer };
  const draft = await shelf.checkpoint('draft', settings.draft);
  assertSameVocabulary(
    { checkpoint: target, tokenizer },
    { checkpoint: draft, tokenizer: await shelf.tokenizer(draft.directory) },
  );
  return { target, draft, tokenizer };
}

function toMachineSettings(
  settings: Settings &
    Required<
      Pick<Settings, 'deviceMemory' | 'hostMemory' | 'device' | 'deviceCores' | 'hostCores' | 'readsInFlight'>
    >,
): LocalSettings {
  const { device, deviceCores, prefillCores = deviceCores, hostCores, readsInFlight } = settings;
  assertCores('deviceCores', deviceCores);
  assertCores('prefillCores', prefillCores);
  assertCores('hostCores', hostCores);
  return {
    deviceBytes: toBytes('deviceMemory', settings.deviceMemory),
    hostBytes: toBytes('hostMemory', settings.hostMemory),
    ...{ device, deviceCores, prefillCores, hostCores, readsInFlight, native: 'auto' },
    ...namedArithmetic(settings),
    caps: readCaps<string | number>(settings, toCap),
    deviceCacheFactor: settings.deviceCacheFactor ?? 1,
    draftCacheFactor: settings.draftCacheFactor ?? 1,
  };
}
