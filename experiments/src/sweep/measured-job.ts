/** A measured point as a plan to run, and what it is before it runs. */

import { existsSync } from 'node:fs';
import {
  assertSameVocabulary,
  defaultReadsInFlight,
  needsDraft,
  type PlanRequest,
  type PolicyInput,
  parsePolicy,
  type StrategyName,
  speculates,
  UserError,
} from '@specoffload/engine';
import type { RunSettings, Settings } from '../definitions/definition.js';
import { policyOf, productNoiseOf, samplingOf, toBytes, toCap } from '../definitions/settings.js';
import {
  type LocalSettings,
  namedFactors,
  readCaps,
  usualPrefillCores,
  withLimits,
  writeCaps,
} from '../inputs/caps.js';
import { assertCores, assertDeviceCores, hasCores } from '../inputs/cores.js';
import { namedArithmetic, usualDevice } from '../inputs/devices.js';
import { assertRunFormat } from '../inputs/packed-target.js';
import { usualAcceptance } from '../inputs/usual-acceptance.js';
import { withAccounting } from '../job/accounting.js';
import type { Job } from '../job/execute.js';
import { displayPath, localMachinePath } from '../paths.js';
import { type MeasuredSpec, specOfRun } from '../store/index.js';
import type { Tunnel } from '../tunnel/index.js';
import { choiceOf, proposersFor } from './planned-points.js';
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

type Settled = Settings & Required<Pick<Settings, keyof typeof defaults>>;

/** @throws UserError naming what cannot be opened or contradicts another setting. */
export async function openMeasuredJob(given: Settings, shelf: Shelf): Promise<MeasuredJob> {
  const { machine: where = defaults.machine } = given;
  const base = where === 'local' ? {} : settingsIn(await shelf.tunnel(where), given);
  const settings: Settled = { ...defaults, ...base, ...given };
  const { accounting = 'useful' } = settings;
  const strategy = settings.strategy as StrategyName;
  const policy = withAccounting(strategy, parsePolicy(policyOf(settings)), accounting);
  const inputs = await openInputs(settings, given, speculates(strategy, policy), shelf);
  // Sequences of one length: what stops by itself would make runs of different strategies unequal where rounding ties.
  const plan = {
    ...{ ...inputs, strategy, policy, sampling: samplingOf(settings), stopAtEos: false },
    ...productNoiseOf(settings),
  };
  return { plan, spec: specOfRun(plan) };
}

/**
 * What the planner is asked for a point on this machine: the policy fields that it names stay as they are.
 * @param machineFile whose rates are planned with
 * @returns null in a tunnel, whose file holds what the planner picks there
 */
export async function openPlannedMeasurement(
  given: Settings,
  shelf: Shelf,
  machineFile: string,
): Promise<PlanRequest | null> {
  if ((given.machine ?? defaults.machine) !== 'local') return null;
  if (machineFile === 'this' && !existsSync(localMachinePath))
    throw new UserError(
      `planned: ${given.planned} needs the rates of this machine, and there is no ${displayPath(localMachinePath)}; measure them with specoffload profile, or name a machine file by predictOn`,
    );
  const proposes = given.planned !== 'without draft';
  const settings: Settled = { ...defaults, ...given };
  const { target, draft, drafter, workload, maxNewTokens, machine } = await openInputs(
    settings,
    given,
    proposes,
    shelf,
  );
  const acceptance = proposes ? usualAcceptance(drafter, workload.name, maxNewTokens) : null;
  const job = { target, draft, acceptance, ...(drafter ? { drafter } : {}) };
  return {
    ...{ ...job, maxNewTokens, promptLengths: workload.prompts.map(({ length }) => length) },
    machine: withLimits(await shelf.machine(machineFile), machine),
    ...{
      ...choiceOf(given),
      proposers: proposersFor({ ...given, workload: workload.name }, { ...job, maxNewTokens }),
    },
  };
}

/** All but strategy and policy. */
async function openInputs(settings: Settled, given: Settings, proposes: boolean, shelf: Shelf) {
  const { drafter, maxNewTokens } = settings;
  const models = await openModels(settings, proposes && needsDraft(drafter), shelf);
  const workload = await shelf.workload(settings.workload, settings.prompts ?? null, models.target);
  assertDeviceCores(settings.device, [
    ['deviceCores', given.deviceCores],
    ['prefillCores', given.prefillCores],
  ]);
  return {
    ...{ ...models, workload, maxNewTokens, machine: toMachineSettings(settings) },
    ...(drafter ? { drafter } : {}),
    requests: requestsOf(settings),
  };
}

/** What a tunnel says, and, where a point asks for it, what the planner picked there. */
function settingsIn(tunnel: Tunnel, given: Settings): Settings {
  const { planned } = given;
  return { ...settingsOf(tunnel), ...(planned === undefined ? {} : pickOf(tunnel, planned, given)) };
}

function pickOf(
  { name, planned: picks }: Tunnel,
  which: RunSettings['planned'],
  { strategy, targetFormat }: Settings,
): Settings {
  if (which === 'with any drafter')
    throw new UserError(
      `planned: ${which} is for points outside of tunnels; ${name} holds what the planner picks there with draft, and without draft`,
    );
  const isFlexgen = strategy === 'flexgen';
  const isPacked = targetFormat !== undefined;
  if (isPacked && which === 'without draft')
    throw new UserError(
      `planned: ${which} and targetFormat: ${targetFormat} exclude each other in tunnels; ${name} holds what the planner picks with packed weights and a draft to its choice`,
    );
  const drafting = isPacked ? (isFlexgen ? 'flexgenPacked' : 'packed') : isFlexgen ? 'flexgen' : 'withDraft';
  const pick = picks[which === 'without draft' ? 'withoutDraft' : drafting];
  if (pick) return { strategy: pick.strategy, ...pick.policy };
  throw new UserError(
    `the planner found nothing ${which}${isPacked ? ` and ${targetFormat}` : ''} for ${name}; make the tunnel again, or leave it out`,
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
  settings: Pick<Settled, 'target' | 'draft' | 'targetFormat'>,
  hasDraft: boolean,
  shelf: Shelf,
): Promise<Pick<Job, 'target' | 'draft' | 'tokenizer'>> {
  const { targetFormat } = settings;
  if (targetFormat !== undefined) assertRunFormat('targetFormat', targetFormat);
  const target = await (targetFormat
    ? shelf.packed(settings.target)
    : shelf.checkpoint('target', settings.target));
  const tokenizer = await shelf.tokenizer(target.directory);
  if (!hasDraft || settings.draft === 'none') return { target, draft: null, tokenizer };
  const draft = await shelf.checkpoint('draft', settings.draft);
  assertSameVocabulary(
    { checkpoint: target, tokenizer },
    { checkpoint: draft, tokenizer: await shelf.tokenizer(draft.directory) },
  );
  return { target, draft, tokenizer };
}

function toMachineSettings(settings: Settled): LocalSettings {
  const { device, deviceCores, prefillCores, hostCores, readsInFlight } = settings;
  assertCores('deviceCores', deviceCores);
  assertCores('prefillCores', prefillCores ?? 1);
  assertCores('hostCores', hostCores);
  return {
    deviceBytes: toBytes('deviceMemory', settings.deviceMemory),
    hostBytes: toBytes('hostMemory', settings.hostMemory),
    ...{ device, deviceCores, hostCores, readsInFlight, native: 'auto' },
    // A tunnel says how many cores its device has: prompts get no others.
    prefillCores: prefillCores ?? (settings.machine === 'local' ? usualPrefillCores : undefined),
    ...namedArithmetic(settings),
    caps: readCaps<string | number>(settings, toCap),
    deviceCacheFactor: settings.deviceCacheFactor ?? 1,
    draftCacheFactor: settings.draftCacheFactor ?? 1,
  };
}
