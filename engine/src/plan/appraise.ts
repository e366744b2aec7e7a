/** Memory and closed form of contenders, each asked only once: what a search looks at before it simulates. */

import { UserError } from '@specoffload/input';
import { limitsOf, type MachineModel } from '../machine/machine-model.js';
import type { Checkpoint } from '../model/types.js';
import { type Placed, place } from '../run/prepare.js';
import type { RunRequest } from '../run/types.js';
import type { Drafter } from '../schedule/drafter.js';
import type { DrafterName } from '../schedule/drafters.js';
import type { OpenPolicy } from '../schedule/policy.js';
import { resolvePolicy } from '../schedule/resolve.js';
import { strategyNamed, usesDraft } from '../schedule/strategies/index.js';
import { type Acceptance, assertAnswers } from '../speculate/acceptance.js';
import type { RoutingReport } from '../speculate/routing-counter.js';
import { type ClosedForm, closedForm } from './closed-form.js';
import { type Contender, chosenBeside, type Proposer } from './space.js';

/** What is to be done, and on what. */
export interface PlanningJob {
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  /** Who proposes. @default model: the draft model */
  readonly drafter?: DrafterName | Drafter | undefined;
  /** Tokens of each prompt. */
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
  /** With the budgets. */
  readonly machine: MachineModel;
  /** Needed for policies that speculate. */
  readonly acceptance: Acceptance | null;
  /** How often each expert was chosen, as a run of the target has recorded it. @default equally often */
  readonly routing?: Pick<RoutingReport, 'rowsByExpert'> | undefined;
  /** In place of draft, drafter and acceptance: those to choose among. */
  readonly proposers?: readonly Proposer[] | undefined;
  /** The same target, stored otherwise: what a planner may take in its place. */
  readonly storedOtherwise?: readonly Checkpoint[] | undefined;
  /** Of the acceptance. @default 1 */
  readonly seed?: number;
}

/** The job with who proposes in the contender, and with the target as it has it stored. */
export function jobOf<Job extends PlanningJob>(
  job: Job,
  { proposer, target }: Pick<Contender, 'proposer' | 'target'>,
): Job {
  return proposer || target ? { ...job, ...proposer, ...(target && { target }) } : job;
}

/** @throws UserError when it does not fit. */
export function placeContender(
  job: PlanningJob,
  { strategy, policy }: Pick<RunRequest, 'strategy'> & Pick<Contender, 'policy'>,
): Placed {
  const { machine, promptLengths } = job;
  const resolved = resolvePolicy(strategyNamed(strategy), policy, promptLengths.length);
  return place(job, resolved, limitsOf(machine), machine.formats);
}

export interface Appraisal {
  readonly contender: Contender;
  /** With what the engine has settled. */
  readonly policy: OpenPolicy;
  /** The same for contenders that come to the same policy. */
  readonly key: string;
  readonly closedForm: ClosedForm;
  /** newTokens / expected seconds. */
  readonly tokensPerSecond: number;
  /** newTokens / boundSeconds: no schedule of this policy is faster. */
  readonly boundTokensPerSecond: number;
}

export class Appraiser {
  readonly #job: PlanningJob;
  readonly #byContender = new Map<string, Appraisal | null>();
  readonly #byKey = new Map<string, Appraisal>();
  #numRefused = 0;
  #refusal: UserError | null = null;

  constructor(job: PlanningJob) {
    // A list of its own: what is known of it must not outlive a change that the caller makes.
    this.#job = { ...job, promptLengths: [...job.promptLengths] };
  }

  /** Different policies that fit, in the order in which they were looked at. */
  get appraisals(): readonly Appraisal[] {
    return [...this.#byKey.values()];
  }

  /** Contenders that did not fit. */
  get numRefused(): number {
    return this.#numRefused;
  }

  /** Why the contender refused last was; null when all fitted. */
  get refusal(): UserError | null {
    return this.#refusal;
  }

  /** null when it does not fit, or its fields contradict each other. */
  appraise(contender: Contender): Appraisal | null {
    const { strategy, policy } = contender;
    const entries = Object.entries(policy).sort(([a], [b]) => (a < b ? -1 : 1));
    const chosen = chosenBeside(contender);
    const text = JSON.stringify([strategy, entries, chosen]);
    const known = this.#byContender.get(text);
    if (known !== undefined) return known;
    let appraisal: Appraisal | null = null;
    try {
      appraisal = this.#appraise(contender);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#numRefused += 1;
      this.#refusal = error;
    }
    this.#byContender.set(text, appraisal);
    return appraisal;
  }

  #appraise(contender: Contender): Appraisal {
    const job = jobOf(this.#job, contender);
    const { machine, acceptance, promptLengths, maxNewTokens, routing } = job;
    const prepared = placeContender(job, contender);
    const { candidates } = prepared.policy;
    if (acceptance && usesDraft(prepared.policy))
      assertAnswers(acceptance, { candidates, sequences: promptLengths.length, newTokens: maxNewTokens });
    const key = `${contender.strategy}${chosenBeside(contender)} ${JSON.stringify(prepared.policy)}`;
    const known = this.#byKey.get(key);
    if (known) return known;
    const form = closedForm({ prepared, promptLengths, maxNewTokens, machine, acceptance, routing });
    const appraisal: Appraisal = {
      contender,
      policy: prepared.policy,
      key,
      closedForm: form,
      tokensPerSecond: form.newTokens / form.seconds,
      boundTokensPerSecond: form.newTokens / form.boundSeconds,
    };
    this.#byKey.set(key, appraisal);
    return appraisal;
  }
}
