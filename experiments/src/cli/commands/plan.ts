/** `specoffload plan`: the fastest policy for a machine, models and workload, what binds it, and what it gains. */

import {
  climbLadder,
  defaultNumSeeds,
  defaultSimulations,
  type FrontAim,
  frontAims,
  type Ladder,
  type Plan,
  type PlannedPolicy,
  planRun,
  relaxResources,
  type SearchProgress,
  type StrategyName,
  strategyNames,
  UserError,
} from '@specoffload/engine';
import type { Command } from 'commander';
import { proposersOf } from '../../acceptance/proposers.js';
import { displayPath } from '../../paths.js';
import { bindingOf, type Gain, gainsOf, ratioBySeed, regretOf, throughputOf } from '../../plan/certainty.js';
import {
  describeBest,
  describeChoice,
  describeEffort,
  describeGains,
  describeLadder,
} from '../../plan/describe.js';
import { parseAims } from '../../plan/describe-front.js';
import { assertPolicyPlace, policyFileOf, writePolicyFile } from '../../plan/policy-file.js';
import { openRouting } from '../../plan/recorded-routing.js';
import { publishedPolicyFor } from '../../reproduce/published.js';
import { UsageError } from '../../terminal/errors.js';
import { threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import {
  type CommandContext,
  type CommonOptions,
  flagsGivenTo,
  type IsGiven,
  oneOf,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { addAnyDrafterOption } from './draft-use.js';
import { planAndShowFront } from './plan-front.js';
import { addPolicyOptions, type PolicyOptions, toPolicyInput } from './policy-options.js';
import {
  addPredictionOptions,
  describePrediction,
  noteForeignCaps,
  openPrediction,
  type PredictionOptions,
} from './prediction-options.js';

interface PlanOptions extends CommonOptions, PredictionOptions, PolicyOptions {
  readonly strategy?: StrategyName;
  readonly top: number;
  readonly published: string;
  readonly simulations: number;
  readonly seeds: number;
  readonly anyDrafter?: true;
  readonly out?: string;
  readonly routing?: string;
  readonly pareto?: readonly FrontAim[];
  readonly row?: number;
}

export function addPlanCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('plan')
    .description(
      'find the fastest policy for a machine, what binds it, and what it gains over SpecOffload as published',
    )
    .option(
      '--strategy <name>',
      `plan only for one of ${strategyNames.join(', ')}; a competitor's batches are planned, the rest is what it is`,
      oneOf('--strategy', strategyNames),
    )
    .option('--top <n>', 'other kinds of policy to show', wholeNumber('--top', 1, 100), 8)
    .option('--published <dataset>', 'whose published batch sizes to compare with', 'HumanEval')
    .option(
      '--simulations <n>',
      'simulations that the search may spend, all on --seed',
      wholeNumber('--simulations', 1, 10_000),
      defaultSimulations,
    )
    .option(
      '--seeds <n>',
      'seeds over which finalists are decided, those behind --seed: more make intervals narrower',
      wholeNumber('--seeds', 1, 1000),
      defaultNumSeeds,
    )
    .option('--out <file>', 'write the choice to a file that run and simulate take as --policy')
    .option(
      '--routing <run>',
      "a measured run's folder: experts are chosen as often as its record says (default: equally often)",
    )
    .option(
      '--pareto <aims>',
      `in place of one plan, those that no other is as good as in throughput and in each of ${frontAims.join(', ')}, such as device-memory or latency,energy`,
      (text) => parseAims('--pareto', text),
    )
    .option(
      '--row <n>',
      'with --pareto: which row --out writes (default: 1, the fastest)',
      wholeNumber('--row', 1, 1000),
    );
  addPredictionOptions(command, true);
  addAnyDrafterOption(command);
  addPolicyOptions(command);
  withCommonOptions(
    command,
    'specoffload plan --machine env1 --acceptance 0.7',
    'specoffload plan --strategy flexgen --draft none --seeds 15',
    'specoffload plan --any-drafter --target llama-3.1-8b --prompts 8',
    'specoffload plan --acceptance 0.7 --target-format lossless',
    'specoffload plan --acceptance 0.7 --pareto device-memory,latency --out policy.json --row 3',
    'specoffload plan --acceptance 0.7 --out policy.json && specoffload simulate --policy policy.json --acceptance 0.7',
    'specoffload plan --machine env2 --target mixtral-8x22b --prompts 256 --acceptance 0.8,0.76,0.73,0.7,0.68,0.66 --draft-cache recompute',
  ).action((options: PlanOptions) => {
    return plan(options, flagsGivenTo(command), outputFor(options), context.signal);
  });
}

async function plan(
  options: PlanOptions,
  isGiven: IsGiven,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const fixed = toPolicyInput(options);
  const { strategy, out, pareto, row } = options;
  if (pareto === undefined && row !== undefined)
    throw new UsageError('--row is for --pareto, whose table has the rows; leave it out, or give --pareto');
  if (out !== undefined) await assertPolicyPlace(out);
  const choice = { ...(strategy ? { strategy } : {}), policy: fixed, isPlanned: true };
  const prediction = await openPrediction(options, choice, isGiven, output);
  const published = await publishedPolicyFor(options.target, options.published);
  const { workload: _workload, ...asked } = prediction;
  const proposers = options.anyDrafter ? proposersOf({ ...asked, workload: options.workload }) : undefined;
  const job = {
    ...{ ...asked, acceptance: asked.acceptance ?? proposers?.[0].acceptance ?? null },
    ...(options.routing === undefined ? {} : { routing: openRouting(options.routing, asked.target) }),
  };
  output.note(`plan: ${describePrediction(prediction)}`);
  noteForeignCaps(prediction, output);
  const request = {
    ...{ ...job, proposers, fixed, signal, mostSimulations: options.simulations },
    ...(options.strategy ? { strategies: [options.strategy] } : {}),
    ...(pareto && !isGiven('seeds') ? {} : { numSeeds: options.seeds }),
  };
  if (pareto) return planAndShowFront(request, { pareto, row, out }, output);
  const startSeconds = performance.now() / 1000;
  const follower = output.follow();
  const found = await planRun({
    ...request,
    onProgress: (progress) => follower.update(() => describeSearch(progress)),
  }).finally(() => follower.end());
  const gains = gainsOf(await relaxResources(request, found, { signal }));
  const ladder = await maybeLadder(
    () => climbLadder(job, found, { published: published.policy, signal }),
    job.draft !== null,
  );
  const seconds = performance.now() / 1000 - startSeconds;

  if (out !== undefined) await writePolicyFile(out, policyFileOf(found, request));
  output.say(describeChoice(found, options.top));
  output.say(`\n${describeBest(found, gains)}`);
  output.say(`\n${describeGains(gains)}`);
  if (typeof ladder === 'string') output.say(`\n${ladder}`);
  else if (ladder) output.say(`\n${describeLadder(ladder, found, published.source)}`);
  output.say(`\n${describeEffort(found, seconds)}`);
  if (out !== undefined)
    output.say(
      `\nwritten to ${displayPath(out)}; specoffload run or simulate --policy ${displayPath(out)} uses it`,
    );
  output.document(documentOf(found, gains, ladder, { published: published.source, seconds }));
}

function documentOf(
  plan: Plan,
  gains: readonly Gain[],
  ladder: Ladder | string | null,
  { published, seconds }: { readonly published: string; readonly seconds: number },
) {
  const { ranked, bestByWay, alternatives, seeds, searchSeed } = plan;
  const [best] = ranked as [PlannedPolicy];
  const ratioOf = (bySeed: readonly number[]) => ratioBySeed(bySeed, best.tokensPerSecondBySeed);
  const overPublished = (bySeed: readonly number[] | null) =>
    bySeed && typeof ladder === 'object' && ladder ? ratioBySeed(bySeed, ladder.publishedBySeed) : null;
  return {
    ...{ kind: 'predicted', seeds, searchSeed, best, tokensPerSecond: throughputOf(best) },
    regret: regretOf(plan),
    alternatives: alternatives.map(({ planned, differences }) => ({
      ...{ ...planned, differences, overChoice: ratioOf(planned.tokensPerSecondBySeed) },
    })),
    ...{ ranked, bestByWay, gains, binding: bindingOf(gains) },
    ladder:
      typeof ladder === 'string' || ladder === null
        ? null
        : {
            ...ladder,
            steps: ladder.steps.map((step) => ({
              ...step,
              overPublished: overPublished(step.tokensPerSecondBySeed),
            })),
            together: overPublished(best.tokensPerSecondBySeed),
          },
    published,
    effort: {
      considered: plan.numConsidered,
      refused: plan.numRefused,
      simulated: plan.numSimulated,
      climbed: plan.numClimbed,
      predictions: plan.numPredictions,
      seconds,
    },
  };
}

/** A sentence where the published policy does not fit this machine; null without a draft. */
async function maybeLadder(climb: () => Promise<Ladder>, hasDraft: boolean): Promise<Ladder | string | null> {
  if (!hasDraft) return null;
  try {
    return await climb();
  } catch (error) {
    if (error instanceof UserError) return `SpecOffload as published cannot run here: ${error.message}`;
    throw error;
  }
}

function describeSearch({ numSimulated, mostSimulations, tokensPerSecond }: SearchProgress): string {
  const best = `best so far ${threeDigits(tokensPerSecond)} tokens/s`;
  return mostSimulations === null
    ? `plan: deciding among the finalists, ${numSimulated} runs simulated, ${best}`
    : `plan: simulated ${numSimulated} of at most ${mostSimulations} policies, ${best}`;
}
