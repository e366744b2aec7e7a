/** `specoffload simulate`: the prediction of one run of one strategy on a machine that need not be here. */

import { join } from 'node:path';
import {
  memoryOverTime,
  type SimulationRequest,
  type StrategyName,
  simulateRun,
  strategyNames,
  toChromeTrace,
} from '@specoffload/engine';
import type { Command } from 'commander';
import { type Accounting, accountings, withAccounting } from '../../job/accounting.js';
import { alignFacts, describeRun } from '../../job/describe-run.js';
import { displayPath } from '../../paths.js';
import { assertWritable, buildSimulatedRecord, collectProvenance, storeRun } from '../../store/index.js';
import { threeDigits } from '../../terminal/format.js';
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
import { addPolicyOptions, type PolicyOptions, toPolicyInput } from './policy-options.js';
import {
  addPredictionOptions,
  describePrediction,
  noteForeignCaps,
  openPrediction,
  type PredictionOptions,
} from './prediction-options.js';

interface SimulateOptions extends CommonOptions, PredictionOptions, PolicyOptions {
  readonly strategy: StrategyName;
  readonly accounting: Accounting;
}

export function addSimulateCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('simulate')
    .description('predict one run on a machine known by its numbers; write the record and the timeline')
    .option('--strategy <name>', strategyNames.join(', '), oneOf('--strategy', strategyNames), 'specoffload')
    .option(
      '--accounting <which>',
      "useful: tokens within each sequence's limit; as-published: sequences go on until their batch's slowest is there, and all their tokens count",
      oneOf('--accounting', accountings),
      'useful',
    );
  addPredictionOptions(command);
  addPolicyOptions(command);
  withCommonOptions(
    command,
    'specoffload simulate --machine env1 --strategy specoffload --acceptance 0.7 --draft-cache window --draft-placement after-prefill --prefill-order batch-major --prefill-batch 32 --draft-batch 32',
    'specoffload simulate --strategy flexgen --prompts 128 --micro-batch 64 --prefill-batch 64',
  ).action((options: SimulateOptions) => {
    return simulate(options, flagsGivenTo(command), outputFor(options), context.signal);
  });
}

async function simulate(
  options: SimulateOptions,
  isGiven: IsGiven,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const given = toPolicyInput(options);
  const { strategy, accounting } = options;
  await assertWritable(options.results, 'simulate');
  const prediction = await openPrediction(
    options,
    { strategy, policy: given, isPlanned: false },
    isGiven,
    output,
  );
  const { workload, ...job } = prediction;
  const request: SimulationRequest = {
    ...{ ...job, strategy, signal },
    policy: withAccounting(strategy, given, accounting),
  };
  output.note(`${strategy}, predicted: ${describePrediction(prediction)}`);
  noteForeignCaps(prediction, output);
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
