/** The file of a planned policy: the planner's pick and what it was planned for. Written by `plan`, read by `run` and `simulate`. */

import { stat } from 'node:fs/promises';
import {
  type DrafterName,
  drafterNames,
  formatOf,
  limitsOf,
  needsDraft,
  type Plan,
  type PlannedPolicy,
  type PlanRequest,
  parsePolicy,
  strategyNames,
  targetFormats,
  targetOf,
  UserError,
  usesDraft,
} from '@specoffload/engine';
import {
  assertCanWrite,
  type Checked,
  check,
  hasCode,
  is,
  listWords,
  maybeReadJson,
  parseJson,
  writeWholeFile,
} from '@specoffload/input';
import { formatBytes, plural } from '../terminal/format.js';
import { throughputOf } from './certainty.js';

export const policySchema = 'specoffload-policy-1';

const pool = is.wholeFrom(1, 2 ** 53 - 1);
const tokens = is.wholeFrom(0, 1 << 20);

const plannedFor = is.onlyFields({
  machine: is.text,
  deviceBytes: pool,
  hostBytes: pool,
  target: is.text,
  /** null: as published. */
  targetFormat: is.orNull(is.oneOf(targetFormats)),
  /** Name of the model that proposes; null: none does. */
  draft: is.orNull(is.text),
  prompts: is.wholeFrom(1, 1 << 16),
  /** Of the shortest prompt, and of the longest. */
  promptTokens: is.onlyFields({ least: tokens, most: tokens }),
  maxNewTokens: is.wholeFrom(1, 1 << 20),
  /** Its name; null: nothing proposes, or it was not given. */
  acceptance: is.orNull(is.text),
  /** Predicted: the median over the planner's seeds. */
  tokensPerSecond: is.amount,
});
const policyFile = is.onlyFields({
  schema: is.oneOf([policySchema], `"${policySchema}", in a file made by specoffload plan --out`),
  strategy: is.oneOf(strategyNames),
  policy: is.parsed(parsePolicy),
  /** null: nobody proposes. */
  drafter: is.orNull(is.oneOf(drafterNames)),
  plannedFor,
});
export type PolicyFile = Checked<typeof policyFile>;
export type PlannedFor = PolicyFile['plannedFor'];

const mostBytes = 1 << 16;
const remedy = 'give a file made by specoffload plan --out';

/** @throws UserError when it is missing, no JSON, or no policy file. */
export async function openPolicyFile(path: string): Promise<PolicyFile> {
  const json = await maybeReadJson(path, mostBytes, {}, remedy);
  if (json !== null) return parsePolicyFile(json, path);
  throw new UserError(`there is no policy file ${path}; make one with specoffload plan --out ${path}`);
}

/**
 * Checks a policy file that came from outside.
 * @throws UserError naming source, field, value and what was expected.
 */
export function parsePolicyFile(json: unknown, source: string): PolicyFile {
  return check(policyFile, json, source);
}

/** What a policy is planned or used for. */
export type UsedFor = Pick<
  PlannedFor,
  'deviceBytes' | 'hostBytes' | 'target' | 'targetFormat' | 'draft' | 'prompts'
> & {
  /** null: one that has not been profiled. */
  readonly machine: string | null;
};

export function useOf({
  machine,
  target,
  draft,
  promptLengths,
}: Pick<PlanRequest, 'machine' | 'target' | 'draft' | 'promptLengths'>) {
  const { deviceBytes, hostBytes } = limitsOf(machine);
  return {
    ...{ machine: machine.name, deviceBytes, hostBytes },
    ...{ target: target.name, targetFormat: formatOf(target), draft: draft?.name ?? null },
    prompts: promptLengths.length,
  } satisfies UsedFor;
}

/** The choice of a plan; how many layers stay where is left to what fits, so that it can be used in other budgets, too. */
export function policyFileOf(plan: Pick<Plan, 'ranked'>, request: PlanRequest): PolicyFile {
  const { machine, draft, drafter, promptLengths, maxNewTokens, acceptance, proposers } = request;
  const [choice] = plan.ranked as [PlannedPolicy];
  const target = targetOf(request, choice);
  const proposer = usesDraft(choice.policy)
    ? nameOf((choice.drafter as DrafterName | undefined) ?? drafter)
    : null;
  const own = proposers?.find((one) => nameOf(one.drafter) === proposer)?.acceptance ?? acceptance;
  const hasModel = proposer !== null && needsDraft(proposer);
  const lengths = [...promptLengths].sort((a, b) => a - b);
  return {
    ...{ schema: policySchema, strategy: choice.strategy, policy: choice.input, drafter: proposer },
    plannedFor: {
      ...useOf({ ...{ machine, target, promptLengths }, draft: hasModel ? draft : null }),
      promptTokens: { least: lengths[0]!, most: lengths.at(-1)! },
      maxNewTokens,
      acceptance: proposer === null ? null : own?.name || null,
      tokensPerSecond: throughputOf(choice).median,
    },
  };
}

function nameOf(drafter: PlanRequest['drafter'] = 'model'): DrafterName {
  return (typeof drafter === 'string' ? drafter : drafter.name) as DrafterName;
}

const outRemedy = 'choose another --out';

/**
 * Before minutes of work.
 * @throws UserError where nothing can be written, or something lies that is no policy file
 */
export async function assertPolicyPlace(path: string): Promise<void> {
  await assertCanWrite(path, { remedy: outRemedy });
  const stats = await stat(path).catch((error) => {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  });
  if (!stats?.isFile()) return; // a device or a pipe has nothing to lose
  try {
    await openPolicyFile(path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${path} is there and is no policy file, so it is not written over; ${outRemedy}, or remove it`,
      { cause: error },
    );
  }
}

/** @throws UserError as {@link assertPolicyPlace} */
export async function writePolicyFile(path: string, file: PolicyFile): Promise<void> {
  await assertPolicyPlace(path);
  const text = `${JSON.stringify(file, null, 2)}\n`;
  parsePolicyFile(parseJson(text, path), path); // what can't be read back is not written
  await writeWholeFile(path, text, { remedy: outRemedy });
}

/** In one sentence, what is not as it was planned; null where all is. */
export function describeOtherUse(planned: PlannedFor, here: UsedFor): string | null {
  const spelled: readonly (readonly [what: string, of: (use: UsedFor) => string | null])[] = [
    ['machine', ({ machine }) => machine],
    ['device memory', ({ deviceBytes }) => formatBytes(deviceBytes)],
    ['host memory', ({ hostBytes }) => formatBytes(hostBytes)],
    ['target', ({ target }) => target],
    ['target format', ({ targetFormat }) => targetFormat ?? 'as published'],
    ['draft', ({ draft }) => draft],
    ['number of prompts', ({ prompts }) => plural(prompts, 'prompt')],
  ];
  const others = spelled
    .map(([what, of]) => ({ what, there: of(planned), now: of(here) }))
    .filter(({ there, now }) => there !== null && now !== null && there !== now)
    .map(({ what, there, now }) => `${what} (${there}, here ${now})`);
  if (others.length === 0) return null;
  return `the policy was planned for another ${listWords(others)}: it may not fit, or not be the fastest here; specoffload plan finds what is`;
}
