/** Finds out what a drafter gets right of texts that the target has written. */

import { currentSignal, listWords, UserError } from '@specoffload/input';
import type { DeviceChoice } from '../machine/devices.js';
import type { Checkpoint } from '../model/types.js';
import type { Drafter } from '../schedule/drafter.js';
import { type DrafterName, drafterNamed, drafterNames, needsDraft } from '../schedule/drafters.js';
import { inMicroBatches } from '../schedule/micro-batches.js';
import type { PolicyInput } from '../schedule/policy.js';
import type { AcceptanceTrace } from '../speculate/acceptance.js';
import { leadersOf } from '../speculate/leaders.js';
import { drawRows } from '../speculate/row-draws.js';
import { greedy, parseSampling, type SamplingInput } from '../speculate/sampling.js';
import { runEngine, runLogits } from './engine.js';
import type { MachineSettings, RunProgress } from './types.js';

export interface RecordAcceptanceRequest {
  readonly name: string;
  /** Needed where the drafter is a model. */
  readonly draft: Checkpoint | null;
  /** Needed where the drafter computes with its layers. */
  readonly target?: Checkpoint | undefined;
  /** Which layers those are. @default half of the model's */
  readonly policy?: Pick<PolicyInput, 'draftLayers' | 'pinnedLayers'> | undefined;
  /** @default model: the draft model */
  readonly drafter?: DrafterName | Drafter | undefined;
  /** Each prompt and what the target made of it. */
  readonly texts: readonly { readonly prompt: readonly number[]; readonly newIds: readonly number[] }[];
  /** How the texts were drawn, with the seed, where they were: the draft's tokens are drawn likewise. */
  readonly sampling?: SamplingInput | undefined;
  /** Longest stretch of candidates to try. */
  readonly candidates: number;
  /** Whether to find out, too, which of a model's choices each token is: what alternates depend on. @default false */
  readonly secondChoices?: boolean;
  /** New tokens that the target was asked for. */
  readonly newTokens: number;
  readonly machine: MachineSettings;
  /** @default cpu */
  readonly device?: DeviceChoice;
  readonly onProgress?: (progress: RunProgress) => void;
  readonly signal?: AbortSignal;
}

/** Of a text, and the rest of it. */
interface Beginning {
  readonly noise: number;
  readonly ids: readonly number[];
  readonly rest: readonly number[];
}

/** Beginnings continued together; more would only take more memory. */
const beginningsAtOnce = 64;

/**
 * Lets the drafter continue every beginning of every text as the text was written, a model greedily or drawing likewise,
 * and counts how far it goes along with the target.
 * A beginning's continuation is what the draft would propose there in any run that lets it see all tokens so far.
 *
 * @throws UserError as `runEngine`
 */
export async function recordAcceptance(request: RecordAcceptanceRequest): Promise<AcceptanceTrace> {
  const { name, texts, candidates, newTokens } = request;
  const beginnings = texts.flatMap(({ prompt, newIds }, noise) =>
    newIds.map((_, count) => ({
      ...{ noise, ids: [...prompt, ...newIds.slice(0, count)] },
      rest: newIds.slice(count),
    })),
  );
  const proposals = await proposeBehind(beginnings, request);
  const ranks = request.secondChoices ? await rankTokens(beginnings, request) : null;
  const runs = beginnings.map(({ rest }, index) => countAgreement(proposals[index], rest));
  const perText = (counts: readonly number[]) => {
    let first = 0;
    return texts.map(({ newIds }) => {
      const own = counts.slice(first, first + newIds.length);
      first += newIds.length;
      return own;
    });
  };
  const numProposed = proposals.map(({ length }) => length);
  return {
    ...{ kind: 'recorded', name, candidates, newTokens, sequences: perText(runs) },
    ...(numProposed.some((count) => count < candidates) ? { proposed: perText(numProposed) } : {}),
    ...(ranks ? { ranks: perText(ranks) } : {}),
  };
}

/** What the drafter computes with; undefined where it has no model. */
function modelOf({ draft, drafter, target, policy }: RecordAcceptanceRequest): Checkpoint | undefined {
  const who = drafterNamed(drafter, draft);
  const { draftLayers = 0, pinnedLayers = target?.layers.length ?? 0 } = policy ?? {};
  return who?.checkpoint ?? (target && who?.standIn?.(target, { draftLayers, pinnedLayers }));
}

/** Which of the model's two first choices, see `AcceptanceTrace.ranks`, is each beginning's next token; null without one. */
async function rankTokens(
  beginnings: readonly Beginning[],
  request: RecordAcceptanceRequest,
): Promise<number[] | null> {
  const model = modelOf(request);
  if (!model) return null;
  const { machine, device, signal = currentSignal() } = request;
  const sampling = parseSampling(request.sampling ?? greedy);
  const ranks: number[] = [];
  for (const some of inMicroBatches(beginnings, beginningsAtOnce)) {
    const logits = await runLogits({
      ...{ target: model, machine, prompts: some.map(({ ids }) => ids) },
      ...(device ? { device } : {}),
      ...(signal ? { signal } : {}),
    });
    for (const [index, { noise, ids, rest }] of some.entries()) {
      const text = { noise, numTokens: ids.length, numRows: 1, tokens: () => ids };
      const leaders = leadersOf(logits[index], 2, sampling ? drawRows(sampling, [text]) : undefined, 0);
      const rank = leaders.ids.indexOf(rest[0]);
      ranks.push(rank < 0 ? 2 : rank);
    }
  }
  return ranks;
}

/** As the drafter would if all of a text were known to it; a model all texts together. */
async function proposeBehind(
  beginnings: readonly Beginning[],
  request: RecordAcceptanceRequest,
): Promise<readonly (readonly number[])[]> {
  const { draft, drafter, candidates, machine, device, sampling, onProgress } = request;
  const { signal = currentSignal() } = request;
  const prompts = beginnings.map(({ ids }) => ids);
  const { guess } = drafterNamed(drafter, draft) ?? {};
  if (guess) return prompts.map((prompt) => guess(prompt, candidates));
  const checkpoint = modelOf(request);
  if (!checkpoint)
    throw new UserError(
      `acceptance is recorded of a draft model, which is missing; give one, or the drafter ${listWords(drafterNames.filter((name) => !needsDraft(name)))}`,
    );
  const { sequences } = await runEngine({
    ...{ target: checkpoint, draft: null, strategy: 'none', machine, stopAtEos: false, prompts },
    ...{ sampling, noises: beginnings.map(({ noise }) => noise) },
    policy: { decodeBatch: beginningsAtOnce },
    maxNewTokens: candidates,
    ...(device ? { device } : {}),
    ...(onProgress ? { onProgress } : {}),
    ...(signal ? { signal } : {}),
  });
  return sequences.map(({ ids }) => ids);
}

/** Tokens, from the first, on which both agree. */
function countAgreement(proposed: readonly number[], chosen: readonly number[]): number {
  let count = 0;
  while (count < proposed.length && count < chosen.length && proposed[count] === chosen[count]) count += 1;
  return count;
}
