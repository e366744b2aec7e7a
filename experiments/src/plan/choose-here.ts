/** Planning for the machine at hand: only what it can run, within the budgets of the run, at its measured rates. */

import { existsSync } from 'node:fs';
import {
  type Checkpoint,
  type DrafterName,
  type MachineModel,
  type Plan,
  type PlannedPolicy,
  type PlanRequest,
  type Policy,
  type PolicyInput,
  planRun,
  policyFieldNames,
  policyFields,
  type RunOutcome,
  type StrategyName,
  type TargetFormat,
  UserError,
  usesDraft,
} from '@specoffload/engine';
import { openAcceptance } from '../acceptance/open.js';
import { proposersOf } from '../acceptance/proposers.js';
import { type LocalSettings, withLimits } from '../inputs/caps.js';
import { describeForeignCaps } from '../inputs/machine-caps.js';
import { maybeMachinePath, openMachine } from '../inputs/machines.js';
import { displayPath } from '../paths.js';
import type { SampleSummary } from '../statistics/index.js';
import { threeDigits } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import { withDraftSpeed } from '../tunnel/index.js';
import { throughputOf } from './certainty.js';
import { type Confirmation, confirm, finalistsOf, type RunFinalist } from './confirm.js';
import { describeFormat, describePolicy, describePredicted } from './describe.js';
import { assertPolicyPlace, policyFileOf, writePolicyFile } from './policy-file.js';
import type { RecordedRouting } from './recorded-routing.js';

export interface ChooseRequest {
  readonly target: Checkpoint;
  /** The same target packed without loss, where the planner may take it instead. */
  readonly packed?: Checkpoint | undefined;
  /** Needed where something that is planned may speculate, and the drafter is a model. */
  readonly draft: Checkpoint | null;
  /** @default model: the draft model */
  readonly drafter?: DrafterName | undefined;
  /** Choose among those that need no draft model, too; the name of the workload, whose acceptances may be known. */
  readonly anyDrafterOn?: string | undefined;
  /** Whether anything that is planned may speculate. */
  readonly proposes: boolean;
  readonly machine: LocalSettings;
  /** Made by `specoffload profile`. */
  readonly machineFile: string;
  /** How many times as fast the draft is as the machine file promises, where a tunnel has measured it; else null. */
  readonly draftSpeed: number | null;
  /** As `--acceptance` takes it; null: nothing is known. */
  readonly acceptance: string | null;
  readonly strategy?: StrategyName;
  /** Fields that the planner leaves as they are. */
  readonly fixed: PolicyInput;
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
  /** Where the choice is written, as `plan --out` does; null: nowhere. */
  readonly out: string | null;
  /** As runs of the target have recorded it; null: not known. */
  readonly recorded: RecordedRouting | null;
  /** Runs finalists by turns before one is chosen; null: the prediction is trusted. */
  readonly confirmation: { readonly rounds: number; readonly run: RunFinalist } | null;
  readonly signal: AbortSignal;
}

export interface ChosenPolicy {
  readonly strategy: StrategyName;
  readonly policy: Policy;
  /** Where there was a choice and something proposes. */
  readonly drafter?: DrafterName;
  /** Where the weights are stored otherwise than the target's own. */
  readonly targetFormat?: TargetFormat;
  /** On the seed in the middle. */
  readonly predicted: RunOutcome;
  /** Over the seeds on which the planner decided. */
  readonly throughput: SampleSummary;
  /** What finalists did for real; null where nobody asked. */
  readonly confirmation: Confirmation | null;
}

/** @throws UserError when nothing fits, or the acceptance is missing. */
export async function choosePolicy(request: ChooseRequest, output: Output): Promise<ChosenPolicy> {
  const { machine: settings, machineFile, strategy, draft, drafter, proposes } = request;
  const { anyDrafterOn: workload } = request;
  if (proposes && request.acceptance === null && workload === undefined)
    throw new UserError(
      'planning with a draft needs its acceptance; give --acceptance with a rate such as 0.7 or a recorded file, or --strategy none',
    );
  if (request.out !== null) await assertPolicyPlace(request.out);
  const path = await maybeMachinePath(machineFile);
  if (path !== null && !existsSync(path))
    throw new UserError(
      `planning a run needs the rates of this machine, and there is no ${displayPath(path)}; measure them with specoffload profile, which takes a minute or two, or name what it wrote by --machine`,
    );
  const profiled = await openMachine(machineFile);
  const { draftSpeed } = request;
  const machine = withLimits(draftSpeed === null ? profiled : withDraftSpeed(profiled, draftSpeed), settings);
  const foreignCaps = describeForeignCaps(machine, settings.caps);
  if (foreignCaps !== null) output.note(`plan: ${foreignCaps}`);
  const { target, promptLengths, maxNewTokens, fixed, signal } = request;
  const follower = output.follow();
  const acceptance =
    !proposes || request.acceptance === null
      ? null
      : await openAcceptance('--acceptance', request.acceptance);
  const planned: PlanRequest = {
    ...{ target, draft, drafter, promptLengths, maxNewTokens, machine, fixed, signal, acceptance },
    ...(request.recorded ? { routing: request.recorded.routing } : {}),
    ...(request.packed ? { storedOtherwise: [request.packed] } : {}),
    proposers:
      proposes && workload !== undefined
        ? proposersOf({ target, drafter, draft, acceptance, workload, maxNewTokens })
        : undefined,
    ...(strategy ? { strategies: [strategy] } : {}),
  };
  const search = (asked: PlanRequest) =>
    planRun({
      ...asked,
      onProgress: ({ numSimulated, tokensPerSecond }) =>
        follower.update(
          () => `plan: simulated ${numSimulated} policies, best ${threeDigits(tokensPerSecond)} tokens/s`,
        ),
    }).finally(() => follower.end());
  const { plan, confirmation } = await maybeConfirm(request, planned, search, output);
  if (request.out !== null) await writePolicyFile(request.out, policyFileOf(plan, planned));
  const [best] = plan.ranked as [PlannedPolicy];
  output.note(
    `plan: ${describeChosen(best)} ${describePolicy(best.policy)}; predicted on ${machine.name} ${describePredicted(plan)}`,
  );
  if (usesDraft(best.policy)) await warnWhereNothingPays(request, machine, best, output);
  // The run is given every field as it was predicted, number of kept layers included.
  return {
    strategy: best.strategy,
    policy: best.policy,
    ...(best.drafter === undefined ? {} : { drafter: best.drafter as DrafterName }),
    ...(best.targetFormat === undefined ? {} : { targetFormat: best.targetFormat }),
    predicted: best.outcome,
    throughput: throughputOf(best),
    confirmation,
  };
}

/** Confirmed by measured runs where that is asked for; the choice comes first in the plan. */
async function maybeConfirm(
  { confirmation: asked, recorded, maxNewTokens }: ChooseRequest,
  planned: PlanRequest,
  search: (request: PlanRequest) => Promise<Plan>,
  output: Output,
): Promise<{ readonly plan: Plan; readonly confirmation: Confirmation | null }> {
  if (recorded !== null)
    output.note(`plan: experts are chosen as in the run ${recorded.run} of the same target`);
  const first = await search(planned);
  if (asked === null) return { plan: first, confirmation: null };
  let finalists = finalistsOf(first);
  let plan = first;
  const [own] = finalists as [PlannedPolicy];
  // The first run may be the first to know which experts this target's texts go to.
  const { routing } = recorded === null ? await asked.run(own, Math.min(maxNewTokens, 8)) : recorded;
  if (recorded === null && routing) {
    plan = await search({ ...planned, routing });
    const others = finalistsOf(plan).filter((one) => isOther(one, own));
    output.note(
      `plan: planned anew with the experts that a first run chose: ${others.length} other finalists`,
    );
    finalists = [own, ...others];
  }
  const confirmation = await confirm(finalists, {
    ...{ ...asked, maxNewTokens },
    onRun: (planned, tokensPerSecond) =>
      output.note(
        `plan: measured ${threeDigits(tokensPerSecond)} tokens/s: ${describeChosen(planned)} ${describePolicy(planned.policy)}`,
      ),
  });
  const ranked = [
    confirmation.choice,
    ...plan.ranked.filter((one) => one !== confirmation.choice && isOther(one, own)),
  ];
  return { plan: { ...plan, ranked }, confirmation };
}

/** Strategy, who proposes and how the weights are stored, where there was a choice. */
function describeChosen({ strategy, drafter, targetFormat }: PlannedPolicy): string {
  const by = drafter === undefined ? '' : ` by ${drafter}`;
  return `${strategy}${by}${targetFormat === undefined ? '' : `, weights ${describeFormat(targetFormat)},`}`;
}

function isOther(one: PlannedPolicy, another: PlannedPolicy): boolean {
  const textOf = ({ strategy, policy, drafter, targetFormat }: PlannedPolicy) =>
    JSON.stringify([strategy, policy, drafter, targetFormat]);
  return textOf(one) !== textOf(another);
}

/** One sentence before the run, where plain decoding is predicted to be faster than the policy that proposes. */
async function warnWhereNothingPays(
  { promptLengths, maxNewTokens, fixed, signal, ...request }: ChooseRequest,
  machine: MachineModel,
  { strategy, policy, outcome, targetFormat }: PlannedPolicy,
  output: Output,
): Promise<void> {
  const kept = Object.entries(fixed).filter(([name]) => !aboutProposing.has(name));
  const target = (targetFormat && request.packed) || request.target;
  const plain = await planRun({
    ...{ target, draft: null, promptLengths, maxNewTokens, machine, signal, acceptance: null },
    ...{ strategies: ['none'], fixed: Object.fromEntries(kept) },
    ...{ numSeeds: 1, mostSimulations: 12 },
  });
  const [best] = plain.ranked as [PlannedPolicy];
  if (best.outcome.tokensPerSecond <= outcome.tokensPerSecond) return;
  const way = policy.adaptCandidates === 'yes' ? '' : ', or add --adapt-candidates yes';
  output.note(
    `plan: proposing cannot pay here by this prediction: ${strategy} ${threeDigits(outcome.tokensPerSecond)} tokens/s, ` +
      `none ${threeDigits(best.outcome.tokensPerSecond)}; take --strategy none${way}`,
  );
}

const aboutProposing: ReadonlySet<string> = new Set([
  ...policyFieldNames.filter((name) => policyFields[name].about === 'draft'),
  ...['speculation', 'batches'],
]);
