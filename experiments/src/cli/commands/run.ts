/** `specoffload run`: one run of one strategy, with everything settable, ending in a record. */

import { join } from 'node:path';
import type { StrategyName } from '@specoffload/engine';
import type { Command } from 'commander';
import { locateModel } from '../../inputs/models.js';
import { openPair } from '../../inputs/pair.js';
import { alignFacts, describeRun, quoteSample } from '../../job/describe-run.js';
import {
  describePlan,
  type ExecutedRun,
  executeRun,
  type Job,
  type RunPlan,
  textsOf,
} from '../../job/execute.js';
import { notePayoff } from '../../job/payoff.js';
import { defaultResultsDirectory, displayPath, localMachinePath } from '../../paths.js';
import type { ChosenPolicy } from '../../plan/choose-here.js';
import { describeConfirmation } from '../../plan/confirm.js';
import type { PolicyFile } from '../../plan/policy-file.js';
import { assertWritable } from '../../store/index.js';
import type { Output } from '../../terminal/output.js';
import { flagsOf } from '../../tunnel/flags.js';
import { openTunnel } from '../../tunnel/tunnel-file.js';
import { sketchTimeline } from '../timeline.js';
import {
  type CommandContext,
  type CommonOptions,
  flagsGivenTo,
  type IsGiven,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { addAnyDrafterOption, draftUseOf, type StrategyChoice, settleDraft } from './draft-use.js';
import { addGenerationOptions, type GenerationOptions } from './generation-options.js';
import { toMachineSettings } from './machine-options.js';
import { addNoiseOptions, type NoiseOptions, readNoise } from './noise-option.js';
import {
  addPolicyFileOption,
  applyPolicyFile,
  noteOtherUse,
  type PolicyFileOptions,
  useHere,
} from './policy-file-option.js';
import { toPolicyInput } from './policy-options.js';
import {
  addTargetFormatOption,
  assertPlanFlags,
  choose,
  comparePrediction,
  type RunPlanOptions,
  storeTarget,
  usualRounds,
  withChoice,
} from './run-plan.js';
import { toSamplingInput } from './sampling-options.js';
import { addTextOptions, openPrompts, type TextOptions } from './text-options.js';

/** Without a strategy: specoffload, or with `--plan` whatever is fastest. */
interface RunCommandOptions
  extends CommonOptions,
    GenerationOptions,
    TextOptions,
    PolicyFileOptions,
    NoiseOptions,
    Omit<RunPlanOptions, 'draftSpeed'> {
  readonly prompts: string;
  readonly numPrompts?: number;
  readonly tunnel?: string;
  /** False with `--no-eos`. */
  readonly eos: boolean;
  readonly repeat: number;
}

const usualStrategy: StrategyName = 'specoffload';

export function addRunCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('run')
    .description(
      'generate with a target that streams from disk; write the record, the timeline and the tokens',
    );
  addGenerationOptions(command, {
    usualStrategy: 'specoffload, or with --plan the fastest',
    ...{ newTokensOf: 'per sequence', usualNewTokens: 32, lineFor: 'prompt' },
  })
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
    .option(
      '--tunnel <file>',
      'models, workload, caps, budgets and policy of a file made by specoffload tunnel, and no end at an end-of-sequence token; flags that are given stay as they are',
    )
    .option('--plan', 'let the planner choose strategy and policy; flags that are given stay as they are')
    .option('--out <file>', 'with --plan: write the choice, as specoffload plan --out does')
    .option(
      '--confirm [rounds]',
      `with --plan: run the best few kinds of policy for real, by turns, and take another than the planned one where it is faster beyond doubt (default: ${usualRounds} rounds)`,
      wholeNumber('--confirm', 1, 100),
    )
    .option(
      '--machine <file>',
      `with --plan: this machine as specoffload profile measured it (default: ${displayPath(localMachinePath)})`,
    )
    .option(
      '--acceptance <which>',
      'with --plan: chance that a candidate stands: 0.7, by position 0.8,0.7,0.6, or an acceptance file',
    )
    .option('--no-eos', 'go on past the end-of-sequence token')
    .option('--repeat <n>', 'first number to try for this repeat', wholeNumber('--repeat', 0, 1 << 20), 0)
    .option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
  addTextOptions(command);
  addNoiseOptions(command);
  addPolicyFileOption(command);
  addAnyDrafterOption(command);
  addTargetFormatOption(command);
  withCommonOptions(
    command,
    'specoffload run --strategy serial --prompts code --num-prompts 4 --new-tokens 32',
    'specoffload run --target mixtral/ --draft mistral/ --prompts mine.txt --device-memory 24GiB --host-memory 64GiB',
    'specoffload run --strategy serial --drafter prompt-lookup --prompts reference',
    'specoffload run --prompt "It was a dark and" --temperature 0.8 --stop $\'\\n\'',
    'specoffload run --plan --acceptance 0.7 --prompts code',
    'specoffload run --plan --any-drafter --confirm --num-prompts 1',
    'specoffload run --plan --acceptance 0.7 --target-format lossless',
    'specoffload run --policy policy.json --prompts code',
    'specoffload tunnel --like env1 --out tunnel.json && specoffload run --tunnel tunnel.json --strategy flexgen',
  ).action(async (typed: RunCommandOptions) => {
    const output = outputFor(typed, typed.jsonl);
    const { signal } = context;
    const isGiven = flagsGivenTo(command);
    assertPlanFlags(typed);
    const { options, isSettled, file } = await applyPolicyFile(typed, isGiven);
    const applied = await applyTunnel(options, isSettled, output, signal);
    await run({ ...applied, policyFile: file }, isGiven, output, signal);
  });
}

/** Flags, and what only a tunnel and a policy file know. */
interface AppliedOptions extends RunCommandOptions {
  /** Of its draft, over what the machine file promises; null: unknown. */
  readonly draftSpeed: number | null;
  /** null without one. */
  readonly policyFile: PolicyFile | null;
}

/** Puts a tunnel's values where no flag was given. */
async function applyTunnel(
  options: RunCommandOptions,
  isGiven: IsGiven,
  output: Output,
  signal: AbortSignal,
): Promise<Omit<AppliedOptions, 'policyFile'>> {
  if (options.tunnel === undefined) return { ...options, draftSpeed: null };
  const tunnel = await openTunnel(options.tunnel);
  const given = Object.entries(options).filter(([name]) => isGiven(name));
  const merged = { ...options, ...flagsOf(tunnel), ...Object.fromEntries(given) };
  return {
    ...merged,
    target: await locateModel('target', merged.target, output, signal),
    draft: draftUseOf(choiceOf(merged)).hasModel
      ? await locateModel('draft', merged.draft, output, signal)
      : merged.draft,
    draftSpeed: isGiven('draft') ? null : tunnel.draftSpeed,
  };
}

function choiceOf(options: RunCommandOptions): StrategyChoice {
  const { strategy, drafter, plan, acceptance } = options;
  const isPlanned = plan === true;
  const settled = strategy ?? (isPlanned ? undefined : usualStrategy);
  return {
    ...(settled ? { strategy: settled } : {}),
    ...(drafter ? { drafter } : {}),
    ...{ policy: toPolicyInput(options), isPlanned, acceptance },
  };
}

async function run(
  options: AppliedOptions,
  isGiven: IsGiven,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const given = toPolicyInput(options);
  const machine = toMachineSettings(options);
  const sampling = toSamplingInput(options);
  await assertWritable(options.results);
  const strategy = options.strategy ?? usualStrategy;
  const { proposes, hasModel } = settleDraft(choiceOf(options), isGiven, output);
  const isNamed = isGiven('draft') || options.drafter !== undefined || options.tunnel !== undefined;
  const pair = await openPair(options.target, hasModel ? options.draft : null, isNamed ? 'named' : 'usual');
  const lacksDraft = hasModel && pair.draft === null;
  if (lacksDraft)
    output.note(
      `the shipped draft has another vocabulary than ${pair.target.name}: prompt lookup proposes; name a draft of its family by --draft, or take --strategy none`,
    );
  const drafter = lacksDraft ? 'prompt-lookup' : options.drafter;
  const workload = await openPrompts(options, pair, isGiven);
  const { target, packed } = await storeTarget(pair.target, options, output, signal);
  const asked: RunPlan = {
    ...{ ...pair, target, experiment: 'run', strategy, policy: given, machine, workload, sampling },
    ...(drafter ? { drafter } : {}),
    resultsDirectory: options.results,
    ...{ maxNewTokens: options.newTokens, stopAtEos: options.eos },
    ...(options.stop ? { stops: options.stop } : {}),
    ...(await readNoise(options)),
    ...{ seed: options.seed, firstRepeat: options.repeat },
  };
  const { machine: machineFile = localMachinePath } = options;
  const planning = { ...options, machine: machineFile };
  const chosen = options.plan ? await choose(asked, packed, planning, proposes, output, signal) : null;
  const plan = chosen ? withChoice(asked, packed, chosen) : asked;
  output.note(`${plan.strategy}: ${describePlan(plan)}`);
  if (options.policyFile) {
    const prompts = workload.prompts.length;
    noteOtherUse(options.policyFile, await useHere({ ...plan, prompts }), output);
  }
  if (chosen === null) await notePayoff(plan, output);
  const streams = options.prompt?.length === 1 && !options.jsonl;
  const onText = streams ? (_sequence: number, text: string) => output.stream(text) : undefined;
  const executed = await executeRun(plan, output, signal, undefined, onText);
  if (streams) output.say('\n');
  say(executed, plan, chosen, output, streams);
  if (options.jsonl) for (const line of linesOf(plan, executed)) output.document(line);
  else
    output.document({
      ...{ folder: executed.folder, record: executed.record },
      ...(chosen ? { predicted: chosen.predicted, throughput: chosen.throughput } : {}),
      ...(chosen?.confirmation ? { confirmation: chosen.confirmation } : {}),
    });
}

/** For programs: what each prompt was continued with. */
function linesOf(plan: RunPlan, { result }: ExecutedRun) {
  const texts = textsOf(plan, result);
  return result.sequences.map(({ stopReason, ids }, index) => {
    const promptIds = plan.workload.prompts[index];
    const prompt = plan.tokenizer?.decode(promptIds);
    return { prompt, completion: texts[index], stopReason, newTokens: ids.length };
  });
}

function say(
  { record, folder, result }: ExecutedRun,
  { tokenizer, workload: { prompts } }: Job,
  chosen: ChosenPolicy | null,
  output: Output,
  hasShownText: boolean,
): void {
  output.say(describeRun(record));
  if (chosen?.confirmation) output.say(`\n${describeConfirmation(chosen.confirmation)}`);
  if (chosen) output.say(`\n${comparePrediction(chosen, record.result.tokensPerSecond)}`);
  const sketch = sketchTimeline(result);
  if (sketch !== null) output.say(`\n${sketch}`);
  if (tokenizer !== null && !hasShownText) {
    output.say('\nsample (prompt 0)');
    output.say(quoteSample(tokenizer.decode(prompts[0]), tokenizer.decode(result.sequences[0].ids)));
  }
  const files = alignFacts([
    ['record', displayPath(join(folder, 'run.json'))],
    ['tokens', displayPath(join(folder, 'tokens.jsonl'))],
    ['timeline', `${displayPath(join(folder, 'trace.json.gz'))} (open it in ui.perfetto.dev)`],
  ]);
  output.say(`\n${files.join('\n')}`);
}
