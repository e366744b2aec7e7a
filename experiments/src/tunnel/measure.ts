/**
 * How long drafting takes for real, in one short serial run inside the tunnel. A profile is made with a draft of another
 * size, and larger products reach higher rates.
 */

import {
  type AcceptanceReport,
  type Checkpoint,
  computeLane,
  type MachineModel,
  runEngine,
  withLane,
} from '@specoffload/engine';
import { capSettingsOf } from '../inputs/caps.js';
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
  readonly signal: AbortSignal;
}

/** What a round takes, and how often the draft was right in it. */
export async function measureRound(
  request: MeasureRequest,
): Promise<{ readonly loads: PassLoads; readonly acceptance: AcceptanceReport | null }> {
  const { choice, target, draft, prompts, cores, signal } = request;
  const { policy, memory, caps } = choice;
  const { candidates = 1, batches = 1 } = policy;
  const { spans, acceptance } = await runEngine({
    ...{ target, draft, prompts, policy, signal, stopAtEos: false, strategy: 'serial' },
    // However many of the first round's candidates stand, the second proposes in full.
    maxNewTokens: 2 * (candidates + 1) + 2,
    machine: {
      ...memory,
      ...{ deviceCores: cores.device, hostCores: cores.host },
      ...capSettingsOf(caps),
    },
  });
  return { loads: loadsOf(spans, batches), acceptance };
}

/** The machine with a draft that is so many times as fast. */
export function withDraftSpeed(machine: MachineModel, factor: number): MachineModel {
  const { kinds, arithmetic: usual } = computeLane(machine, 'device');
  const arithmetic = (kinds.draft?.arithmetic ?? usual).map(([rows, rate]) => [rows, rate * factor] as const);
  return withLane(machine, 'device', { kinds: { ...kinds, draft: { ...kinds.draft, arithmetic } } });
}
