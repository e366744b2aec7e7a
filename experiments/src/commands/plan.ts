/** `specoffload plan`: the fastest policy for a machine, models and workload, what binds it, and what it gains. */

import {
  analyseSensitivity,
  climbLadder,
  type Ladder,
  type PlannedPolicy,
  planRun,
  type SearchProgress,
  type StrategyName,
  strategyNames,
  UserError,
} from '@specoffload/engine';
import type { Command } from 'commander';
import { threeDigits } from '../format.js';
import type { Output } from '../output.js';
import {
  describeBest,
  describeEffort,
  describeLadder,
  describePlans,
  describeSensitivity,
} from '../plan-report.js';
import { publishedPolicyFor } from '../published.js';
import {
  type CommandContext,
  type CommonOptions,
  oneOf,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
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
    .option('--top <n>', 'policies to show', wholeNumber('--top', 1, 100), 5)
    .option('--published <dataset>', 'whose published batch sizes to compare with', 'HumanEval')
    .option(
      '--simulations <n>',
      'simulations that the search may spend',
      wholeNumber('--simulations', 1, 10_000),
      30,
    );
  addPredictionOptions(command);
  addPolicyOptions(command);
  withCommonOptions(
    command,
    'specoffload plan --machine env1 --acceptance 0.7',
    'specoffload plan --machine env2 --target mixtral-8x22b --prompts 256 --acceptance 0.8,0.7,0.6 --draft-cache recompute',
  ).action((options: PlanOptions) => {
    const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli';
    return plan(options, isGiven, outputFor(options), context.signal);
  });
}

async function plan(
  options: PlanOptions,
  isGiven: (name: string) => boolean,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const fixed = toPolicyInput(options);
  const { strategy, acceptance } = options;
  const question = { ...(strategy ? { strategy } : {}), policy: fixed, isPlanned: true, acceptance };
  const prediction = await openPrediction(options, question, isGiven, output);
  const published = await publishedPolicyFor(options.target, options.published);
  const { workload: _workload, ...job } = prediction;
  output.note(`plan: ${describePrediction(prediction)}`);
  noteForeignCaps(prediction, output);
  const startSeconds = performance.now() / 1000;
  const follower = output.follow();
  const found = await planRun({
    ...{ ...job, fixed, signal, mostSimulations: options.simulations },
    ...(options.strategy ? { strategies: [options.strategy] } : {}),
    onProgress: (progress) => follower.update(() => describeSearch(progress)),
  }).finally(() => follower.end());
  const [best] = found.ranked as [PlannedPolicy];
  const sensitivity = await analyseSensitivity(job, best, signal);
  const ladder = await maybeLadder(
    () => climbLadder(job, best, published.policy, signal),
    job.draft !== null,
  );
  const seconds = performance.now() / 1000 - startSeconds;

  output.say(describePlans(found.ranked.slice(0, options.top), 'best policies, predicted'));
  if (found.bestByWay.length > 1)
    output.say(`\n${describePlans(found.bestByWay, 'the best of each way of speculating')}`);
  output.say(`\n${describeBest(best)}`);
  output.say(`\n${describeSensitivity(sensitivity)}`);
  if (typeof ladder === 'string') output.say(`\n${ladder}`);
  else if (ladder) output.say(`\n${describeLadder(ladder, published.source)}`);
  output.say(`\n${describeEffort(found, seconds)}`);
  output.document({
    kind: 'predicted',
    best,
    ranked: found.ranked.slice(0, options.top),
    bestByWay: found.bestByWay,
    sensitivity,
    ladder: typeof ladder === 'string' ? null : ladder,
    published: published.source,
    effort: {
      considered: found.numConsidered,
      refused: found.numRefused,
      simulated: found.numSimulated,
      seconds,
    },
  });
}

/** A sentence where the published policy does not fit this machine; null without a draft. */
async function maybeLadder(climb: () => Promise<Ladder>, hasDraft: boolean): Promise<Ladder | string | null> {
  if (!hasDraft) return null;
  try {
    return await climb();
  } catch (error) {
    if (error instanceof UserError) return `SpecOffload as published does not fit here: ${error.message}`;
    throw error;
  }
}

function describeSearch({ numSimulated, mostSimulations, tokensPerSecond }: SearchProgress): string {
  return `plan: simulated ${numSimulated} of at most ${mostSimulations} policies, best ${threeDigits(tokensPerSecond)} tokens/s`;
}
