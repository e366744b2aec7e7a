/** What a drafter gets right of the texts that measured runs wrote: once for all runs of the same texts. */

import { type AcceptanceTrace, recordAcceptance } from '@specoffload/engine';
import { roomFor } from '../acceptance/measure.js';
import { toDevice } from '../inputs/devices.js';
import { openRun, readTokens } from '../store/index.js';
import type { MeasuredJob } from './measured-job.js';

/** More than any of the points proposes; a trace of more candidates answers for fewer. */
const leastCandidates = 4;

export class MeasuredAcceptances {
  readonly #candidates: number;
  readonly #secondChoices: boolean;
  readonly #signal: AbortSignal;
  readonly #traces = new Map<string, Promise<AcceptanceTrace>>();

  /** @param jobs all that will be asked about */
  constructor(jobs: readonly MeasuredJob[], signal: AbortSignal) {
    this.#candidates = Math.max(leastCandidates, ...jobs.map(({ plan }) => plan.policy.candidates ?? 0));
    this.#secondChoices = jobs.some(({ plan }) => (plan.policy.alternates ?? 0) > 0);
    this.#signal = signal;
  }

  /**
   * @param folder of a record whose tokens the drafter is held against
   * @param seed of that record
   */
  of({ plan, spec }: MeasuredJob, folder: string, seed: number): Promise<AcceptanceTrace> {
    const { target, draft, drafter, workload, maxNewTokens } = plan;
    const sampling = plan.sampling && { ...plan.sampling, seed };
    const { device } = plan.machine;
    const policy = drafter === 'self' ? openRun(folder).record.policy : undefined;
    const layers = policy && [policy.draftLayers, policy.pinnedLayers];
    const key = JSON.stringify([spec.models, drafter, layers, spec.prompts, maxNewTokens, sampling, device]);
    const known =
      this.#traces.get(key) ??
      (async () =>
        recordAcceptance({
          ...{ name: workload.name, target, policy, draft, drafter, newTokens: maxNewTokens, sampling },
          ...{ signal: this.#signal, candidates: this.#candidates },
          secondChoices: this.#secondChoices,
          machine: roomFor(draft ?? target, device),
          device: toDevice(plan.machine),
          texts: (await readTokens(folder)).map(({ promptIds, ids }) => ({
            prompt: promptIds,
            newIds: ids,
          })),
        }))();
    this.#traces.set(key, known);
    return known;
  }
}
