/** How often a drafter agrees with its target, measured: the target writes, and the drafter is held against every token. */

import {
  type AcceptanceTrace,
  type Checkpoint,
  type DrafterName,
  type RoutingReport,
  type RunProgress,
  recordAcceptance,
  type SamplingInput,
  UserError,
} from '@specoffload/engine';
import { localSettings } from '../inputs/caps.js';
import { toDevice, usualDevice } from '../inputs/devices.js';
import type { Workload } from '../inputs/prompts.js';
import { type Job, runPlan } from '../job/execute.js';
import { type AcceptanceSpec, specOfAcceptance, specOfRun } from '../store/index.js';

export interface MeasureAcceptanceOptions {
  readonly target: Checkpoint;
  /** Needed where the drafter is a model. */
  readonly draft: Checkpoint | null;
  /** @default model: the draft model */
  readonly drafter?: DrafterName;
  /** Kind of device that computes. @default cpu */
  readonly device?: string;
  readonly workload: Workload;
  /** New tokens of each sequence. */
  readonly newTokens: number;
  /** Longest stretch of candidates to try. */
  readonly candidates: number;
  /** As `recordAcceptance` takes it. @default false */
  readonly secondChoices?: boolean;
  /** How the target writes. @default greedily */
  readonly sampling?: SamplingInput | undefined;
  readonly onProgress?: (progress: RunProgress) => void;
  readonly signal?: AbortSignal;
}

/** What was counted, and of what. */
export interface MeasuredAcceptance extends AcceptanceTrace {
  readonly spec: AcceptanceSpec;
}

/** What the texts of a workload show of the models: nothing of it depends on the machine. */
export interface RecordedTexts {
  readonly acceptance: MeasuredAcceptance;
  /** How many rows chose each expert; null where nothing is routed. */
  readonly routing: RoutingReport | null;
}

/** Room for caches and buffers beside the weights. */
const spareBytes = 1e9;

/**
 * Both models are kept in memory whole; speed is nothing that acceptance depends on.
 * @throws UserError as `runEngine`
 */
export async function measureAcceptance(options: MeasureAcceptanceOptions): Promise<MeasuredAcceptance> {
  return (await recordTexts(options)).acceptance;
}

/** As {@link measureAcceptance}, with what the target's routers chose meanwhile. */
export async function recordTexts(options: MeasureAcceptanceOptions): Promise<RecordedTexts> {
  const { target, draft, drafter, device, workload, newTokens, candidates, sampling, onProgress, signal } =
    options;
  const { secondChoices = false } = options;
  if (!(Number.isInteger(candidates) && candidates >= 1))
    throw new UserError(`invalid candidates: ${candidates}; expected a whole number from 1`);
  const job: Job = {
    ...{ strategy: 'none', policy: {}, target, draft: null, tokenizer: null, workload, stopAtEos: false },
    ...{ maxNewTokens: newTokens, machine: roomFor(target, device), sampling },
  };
  const { sequences, routing = null } = await runPlan(job, signal, onProgress);
  const machine = roomFor(draft ?? target, device);
  const trace = await recordAcceptance({
    ...{ name: workload.name, target, draft, drafter, candidates, newTokens, sampling, secondChoices },
    ...{ machine, device: toDevice(machine) },
    ...{ ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) },
    texts: sequences.map(({ ids }, index) => ({ prompt: workload.prompts[index], newIds: ids })),
  });
  const spec = specOfAcceptance(specOfRun(job), { draft, drafter, sampling }, candidates);
  return { acceptance: { ...trace, spec }, routing };
}

/** Device memory holds fp32, twice what is stored. */
export function roomFor({ bytes }: Checkpoint, device: string = usualDevice) {
  return localSettings({ deviceBytes: 2 * bytes + spareBytes, hostBytes: bytes + spareBytes, device });
}
