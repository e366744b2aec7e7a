/** Finds out what a draft gets right of texts that the target has written. */

import { currentSignal } from '@specoffload/input';
import type { Checkpoint } from '../model/types.js';
import type { AcceptanceTrace } from '../speculate/acceptance.js';
import type { SamplingInput } from '../speculate/sampling.js';
import { runEngine } from './engine.js';
import type { MachineSettings, RunProgress } from './types.js';

export interface RecordAcceptanceRequest {
  readonly name: string;
  readonly draft: Checkpoint;
  /** Each prompt and what the target made of it. */
  readonly texts: readonly { readonly prompt: readonly number[]; readonly newIds: readonly number[] }[];
  /** How the texts were drawn, with the seed, where they were: the draft's tokens are drawn likewise. */
  readonly sampling?: SamplingInput | undefined;
  /** Longest stretch of candidates to try. */
  readonly candidates: number;
  /** New tokens that the target was asked for. */
  readonly newTokens: number;
  readonly machine: MachineSettings;
  readonly onProgress?: (progress: RunProgress) => void;
  readonly signal?: AbortSignal;
}

/** Beginnings continued together; more would only take more memory. */
const beginningsAtOnce = 64;

/**
 * Lets the draft continue every beginning of every text as the text was written, and counts how far it goes along with the target.
 * A beginning's continuation is what the draft would propose there in any run that lets it see all tokens so far.
 *
 * @throws UserError as `runEngine`
 */
export async function recordAcceptance(request: RecordAcceptanceRequest): Promise<AcceptanceTrace> {
  const { name, draft, texts, candidates, newTokens, machine, sampling, onProgress } = request;
  const { signal = currentSignal() } = request;
  const beginnings = texts.flatMap(({ prompt, newIds }, noise) =>
    newIds.map((_, count) => ({
      ...{ noise, ids: [...prompt, ...newIds.slice(0, count)] },
      rest: newIds.slice(count),
    })),
  );
  const { sequences } = await runEngine({
    ...{ target: draft, draft: null, strategy: 'none', machine, stopAtEos: false },
    prompts: beginnings.map(({ ids }) => ids),
    noises: beginnings.map(({ noise }) => noise),
    sampling,
    policy: { decodeBatch: beginningsAtOnce },
    maxNewTokens: candidates,
    ...(onProgress ? { onProgress } : {}),
    ...(signal ? { signal } : {}),
  });
  const runs = beginnings.map(({ rest }, index) => countAgreement(sequences[index].ids, rest));
  let first = 0;
  const perText = texts.map(({ newIds }) => {
    const own = runs.slice(first, first + newIds.length);
    first += newIds.length;
    return own;
  });
  return { kind: 'recorded', name, candidates, newTokens, sequences: perText };
}

/** Tokens, from the first, on which both agree. */
function countAgreement(proposed: readonly number[], chosen: readonly number[]): number {
  let count = 0;
  while (count < proposed.length && count < chosen.length && proposed[count] === chosen[count]) count += 1;
  return count;
}
