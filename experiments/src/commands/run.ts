/** `specoffload run`: one run of one strategy, with everything settable, ending in a record. */

import { join } from 'node:path';
import { type StrategyName, strategyNames } from '@specoffload/engine';
import type { Command } from 'commander';
import { describePlan, type ExecutedRun, executeRun, type RunPlan } from '../execute.js';
import type { Output } from '../output.js';
import { type OpenPair, openPair } from '../pair.js';
import { defaultResultsDirectory, displayPath, pairPaths } from '../paths.js';
import { loadWorkload, type Workload } from '../prompts.js';
import { alignFacts, describeRun, quoteSample } from '../report.js';
import { assertWritable } from '../store/index.js';
import { sketchTimeline } from '../timeline.js';
import {
  type CommandContext,
  type CommonOptions,
  oneOf,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { addMachineOptions, type MachineOptions, toMachineSettings } from './machine-options.js';
import { addPolicyOptions, type PolicyOptions, toPolicyInput } from './policy-options.js';

interface RunCommandOptions extends CommonOptions, MachineOptions, PolicyOptions {
  readonly target: string;
  readonly draft: string;
  readonly prompts: string;
  readonly numPrompts?: number;
  readonly strategy: StrategyName;
  readonly newTokens: number;
  /** False with `--no-eos`. */
  readonly eos: boolean;
  readonly seed: number;
  readonly repeat: number;
  readonly results: string;
}

export function addRunCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('run')
    .description(
      'generate with a target that streams from disk; write the record, the timeline and the tokens',
    )
    .option('--target <dir>', 'target checkpoint directory', displayPath(pairPaths.target))
    .option('--draft <dir>', 'draft checkpoint directory', displayPath(pairPaths.draft))
    .option(
      '--prompts <which>',
      'a workload (code, prose, dialogue, reference) or a file: .txt with a prompt per line, ' +
        '.jsonl with {"prompt": "…"} or {"ids": […]} per line',
      'code',
    )
    .option(
      '--num-prompts <n>',
      'how many of them (default: 16 of a workload, all of a file)',
      wholeNumber('--num-prompts', 1, 4096),
    )
    .option('--strategy <name>', strategyNames.join(', '), oneOf('--strategy', strategyNames), 'specoffload')
    .option('--new-tokens <n>', 'most new tokens per sequence', wholeNumber('--new-tokens', 1, 1 << 20), 32)
    .option('--no-eos', 'go on past the end-of-sequence token')
    .option('--seed <n>', 'recorded with the run', wholeNumber('--seed', 0, 2 ** 31 - 1), 0)
    .option('--repeat <n>', 'first number to try for this repeat', wholeNumber('--repeat', 0, 1 << 20), 0)
    .option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
  addPolicyOptions(command);
  addMachineOptions(command);
  withCommonOptions(
    command,
    'specoffload run --strategy serial --prompts code --num-prompts 4 --new-tokens 32',
    'specoffload run --target mixtral/ --draft mistral/ --prompts mine.txt --device-memory 24GiB --host-memory 64GiB',
  ).action((options: RunCommandOptions) => run(options, outputFor(options), context.signal));
}

async function run(options: RunCommandOptions, output: Output, signal: AbortSignal): Promise<void> {
  const policy = toPolicyInput(options);
  const machine = toMachineSettings(options);
  await assertWritable(options.results);
  const pair = await openPair(options.target, options.strategy === 'none' ? null : options.draft);
  const workload = await loadWorkload(options.prompts, options.numPrompts ?? null, {
    size: pair.target.config.vocabSize,
    tokenizer: pair.tokenizer,
  });
  const plan: RunPlan = {
    ...pair,
    experiment: 'run',
    resultsDirectory: options.results,
    strategy: options.strategy,
    policy,
    machine,
    workload,
    maxNewTokens: options.newTokens,
    stopAtEos: options.eos,
    seed: options.seed,
    firstRepeat: options.repeat,
  };
  output.note(`${plan.strategy}: ${describePlan(plan)}`);
  const executed = await executeRun(plan, output, signal);
  say(executed, pair, workload, output);
}

function say(
  { record, folder, result }: ExecutedRun,
  { tokenizer }: OpenPair,
  { prompts }: Workload,
  output: Output,
): void {
  output.say(describeRun(record));
  const sketch = sketchTimeline(result);
  if (sketch !== null) output.say(`\n${sketch}`);
  if (tokenizer !== null) {
    output.say('\nsample (prompt 0)');
    output.say(quoteSample(tokenizer.decode(prompts[0]!), tokenizer.decode(result.sequences[0]!.ids)));
  }
  const files = alignFacts([
    ['record', displayPath(join(folder, 'run.json'))],
    ['tokens', displayPath(join(folder, 'tokens.jsonl'))],
    ['timeline', `${displayPath(join(folder, 'trace.json.gz'))} (open it in ui.perfetto.dev)`],
  ]);
  output.say(`\n${files.join('\n')}`);
  output.document({ folder, record });
}
