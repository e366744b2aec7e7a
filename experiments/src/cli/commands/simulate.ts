/** `specoffload simulate`: the prediction of one run of one strategy on a machine that need not be here. */

import { join } from 'node:path';
import {
  type Checkpoint,
  largest,
  memoryOverTime,
  type PolicyInput,
  type SimulationRequest,
  type StrategyName,
  simulateRun,
  strategyNames,
  toChromeTrace,
} from '@specoffload/engine';
import type { Command } from 'commander';
import { type Accounting, accountings, withAccounting } from '../../job/accounting.js';
import { alignFacts, describeRun } from '../../job/describe-run.js';
import { fittingPrompts } from '../../job/fit-prompts.js';
import { displayPath } from '../../paths.js';
import { useOf } from '../../plan/policy-file.js';
import { assertWritable, buildSimulatedRecord, collectProvenance, storeRun } from '../../store/index.js';
import { plural, threeDigits } from '../../terminal/format.js';
import { describeProgress, type Output } from '../../terminal/output.js';
import {
  type CommandContext,
  type CommonOptions,
  flagsGivenTo,
  type IsGiven,
  oneOf,
  outputFor,
  withCommonOptions,
} from './common.js';
import {
  addPolicyFileOption,
  applyPolicyFile,
  noteOtherUse,
  type PolicyFileOptions,
} from './policy-file-option.js';
import { addPolicyOptions, type PolicyOptions, toPolicyInput } from './policy-options.js';
import {
  addPredictionOptions,
  describePrediction,
  hasUsualDraft,
  nameEqualPrompts,
  noteForeignCaps,
  type OpenPrediction,
  openPrediction,
  type PredictionOptions,
} from './prediction-options.js';

interface SimulateOptions extends CommonOptions, PredictionOptions, PolicyOptions, PolicyFileOptions {
  readonly strategy: StrategyName;
  readonly accounting: Accounting;
}

export function addSimulateCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('simulate')
    .description('predict one run on a machine known by its numbers; write the record and the timeline')
    .option(
      '--strategy <name>',
      `${strategyNames.join(', ')} (where nothing proposes: none)`,
      oneOf('--strategy', strategyNames),
      'specoffload',
    )
    .option(
      '--accounting <which>',
      "useful: tokens within each sequence's limit; as-published: sequences go on until their batch's slowest is there, and all their tokens count",
      oneOf('--accounting', accountings),
      'useful',
    );
  addPredictionOptions(command);
  addPolicyFileOption(command);
  addPolicyOptions(command);
  withCommonOptions(
    command,
    'specoffload simulate --machine env1 --strategy specoffload --acceptance 0.7 --draft-cache window --draft-placement after-prefill --prefill-order batch-major --prefill-batch 32 --draft-batch 32',
    'specoffload simulate --strategy flexgen --prompts 128 --micro-batch 64 --prefill-batch 64',
    'specoffload simulate --policy policy.json --acceptance 0.7',
  ).action((options: SimulateOptions) => {
    return simulate(options, flagsGivenTo(command), outputFor(options), context.signal);
  });
}

/** A round number between what poor and good drafts reach, for whoever has none of his own yet. */
const assumedAcceptance = '0.7';

interface Choice {
  readonly prediction: OpenPrediction;
  readonly strategy: StrategyName;
}

/** What is asked for; where flags leave it open, as much of it as the models have and the machine holds, and says so. */
async function openFitting(
  options: SimulateOptions,
  policy: PolicyInput,
  isGiven: IsGiven,
  output: Output,
): Promise<Choice> {
  const isOpen = !isGiven('strategy') && options.policy === undefined && policy.speculation === undefined;
  const open = async (strategy: StrategyName, changes: Partial<SimulateOptions> = {}): Promise<Choice> => {
    const asked = { ...options, acceptance: options.acceptance ?? assumedAcceptance, ...changes };
    const choice = { strategy, policy, isPlanned: false };
    return { strategy, prediction: await openPrediction(asked, choice, isGiven, output) };
  };
  const hasDraft = hasUsualDraft(options);
  if (isOpen && !hasDraft)
    output.note(
      `${options.target} has no usual draft, so plain decoding is predicted; name a draft by --draft, or take --drafter prompt-lookup, for what one would bring`,
    );
  const asked = await open(isOpen && !hasDraft ? 'none' : options.strategy);
  const mayGoWithout = isOpen && asked.prediction.draft !== null && options.draft === undefined;
  const isFree = options.prompts === undefined && options.workload === undefined;
  const settled = isFree
    ? await fitting(asked, mayGoWithout ? () => open('none', { draft: 'none' }) : null)
    : asked;
  for (const sentence of describeSettled(options, asked.prediction, settled.prediction))
    output.note(sentence);
  return settled;

  /** With as many of its prompts as fit; without its draft where not even one does; at last one prompt all the same. */
  async function fitting(choice: Choice, without: (() => Promise<Choice>) | null): Promise<Choice> {
    const { prediction, strategy } = choice;
    const found = fittingPrompts(prediction, { strategy, policy });
    if (found === null && without) return fitting(await without(), null);
    const promptLengths = found ?? prediction.promptLengths.slice(0, 1);
    return {
      strategy,
      prediction: { ...prediction, promptLengths, workload: nameEqualPrompts(promptLengths) },
    };
  }
}

/** What was decided for whoever left it open. */
function describeSettled(
  { acceptance, unit }: SimulateOptions,
  asked: OpenPrediction,
  { draft, promptLengths, target, ...settled }: OpenPrediction,
): string[] {
  const sentences: string[] = [];
  if (asked.draft && !draft)
    sentences.push(
      `${asked.draft.name} does not fit beside the target, so plain decoding is predicted; name a smaller draft by --draft`,
    );
  const wished = asked.promptLengths.length;
  if (promptLengths.length < wished)
    sentences.push(
      `${plural(wished, 'prompt')} at once do not fit: ${promptLengths.length} will be predicted; --prompts says how many`,
    );
  if (promptLengths.length === 1 && wished > 1 && unit === 'ffn' && countExperts(target) > 1)
    sentences.push('--unit expert moves single experts, whose buffers are smaller');
  if (settled.acceptance && acceptance === undefined)
    sentences.push(
      `--acceptance is not given: ${assumedAcceptance} is assumed, which decides much of what is predicted`,
    );
  return sentences;
}

function countExperts({ spec }: Checkpoint): number {
  return largest(spec.layers.map(({ ffn }) => ffn.numExperts));
}

async function simulate(
  typed: SimulateOptions,
  isGiven: IsGiven,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { options, file } = await applyPolicyFile(typed, isGiven);
  const given = toPolicyInput(options);
  const { accounting } = options;
  await assertWritable(options.results, 'simulate');
  const { prediction, strategy } = await openFitting(options, given, isGiven, output);
  const { workload, ...job } = prediction;
  const request: SimulationRequest = {
    ...{ ...job, strategy, signal },
    policy: withAccounting(strategy, given, accounting),
  };
  output.note(`${strategy}, predicted: ${describePrediction(prediction)}`);
  noteForeignCaps(prediction, output);
  noteOtherUse(file, useOf(prediction), output);
  const provenance = await collectProvenance();
  const createdAt = new Date();
  const follower = output.follow();
  const result = await simulateRun({
    ...request,
    onProgress: (progress) => follower.update(() => describeProgress(`${strategy}, predicted`, progress)),
  }).finally(() => follower.end());
  const { record, folder } = await storeRun(
    options.results,
    'simulate',
    {
      recordOf: (repeat) =>
        buildSimulatedRecord({ request, result, workload, createdAt, provenance }, repeat),
      trace: JSON.stringify(toChromeTrace(result.spans, memoryOverTime(result.memoryLog))),
      tokens: null,
    },
    signal,
  );
  const useful = result.newTokens / result.seconds;
  const asPublished = result.generatedTokens / result.seconds;
  output.say(`predicted ${describeRun(record)}`);
  const facts = alignFacts([
    ['useful', `${threeDigits(useful)} tokens/s: those within each sequence's limit`],
    ['as published', `${threeDigits(asPublished)} tokens/s: all that were generated`],
    ['record', displayPath(join(folder, 'run.json'))],
    ['timeline', `${displayPath(join(folder, 'trace.json.gz'))} (open it in ui.perfetto.dev)`],
  ]);
  output.say(`\n${facts.join('\n')}`);
  output.document({
    ...{ kind: 'predicted', folder, accounting },
    tokensPerSecond: accounting === 'useful' ? useful : asPublished,
    ...{ usefulTokensPerSecond: useful, publishedTokensPerSecond: asPublished, record },
  });
}
