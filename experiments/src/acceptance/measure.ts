/** How often a drafter agrees with its target, measured: the target writes, and the drafter is held against every token. */

import {
  type AcceptanceTrace,
  type Checkpoint,
  type DrafterName,
  type RunProgress,
  recordAcceptance,
  runEngine,
  type SamplingInput,
  UserError,
} from '@specoffload/engine';
import type { Workload } from '../inputs/prompts.js';

export interface MeasureAcceptanceOptions {
  readonly target: Checkpoint;
  /** Needed where the drafter is a model. */
  readonly draft: Checkpoint | null;
  /** @default model: the draft model */
  readonly drafter?: DrafterName;
  readonly workload: Workload;
  /** New tokens of each sequence. */
  readonly newTokens: number;
  /** Longest stretch of candidates to try. */
  readonly candidates: number;
  /** How the target writes. @default greedily */
  readonly sampling?: SamplingInput | undefined;
  readonly onProgress?: (progress: RunProgress) => void;
  readonly signal?: AbortSignal;
}

/** Room for caches and buffers beside the weights. */
const spareBytes = 1e9;

/**
 * Both models are kept in memory whole; speed is nothing that acceptance depends on.
 * @throws UserError as `runEngine`
 */
export async function measureAcceptance(options: MeasureAcceptanceOptions): Promise<AcceptanceTrace> {
  const { target, draft, drafter, workload, newTokens, candidates, sampling, onProgress, signal } = options;
  if (!(Number.isInteger(candidates) && candidates >= 1))
    throw new UserError(`invalid candidates: ${candidates}; expected a whole number from 1`);
  const followed = { ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) };
  const { sequences } = await runEngine({
    ...{ target, draft: null, strategy: 'none', prompts: workload.prompts, stopAtEos: false, ...followed },
    ...{ maxNewTokens: newTokens, machine: roomFor(target), sampling },
  });
  return recordAcceptance({
    ...{ name: workload.name, draft, drafter, candidates, newTokens, sampling, ...followed },
    machine: roomFor(draft ?? target),
    texts: sequences.map(({ ids }, index) => ({ prompt: workload.prompts[index], newIds: ids })),
  });
}

/** Device memory holds fp32, twice what is stored. */
function roomFor({ bytes }: Checkpoint) {
  return { deviceBytes: 2 * bytes + spareBytes, hostBytes: bytes + spareBytes };
}
