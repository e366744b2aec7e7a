/**
 * How long drafting takes for real, in one short serial run inside the tunnel. A profile is made with a draft of another
 * size, and larger products reach higher rates.
 */

import {
  type AcceptanceReport,
  type ArithmeticName,
  type Checkpoint,
  changedArithmetic,
  computeLane,
  type MachineModel,
  withLane,
} from '@specoffload/engine';
import { localSettings } from '../inputs/caps.js';
import { namedArithmetic } from '../inputs/devices.js';
import { type Job, runPlan } from '../job/execute.js';
import { type MeasuredSpec, specOfRun } from '../store/index.js';
import type { Choice } from './choose.js';
import { loadsOf, type PassLoads } from './loads.js';
import type { Tunnel } from './tunnel-file.js';

export interface MeasureRequest {
  readonly choice: Choice;
  readonly target: Checkpoint;
  readonly draft: Checkpoint;
  /** Token ids, as many as the choice runs. */
  readonly prompts: readonly (readonly number[])[];
  readonly cores: Tunnel['cores'];
  /** Kind of it. */
  readonly device: string;
  readonly arithmetic?: ArithmeticName | undefined;
  readonly signal: AbortSignal;
}

/** What a round takes, how often the draft was right in it, and what was run. */
export interface MeasuredRound {
  readonly loads: PassLoads;
  readonly acceptance: AcceptanceReport | null;
  readonly spec: MeasuredSpec;
}

export async function measureRound(request: MeasureRequest): Promise<MeasuredRound> {
  const { choice, target, draft, prompts, cores, device, arithmetic, signal } = request;
  const { policy, memory, caps } = choice;
  const { candidates = 1, batches = 1 } = policy;
  const job: Job = {
    ...{ target, draft, tokenizer: null, policy, stopAtEos: false, strategy: 'serial' },
    workload: { name: 'one round', prompts },
    // However many of the first round's candidates stand, the second proposes in full.
    maxNewTokens: 2 * (candidates + 1) + 2,
    machine: localSettings({
      ...{ ...memory, device, ...namedArithmetic({ arithmetic }) },
      ...{ deviceCores: cores.device, prefillCores: undefined, hostCores: cores.host },
      caps,
    }),
  };
  const { spans, acceptance } = await runPlan(job, signal);
  return { loads: loadsOf(spans, batches), acceptance, spec: specOfRun(job) };
}

/** The machine with a draft that is so many times as fast. */
export function withDraftSpeed(machine: MachineModel, factor: number): MachineModel {
  const faster = changedArithmetic(computeLane(machine, 'device'), 'draft', (arithmetic) =>
    arithmetic.map(([rows, rate]) => [rows, rate * factor]),
  );
  return withLane(machine, 'device', faster);
}
