/** The flags that `plan` and `simulate` share: machine, models, workload, acceptance; and what they open. */

import {
  type Acceptance,
  type Checkpoint,
  type DrafterName,
  drafterNamed,
  limitsOf,
  loadTokenizer,
  type MachineModel,
  modelCatalog,
  packedTwin,
  type TargetFormat,
  targetFormats,
  UserError,
  withBudgets,
} from '@specoffload/engine';
import type { Command } from 'commander';
import { openAcceptance } from '../../acceptance/open.js';
import { describeForeignCaps } from '../../inputs/machine-caps.js';
import { openMachine } from '../../inputs/machines.js';
import { openOrDescribeModel } from '../../inputs/models.js';
import { loadWorkload } from '../../inputs/prompts.js';
import { parseBytes } from '../../inputs/sizes.js';
import { defaultResultsDirectory, displayPath } from '../../paths.js';
import { UsageError } from '../../terminal/errors.js';
import { formatBytes, plural } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { type IsGiven, oneOf, wholeNumber } from './common.js';
import { addDrafterOption, type DrafterOptions, type StrategyChoice, settleDraft } from './draft-use.js';

export interface PredictionOptions extends DrafterOptions {
  readonly machine: string;
  readonly target: string;
  readonly draft?: string;
  readonly targetFormat?: TargetFormat | typeof lossless;
  readonly prompts?: number;
  readonly promptTokens?: number;
  readonly workload?: string;
  readonly maxNewTokens: number;
  readonly acceptance?: string;
  readonly deviceMemory?: string;
  readonly hostMemory?: string;
  readonly unit: 'ffn' | 'expert';
  readonly seed: number;
  readonly results: string;
}

/** Whatever keeps every bit of the target's weights, for a planner to choose among: as published, and packed. */
export const lossless = 'lossless';

/** Of HumanEval's longest prompt, as the released scripts pad to it. */
const defaultPromptTokens = 437;
const defaultPrompts = 512;
const paperDraft = 'mistral-7b';

/** Whether something proposes where no flag about that is given. */
export function hasUsualDraft({ target, draft, drafter }: PredictionOptions): boolean {
  return drafter !== undefined || (draft ?? usualDraft(target)) !== 'none';
}

function usualDraft(target: string): string {
  return Object.hasOwn(modelCatalog, target) ? (modelCatalog[target].draft ?? 'none') : paperDraft;
}

/** @param plans whether the command chooses */
export function addPredictionOptions(command: Command, plans = false): Command {
  const formats = [...targetFormats, ...(plans ? [lossless] : [])];
  const chosen = plans ? `; ${lossless}: as published, or bf16 packed, whichever is faster` : '';
  return addDrafterOption(command)
    .option(
      '--machine <which>',
      'env1, env2, parts such as rtx-4090+pcie4+ddr5-dual+nvme4 (specoffload machines list), or a machine file',
      'env1',
    )
    .option(
      '--target <which>',
      `a model of the catalogue (${Object.keys(modelCatalog).join(', ')}), a directory with config.json, with weights or without, or a .gguf file`,
      'mixtral-8x7b',
    )
    .option(
      '--target-format <which>',
      `store the target's matrices as ${targetFormats.join(', ')} (default: as published)${chosen}`,
      oneOf('--target-format', formats),
    )
    .option(
      '--draft <which>',
      `the same for the draft; none: no draft (default: the usual one of a target of the catalogue, ${paperDraft} for others)`,
    )
    .option(
      '--prompts <n>',
      `prompts of equal length (default: ${defaultPrompts})`,
      wholeNumber('--prompts', 1, 1 << 16),
    )
    .option(
      '--prompt-tokens <n>',
      `tokens of each (default: ${defaultPromptTokens})`,
      wholeNumber('--prompt-tokens', 1, 1 << 20),
    )
    .option(
      '--workload <which>',
      'prompts of a workload or file in place of equal ones, as specoffload run takes; with --prompts the first so many',
    )
    .option(
      '--max-new-tokens <n>',
      'new tokens per sequence',
      wholeNumber('--max-new-tokens', 1, 1 << 20),
      32,
    )
    .option(
      '--acceptance <which>',
      'chance that a candidate stands: 0.7, by position 0.8,0.7,0.6, or an acceptance file',
    )
    .option('--device-memory <size>', "in place of the machine's, such as 24GB")
    .option('--host-memory <size>', "in place of the machine's, such as 256GB")
    .option(
      '--unit <which>',
      'what moves at once of a model without weights: a whole ffn, or single experts (ten times slower to predict)',
      oneOf('--unit', ['ffn', 'expert']),
      'ffn',
    )
    .option('--seed <n>', 'of what is drawn', wholeNumber('--seed', 0, 2 ** 31 - 1), 1)
    .option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
}

/** What a prediction is made of, opened. */
export interface OpenPrediction {
  readonly machine: MachineModel;
  readonly target: Checkpoint;
  /** What a planner may take in its place; left out where nobody asked. */
  readonly storedOtherwise?: readonly Checkpoint[];
  readonly draft: Checkpoint | null;
  readonly drafter?: DrafterName;
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
  readonly acceptance: Acceptance | null;
  readonly seed: number;
  /** What the workload is called in records. */
  readonly workload: string;
}

/**
 * Without draft and acceptance where the choice leaves nothing that speculates.
 * @throws UserError or UsageError naming the flag or file that is wrong.
 */
export async function openPrediction(
  options: PredictionOptions,
  choice: Omit<StrategyChoice, 'drafter' | 'acceptance'>,
  isGiven: IsGiven,
  output: Output,
): Promise<OpenPrediction> {
  const { maxNewTokens, seed } = options;
  const { drafter, acceptance: given } = options;
  const isMeant = (name: string) => isGiven(name) && !(name === 'draft' && options.draft === 'none');
  const asked = { ...choice, ...(drafter ? { drafter } : {}), acceptance: given };
  const { proposes, hasModel } = settleDraft(asked, isMeant, output);
  const acceptance = proposes && given !== undefined ? await openAcceptance('--acceptance', given) : null;
  const machine = withMemoryOptions(await openMachine(options.machine), options);
  const { targetFormat } = options;
  const format = targetFormat === lossless ? undefined : targetFormat;
  const target = await openOrDescribeModel(options.target, options.unit, format);
  const draftName = options.draft ?? usualDraft(options.target);
  if (hasModel && options.draft === undefined && draftName === 'none')
    output.note(
      `${target.name} has no usual draft, so nothing proposes; name one by --draft, or --drafter prompt-lookup, to predict what it would bring`,
    );
  const draft = hasModel && draftName !== 'none' ? await openOrDescribeModel(draftName, options.unit) : null;
  return {
    ...{ machine, target, draft, maxNewTokens, acceptance, seed },
    ...(targetFormat === lossless ? { storedOtherwise: [imaginePacked(target)] } : {}),
    ...(drafter && proposes ? { drafter } : {}),
    ...(await openLengths(options, target)),
  };
}

/** @throws UserError where nothing would become smaller */
function imaginePacked(target: Checkpoint): Checkpoint {
  const packed = packedTwin(target);
  if (packed) return packed;
  throw new UserError(
    `nothing of ${target.name} can be packed without loss; expected matrices in bf16 whose rows are whole blocks of 64 values; leave --target-format ${lossless} out`,
  );
}

/** `512 prompts of 437 tokens, 32 new tokens each; mixtral-8x7b with mistral-7b on env1: device 24.0 GB, host 256 GB`. */
export function describePrediction({
  machine,
  target,
  draft,
  drafter,
  promptLengths,
  maxNewTokens,
}: OpenPrediction): string {
  const lengths = [...promptLengths].sort((a, b) => a - b);
  const [least, most] = [lengths[0], lengths.at(-1)!];
  const proposer = drafterNamed(drafter, draft);
  const range = least === most ? `${most}` : `${least} to ${most}`;
  const { deviceBytes, hostBytes } = limitsOf(machine);
  return (
    `${plural(promptLengths.length, 'prompt')} of ${range} tokens, ${plural(maxNewTokens, 'new token')} each; ` +
    `${target.name}${proposer ? ` with ${proposer.name}` : ''} on ${machine.name}: ` +
    `device ${formatBytes(deviceBytes)}, host ${formatBytes(hostBytes)}`
  );
}

/** Nothing that `simulate` and `plan` predict is paced. */
export function noteForeignCaps({ machine }: OpenPrediction, output: Output): void {
  const sentence = describeForeignCaps(machine);
  if (sentence !== null) output.note(sentence);
}

function withMemoryOptions(
  machine: MachineModel,
  { deviceMemory, hostMemory }: Pick<PredictionOptions, 'deviceMemory' | 'hostMemory'>,
): MachineModel {
  return withBudgets(machine, {
    ...(deviceMemory === undefined ? {} : { deviceBytes: parseBytes('--device-memory', deviceMemory) }),
    ...(hostMemory === undefined ? {} : { hostBytes: parseBytes('--host-memory', hostMemory) }),
  });
}

/** What records call prompts of equal length. */
export function nameEqualPrompts(promptLengths: readonly number[]): string {
  return `${promptLengths.length} x ${promptLengths[0]}`;
}

async function openLengths(
  { workload, prompts, promptTokens }: PredictionOptions,
  target: Checkpoint,
): Promise<{ promptLengths: readonly number[]; workload: string }> {
  if (workload === undefined) {
    const promptLengths = new Array<number>(prompts ?? defaultPrompts).fill(
      promptTokens ?? defaultPromptTokens,
    );
    return { promptLengths, workload: nameEqualPrompts(promptLengths) };
  }
  if (promptTokens !== undefined)
    throw new UsageError('--prompt-tokens and --workload exclude each other: a workload has its own lengths');
  const tokenizer = target.directory === '' ? null : await loadTokenizer(target.directory);
  const loaded = await loadWorkload(workload, prompts ?? null, {
    size: target.spec.vocabSize,
    tokenizer,
  });
  return { promptLengths: loaded.prompts.map(({ length }) => length), workload: loaded.name };
}
