/** `--policy <file>`: strategy, drafter and policy as `plan --out` wrote them, where no flag of their own was given. */

import { formatOf, type PolicyInput, type StrategyName, strategies } from '@specoffload/engine';
import type { Command } from 'commander';
import type { Job } from '../../job/execute.js';
import { maybeLocalMachine } from '../../job/payoff.js';
import { describeOtherUse, openPolicyFile, type PolicyFile, type UsedFor } from '../../plan/policy-file.js';
import type { Output } from '../../terminal/output.js';
import { flagsOfPolicy } from '../../tunnel/flags.js';
import type { IsGiven } from './common.js';
import type { DrafterOptions } from './draft-use.js';

export interface PolicyFileOptions extends DrafterOptions {
  readonly policy?: string;
  readonly strategy?: StrategyName;
}

export function addPolicyFileOption(command: Command): Command {
  return command.option(
    '--policy <file>',
    'strategy, drafter and policy as specoffload plan --out wrote them; flags that are given stay as they are',
  );
}

export interface AppliedPolicyFile<Options> {
  readonly options: Options;
  /** Whether a flag or the file says it. */
  readonly isSettled: IsGiven;
  /** null without a file. */
  readonly file: PolicyFile | null;
}

/** @throws UserError for a file that cannot be read, or is none. */
export async function applyPolicyFile<Options extends PolicyFileOptions>(
  options: Options,
  isGiven: IsGiven,
): Promise<AppliedPolicyFile<Options>> {
  if (options.policy === undefined) return { options, isSettled: isGiven, file: null };
  const file = await openPolicyFile(options.policy);
  const own = flagsOfFile(file, isGiven('strategy') ? options.strategy : undefined);
  const given = Object.entries(options).filter(([name]) => isGiven(name));
  return {
    options: { ...options, ...own, ...Object.fromEntries(given) },
    isSettled: (name) => isGiven(name) || Object.hasOwn(own, name),
    file,
  };
}

/** Another strategy than the file's brings what makes it that strategy itself. */
function flagsOfFile(
  { strategy, policy, drafter, plannedFor: { targetFormat } }: PolicyFile,
  named: StrategyName = strategy,
) {
  const ownFields = named === strategy ? [] : ['speculation', ...Object.keys(strategies[named].defaults)];
  const kept = Object.entries(policy).filter(([field]) => !ownFields.includes(field));
  return {
    strategy,
    ...(drafter === null ? {} : { drafter }),
    // What changes no token is the planner's business like all else; other formats are other models.
    ...(targetFormat === 'bf16_packed' ? { targetFormat } : {}),
    ...flagsOfPolicy(Object.fromEntries(kept) as PolicyInput),
  };
}

/** Says where the file was planned for something else. */
export function noteOtherUse(file: PolicyFile | null, here: UsedFor, output: Output): void {
  const sentence = file && describeOtherUse(file.plannedFor, here);
  if (sentence) output.note(sentence);
}

/** The machine's name is its profile's, where it has one. */
export async function useHere({
  target,
  draft,
  machine: { deviceBytes, hostBytes },
  prompts,
}: Pick<Job, 'target' | 'draft' | 'machine'> & Pick<UsedFor, 'prompts'>): Promise<UsedFor> {
  return {
    ...{ machine: (await maybeLocalMachine())?.name ?? null, deviceBytes, hostBytes, prompts },
    ...{ target: target.name, targetFormat: formatOf(target), draft: draft?.name ?? null },
  };
}
