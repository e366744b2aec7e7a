/** Whether a command looks at a draft at all, which one, and the sentence about what was given in vain. */

import {
  type DrafterName,
  drafterNames,
  needsDraft,
  type PolicyInput,
  planMaySpeculate,
  type StrategyName,
  speculates,
  speculationsOf,
  strategies,
} from '@specoffload/engine';
import type { Command } from 'commander';
import type { Output } from '../../terminal/output.js';
import { type IsGiven, oneOf } from './common.js';

export interface DrafterOptions {
  /** Left out: a draft model. */
  readonly drafter?: DrafterName;
}

/** @param otherwise what proposes where the flag is not given */
export function addDrafterOption(command: Command, otherwise = 'model'): Command {
  return command.option(
    '--drafter <which>',
    `who proposes, where something does: a draft ${drafterNames.join(', ')} (default: ${otherwise})`,
    oneOf('--drafter', drafterNames),
  );
}

/** For commands that plan. */
export function addAnyDrafterOption(command: Command): Command {
  return command.option(
    '--any-drafter',
    'plan with those that need no draft model, too, each as often right as on the shipped pair, and choose among them',
  );
}

export interface StrategyChoice extends DrafterOptions {
  /** Left out: whatever the planner finds. */
  readonly strategy?: StrategyName;
  readonly policy: PolicyInput;
  readonly isPlanned: boolean;
  /** As `--acceptance` takes it. */
  readonly acceptance?: string | undefined;
}

/** What a command opens of a draft. */
export interface DraftUse {
  /** Somebody may propose: an acceptance is looked at. */
  readonly proposes: boolean;
  /** Who does needs a draft model. */
  readonly hasModel: boolean;
}

/**
 * A run that does not speculate opens no draft, and says which flags about one do nothing. A baseline is planned as
 * published; with a draft as well where it is said how often one would be right.
 * @param isGiven whether a flag was typed, by the option's name.
 */
export function settleDraft(choice: StrategyChoice, isGiven: IsGiven, output: Output): DraftUse {
  const use = draftUseOf(choice);
  const idle = use.proposes ? (use.hasModel ? [] : ['draft']) : ['draft', 'drafter', 'acceptance'];
  const flags = idle.filter(isGiven).map((name) => `--${name}`);
  if (flags.length > 0) output.note(describeUnused(choice, use, flags));
  for (const note of idleFields(choice, use)) output.note(note);
  return use;
}

/** What says how something is done that is not done at all. A planner may still choose it. */
function idleFields({ drafter, policy, isPlanned }: StrategyChoice, { proposes }: DraftUse): string[] {
  if (isPlanned || !proposes) return [];
  const hasWindow = policy.draftCache === 'window';
  return [
    ...(policy.draftLayers && drafter !== 'self'
      ? ['--draft-layers is not used without --drafter self']
      : []),
    ...(policy.draftWindow && !hasWindow ? ['--draft-window is not used without --draft-cache window'] : []),
  ];
}

/** Without a word about flags. */
export function draftUseOf(choice: StrategyChoice): DraftUse {
  const proposes = mayPropose(choice);
  return { proposes, hasModel: proposes && needsDraft(choice.drafter) };
}

function mayPropose({ strategy, policy, isPlanned, acceptance }: StrategyChoice): boolean {
  if (strategy !== undefined && speculates(strategy, policy)) return true;
  if (!isPlanned) return false;
  const named = strategy === undefined ? {} : { strategies: [strategy] };
  if (!planMaySpeculate({ ...named, fixed: policy })) return false;
  return strategy === undefined || acceptance !== undefined;
}

function describeUnused(choice: StrategyChoice, { proposes }: DraftUse, flags: readonly string[]): string {
  const verb = flags.length === 1 ? 'is' : 'are';
  const unused = `${listFlags(flags)} ${verb} not used`;
  if (proposes) return `${choice.drafter} proposes without a model: ${unused}`;
  const { strategy, policy } = choice;
  const who = strategy === undefined ? `speculation ${policy.speculation}` : strategy;
  return `${who} does not speculate: ${unused}; ${remedy(choice)}`;
}

function listFlags(flags: readonly string[]): string {
  return flags.length < 3 ? flags.join(' and ') : `${flags.slice(0, -1).join(', ')} and ${flags.at(-1)}`;
}

function remedy({ strategy, policy, isPlanned }: StrategyChoice): string {
  const canBeGiven = strategy !== undefined && speculationsOf(strategies[strategy]).includes('serial');
  if (!canBeGiven || policy.speculation !== undefined) return 'take --strategy serial for a run with a draft';
  return isPlanned
    ? 'add --acceptance to plan it with a draft too'
    : 'add --speculation serial to give it a draft';
}
