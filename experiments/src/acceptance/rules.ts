/** What coupled sampling costs in acceptance: how often it would accept a draft's candidate, beside the rejection rule. */

import {
  type Checkpoint,
  chanceByCoupling,
  chanceByRejection,
  createRandom,
  runEngine,
  runLogits,
  type SamplingInput,
  warpedShares,
} from '@specoffload/engine';
import type { Workload } from '../inputs/prompts.js';
import { type Interval, medianInterval } from '../statistics/interval.js';
import { roomFor } from './measure.js';

export interface RuleComparison {
  /** Mean chances that a candidate stands, over all positions of all texts. */
  readonly coupled: number;
  readonly rejection: number;
  /** Of coupled / rejection, text by text: the median's 95 % interval; null for too few texts. */
  readonly ratio: Interval | null;
  readonly positions: number;
}

export interface RuleRequest {
  readonly target: Checkpoint;
  readonly draft: Checkpoint;
  readonly workload: Workload;
  /** New tokens of each text. */
  readonly newTokens: number;
  readonly sampling: SamplingInput;
  readonly signal?: AbortSignal;
}

/** Both rules on the distributions that target and draft really have along texts that the target has drawn. */
export async function compareRules(request: RuleRequest): Promise<RuleComparison> {
  const { target, draft, workload, newTokens, sampling, signal } = request;
  const asked = signal ? { signal } : {};
  const { sequences } = await runEngine({
    ...{ target, draft: null, strategy: 'none', prompts: workload.prompts, stopAtEos: false, ...asked },
    ...{ maxNewTokens: newTokens, machine: roomFor(target), sampling },
  });
  const texts = sequences.map(({ ids }, index) =>
    ids.map((_, count) => [...workload.prompts[index], ...ids.slice(0, count)]),
  );
  const chances: { coupled: number; rejection: number }[][] = [];
  for (const prompts of texts) {
    const [ofTarget, ofDraft] = await Promise.all(
      [target, draft].map((model) =>
        runLogits({ target: model, prompts, machine: roomFor(model), ...asked }),
      ),
    );
    chances.push(
      prompts.map((text, place) => {
        const [p, q] = [ofTarget[place], ofDraft[place]].map((logits) =>
          warpedShares(logits, text, sampling),
        );
        return { coupled: chanceByCoupling(q, p), rejection: chanceByRejection(q, p) };
      }),
    );
  }
  const mean = (of: readonly { coupled: number; rejection: number }[], rule: 'coupled' | 'rejection') =>
    of.reduce((sum, chance) => sum + chance[rule], 0) / of.length;
  const ratios = chances.map((own) => mean(own, 'coupled') / mean(own, 'rejection'));
  const all = chances.flat();
  return {
    ...{ coupled: mean(all, 'coupled'), rejection: mean(all, 'rejection') },
    ...{ ratio: medianInterval(ratios, createRandom(1, 'rules')), positions: all.length },
  };
}
