/** Points whose policy is the planner's pick for their own machine, models, budgets and prompts. */

import {
  type DrafterName,
  flattenMachine,
  type PlanRequest,
  parsePolicy,
  planRun,
  predictionVersion,
  type StrategyName,
  UserError,
} from '@specoffload/engine';
import { proposersOf } from '../acceptance/proposers.js';
import type { Settings } from '../definitions/definition.js';
import { describeAxes, type Point } from '../definitions/expand.js';
import { policyOf } from '../definitions/settings.js';
import { policyFileOf } from '../plan/policy-file.js';
import { digestOf, digestOnce, type Json } from '../store/canonical.js';
import { collectProvenance, type PlannedRecord, type PointRecord, scanRuns } from '../store/index.js';
import { allAnswersOf, type RunSpec } from '../store/spec.js';
import { formatSeconds, threeDigits } from '../terminal/format.js';
import type { SweepRequest } from './options.js';
import type { RunEnd } from './worker.js';

/** A point as it will run, known before it does. */
export interface SettledPoint {
  /** Of the policy that runs. */
  readonly spec: RunSpec;
  readonly planned?: PlannedRecord;
}

/** What differs by the kind of run. */
export interface PlannableRuns {
  specOf(settings: Settings): Promise<RunSpec>;
  /** What the planner is asked; null for points that name their policy. */
  planRequestOf(settings: Settings): Promise<PlanRequest | null>;
}

/** What a point's runs are given: where it was planned, the pick in place of the wish for one. */
export function settingsToRun({ settings, planned }: Pick<PointRecord, 'settings' | 'planned'>): Settings {
  if (!planned) return settings as Settings;
  const { strategy, policy, drafter } = planned;
  return {
    ...withoutPlan(settings as Settings),
    ...{ strategy, ...policy },
    ...(drafter === null ? {} : { drafter: drafter as DrafterName }),
  };
}

/** What of a point's strategy and policy the planner leaves as it is. */
export function choiceOf(settings: Settings): Pick<PlanRequest, 'strategies' | 'fixed'> {
  const { strategy } = settings;
  return {
    ...(strategy === undefined ? {} : { strategies: [strategy as StrategyName] }),
    fixed: parsePolicy(policyOf(settings)),
  };
}

/** Among whom the planner chooses; left out: nobody but the point's own drafter. */
export function proposersFor(
  { planned, workload }: Settings,
  job: Pick<PlanRequest, 'target' | 'draft' | 'acceptance' | 'maxNewTokens'> & {
    readonly drafter?: DrafterName | undefined;
  },
): PlanRequest['proposers'] {
  return planned === 'with any drafter' ? proposersOf({ ...job, workload }) : undefined;
}

/** What of a sweep its planner needs. */
type PlannedSweep = Pick<SweepRequest, 'results' | 'output' | 'signal'> & {
  readonly definition: Pick<SweepRequest['definition'], 'name'>;
};

/** Plans points, each input once: what a record of the experiment holds is not searched again by the same code. */
export class PointPlanner {
  readonly #sweep: PlannedSweep;
  readonly #runs: PlannableRuns;
  readonly #plans = new Map<string, PlannedRecord | UserError>();
  /** Of points that no policy fits. */
  readonly #refusals = new Map<string, RunEnd>();
  #code: Promise<string | null> | null = null;

  constructor(sweep: PlannedSweep, runs: PlannableRuns) {
    this.#sweep = sweep;
    this.#runs = runs;
  }

  async settle({ settings, axes }: Point): Promise<SettledPoint> {
    const request = settings.planned === undefined ? null : await this.#runs.planRequestOf(settings);
    if (request === null) return { spec: await this.#runs.specOf(settings) };
    const found = await this.#planOnce(request, axes);
    if (found instanceof UserError) {
      const strategy = settings.strategy ?? 'none';
      const spec = await this.#runs.specOf({ ...withoutPlan(settings), strategy });
      const reason = `no policy fits: ${found.message}`;
      this.#refusals.set(JSON.stringify(axes), { end: 'refused', reason });
      return { spec };
    }
    const spec = await this.#runs.specOf(settingsToRun({ settings: settings as never, planned: found }));
    return { spec, planned: found };
  }

  /** What comes of a point's runs where there is nothing to run. */
  refusalOf({ axes }: PointRecord): RunEnd | undefined {
    return this.#refusals.get(JSON.stringify(axes));
  }

  async #planOnce(request: PlanRequest, axes: Point['axes']): Promise<PlannedRecord | UserError> {
    this.#code ??= this.#readPlans();
    const input = digestOfInput(request, await this.#code);
    const plan = this.#plans.get(input) ?? (await this.#plan(request, input, axes));
    this.#plans.set(input, plan);
    return plan;
  }

  async #plan(request: PlanRequest, input: string, axes: Point['axes']): Promise<PlannedRecord | UserError> {
    const { output, signal, definition } = this.#sweep;
    const note = (sentence: string) => output.note(`${definition.name}: ${sentence}`);
    if (this.#plans.size === 0) note('planning points first, some seconds each');
    const startSeconds = performance.now() / 1000;
    try {
      const { schema: _, plannedFor, ...pick } = policyFileOf(await planRun({ ...request, signal }), request);
      const took = formatSeconds(performance.now() / 1000 - startSeconds);
      const by = pick.drafter === null ? '' : ` by ${pick.drafter}`;
      const rate = threeDigits(plannedFor.tokensPerSecond);
      note(`planned ${describeAxes(axes)} in ${took}: ${pick.strategy}${by}, predicted ${rate} tokens/s`);
      const { targetFormat: _format, ...described } = plannedFor;
      return { ...pick, input, plannedFor: described };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return error;
    }
  }

  /** Those in the experiment's records. @returns which code plans now */
  async #readPlans(): Promise<string | null> {
    const { results, definition, signal } = this.#sweep;
    for await (const { record } of scanRuns({ results, experiment: definition.name, signal })) {
      const planned = record.point?.planned;
      if (planned) this.#plans.set(planned.input, planned);
    }
    return (await collectProvenance()).commit;
  }
}

function withoutPlan({ planned: _, ...settings }: Settings): Settings {
  return settings;
}

function digestOfInput(request: PlanRequest, code: string | null): string {
  const { target, draft, drafter = 'model', promptLengths, maxNewTokens, machine } = request;
  const { acceptance, proposers, strategies = null, fixed = {} } = request;
  const answers = (one: PlanRequest['acceptance']) => one && digestOnce(one, allAnswersOf);
  return digestOf({
    ...{ code, version: predictionVersion, strategies, fixed, drafter, maxNewTokens },
    models: [target.digest, draft?.digest ?? null],
    ...{ machine: digestOnce(machine, flattenMachine), prompts: digestOnce(promptLengths) },
    acceptance: answers(acceptance),
    proposers: proposers?.map((one) => [one.drafter, answers(one.acceptance), one.policy ?? {}]) ?? null,
  } as Json).slice(0, 32);
}
