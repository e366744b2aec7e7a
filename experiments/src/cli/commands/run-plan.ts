/** `run --plan`: the planner in place of flags, for the run at hand. */

import {
  type Checkpoint,
  type DrafterName,
  formatOf,
  type PlannedPolicy,
  targetFormats,
  UserError,
} from '@specoffload/engine';
import type { Command } from 'commander';
import { assertRunFormat, preparePackedTarget, runFormats } from '../../inputs/packed-target.js';
import { alignFacts } from '../../job/describe-run.js';
import { type RunPlan, runPlan } from '../../job/execute.js';
import { type ChosenPolicy, choosePolicy } from '../../plan/choose-here.js';
import { formatRange } from '../../plan/describe.js';
import { findRouting } from '../../plan/recorded-routing.js';
import { UsageError } from '../../terminal/errors.js';
import { formatPercent, threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { oneOf } from './common.js';
import { lossless } from './prediction-options.js';

export interface RunPlanOptions {
  readonly plan?: true;
  readonly policy?: string;
  readonly strategy?: RunPlan['strategy'];
  readonly targetFormat?: string;
  readonly out?: string;
  /** Rounds; true without a number. */
  readonly confirm?: number | true;
  readonly anyDrafter?: true;
  readonly machine?: string;
  readonly acceptance?: string;
  readonly results: string;
  /** Of a tunnel's draft, over what the machine file promises; null: unknown. */
  readonly draftSpeed: number | null;
}

/** The fewest that an interval can be told from. */
export const usualRounds = 3;

export function addTargetFormatOption(command: Command): Command {
  return command.option(
    '--target-format <which>',
    `${runFormats.join(', ')}: pack a target in bf16 without loss, once, into the cache folder, and run from that; ` +
      `with --plan also ${lossless}: as it is or packed, whichever is faster (default: as it is)`,
    oneOf('--target-format', [...targetFormats, lossless]),
  );
}

/** @throws UsageError for flags that nothing would look at. */
export function assertPlanFlags(options: Omit<RunPlanOptions, 'draftSpeed'>): void {
  const { plan, policy, machine, acceptance, anyDrafter, out, confirm, targetFormat } = options;
  if (plan && policy !== undefined)
    throw new UsageError('--plan and --policy exclude each other: the planner chooses, or the file has');
  const given = {
    '--machine': machine,
    '--acceptance': acceptance,
    '--any-drafter': anyDrafter,
    '--out': out,
    '--confirm': confirm,
    [`--target-format ${lossless}`]: targetFormat === lossless ? true : undefined,
  };
  const stray = Object.entries(given).find(([, value]) => value !== undefined)?.[0] ?? null;
  if (!plan && stray !== null)
    throw new UsageError(`${stray} is for the planner; add --plan, or leave it out`);
  if (targetFormat !== undefined && targetFormat !== lossless)
    assertRunFormat('--target-format', targetFormat);
}

/** The target as it is to be stored, and packed where the planner may choose. */
export async function storeTarget(
  target: Checkpoint,
  { targetFormat }: Pick<RunPlanOptions, 'targetFormat'>,
  output: Output,
  signal: AbortSignal,
): Promise<{ readonly target: Checkpoint; readonly packed?: Checkpoint }> {
  if (targetFormat === undefined) return { target };
  if (targetFormat === lossless && formatOf(target) === 'bf16_packed')
    throw new UserError(
      `${target.name} is packed already, which leaves nothing to choose; leave --target-format out, or give the checkpoint that it was made from`,
    );
  const packed = await preparePackedTarget(target, output, signal);
  return targetFormat === lossless ? { target, packed } : { target: packed };
}

/** Plans the run, and has finalists run where that is asked for. */
export async function choose(
  plan: RunPlan,
  packed: Checkpoint | undefined,
  options: RunPlanOptions & { readonly machine: string },
  proposes: boolean,
  output: Output,
  signal: AbortSignal,
): Promise<ChosenPolicy> {
  const { target, draft, drafter, machine, policy: fixed, workload, maxNewTokens } = plan;
  const { confirm, anyDrafter, strategy, acceptance = null, draftSpeed, out = null } = options;
  const { name, prompts } = workload;
  const rounds = confirm === true ? usualRounds : confirm;
  return choosePolicy(
    {
      ...{ target, packed, draft, drafter, proposes, machine, fixed, signal, acceptance, draftSpeed, out },
      machineFile: options.machine,
      anyDrafterOn: anyDrafter ? name : undefined,
      ...(strategy ? { strategy } : {}),
      ...{ promptLengths: prompts.map(({ length }) => length), maxNewTokens },
      recorded: await findRouting(options.results, target, { name, numPrompts: prompts.length }),
      confirmation:
        rounds === undefined
          ? null
          : {
              rounds,
              run: (planned, newTokens) =>
                runPlan({ ...withChoice(plan, packed, planned), maxNewTokens: newTokens }, signal),
            },
    },
    output,
  );
}

export function withChoice(
  plan: RunPlan,
  packed: Checkpoint | undefined,
  {
    strategy,
    policy,
    drafter,
    targetFormat,
  }: Pick<PlannedPolicy, 'strategy' | 'policy' | 'drafter' | 'targetFormat'>,
): RunPlan {
  return {
    ...{ ...plan, strategy, policy },
    ...(drafter ? { drafter: drafter as DrafterName } : {}),
    ...(targetFormat !== undefined && packed ? { target: packed } : {}),
  };
}

export function comparePrediction({ throughput }: ChosenPolicy, measured: number): string {
  const { median } = throughput;
  const facts = alignFacts([
    [
      'predicted',
      `${threeDigits(median)} tokens/s, ${formatRange(throughput, threeDigits)} (95 %, over seeds)`,
    ],
    ['measured', `${threeDigits(measured)} tokens/s, ${formatPercent(measured / median)} of it`],
  ]);
  return facts.join('\n');
}
