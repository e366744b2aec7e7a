/** What every run on this machine does around its tokens: refuse what it cannot do, start the lanes, explain failures. */

import { UserError } from '@specoffload/input';
import { assertProductNoise } from '../machine/product-noise.js';
import { isDescribed } from '../model/describe.js';
import { readsInPlace, refuseInPlace, refuseUnread } from '../schedule/in-place.js';
import type { MemoryPlan } from '../schedule/memory-plan.js';
import type { OpenPolicy } from '../schedule/policy.js';
import { usesDraft } from '../schedule/strategies/index.js';
import { greedy, parseSampling, type Sampling } from '../speculate/sampling.js';
import type { Sequence, SequenceEnds } from '../speculate/sequence.js';
import { Dispatcher, toError } from './dispatcher.js';
import { LocalMachine } from './local-machine.js';
import { explainNotFinite, NotFiniteError } from './not-finite.js';
import type { MachineSettings, RunRequest } from './types.js';

export function endsOf({
  stopAtEos,
  target,
  maxNewTokens,
  onToken,
}: Pick<RunRequest, 'stopAtEos' | 'target' | 'maxNewTokens' | 'onToken'>): SequenceEnds {
  const eosTokenIds = new Set(stopAtEos === false ? [] : target.spec.eosTokenIds);
  if (!onToken) return { eosTokenIds };
  // While it waits for others, a sequence may write beyond its limit, which nobody asked for.
  const told = new Map<number, number>();
  return {
    eosTokenIds,
    onToken(sequence, id) {
      const count = (told.get(sequence) ?? 0) + 1;
      told.set(sequence, count);
      return count > maxNewTokens ? undefined : onToken(sequence, id);
    },
  };
}

/** @throws UserError when there are no weights. */
export function assertHasWeights({ target, draft }: Pick<RunRequest, 'target' | 'draft'>): void {
  for (const model of [target, draft])
    if (model && isDescribed(model))
      throw new UserError(
        `${model.name} is known by its configuration alone, which simulate and plan can predict; expected a checkpoint with weights`,
      );
}

/**
 * How tokens are drawn; null: the most likely are chosen.
 * @throws UserError when a field is out of range, or the policy would make a text depend on measured times.
 */
export function samplingOf(
  { sampling: input }: Pick<RunRequest, 'sampling'>,
  policy: OpenPolicy,
): Sampling | null {
  const sampling = parseSampling(input ?? greedy);
  if (sampling?.rule === 'rejection' && policy.adaptCandidates === 'yes')
    throw new UserError(
      'invalid adaptCandidates: yes; under the rejection rule a text depends on how many candidates there were, which would depend on measured times: expected no, or another rule',
    );
  if (sampling?.rule === 'rejection' && usesDraft(policy) && policy.alternates > 0)
    throw new UserError(
      `invalid alternates: ${policy.alternates}; under the rejection rule what replaces a candidate is drawn from what the draft has too little of, and its other choices would be judged otherwise: expected 0, or the rule coupled`,
    );
  return sampling;
}

/** What was asked for of a sequence: what it generated beyond its limit, while it waited for others, is dropped. */
export function cutToLimit({ choices, stopReason }: Sequence, maxNewTokens: number) {
  return {
    choices: choices.slice(0, maxNewTokens),
    stopReason: choices.length > maxNewTokens ? 'length' : (stopReason ?? 'length'),
  } as const;
}

export interface OpenMachine {
  readonly machine: LocalMachine;
  readonly dispatcher: Dispatcher;
  readonly plan: MemoryPlan;
  /** Ends the lanes when what is under way on them has ended. */
  close(): Promise<void>;
}

export async function openMachine(
  { machine: settings, device, productNoise }: Pick<RunRequest, 'machine' | 'device' | 'productNoise'>,
  plan: MemoryPlan,
  policy: OpenPolicy,
): Promise<OpenMachine> {
  if (productNoise) assertProductNoise(productNoise, policy);
  const machine = await LocalMachine.create(plan, settings, device, productNoise);
  try {
    assertReads(policy, settings, machine);
  } catch (error) {
    await machine.close();
    throw error;
  }
  const dispatcher = new Dispatcher(machine);
  return {
    ...{ machine, dispatcher, plan },
    async close() {
      await dispatcher.drain();
      await machine.close();
    },
  };
}

/** @throws UserError when the policy has kernels read host memory, and they cannot, or past the cap of the link */
function assertReads(policy: OpenPolicy, { caps }: MachineSettings, machine: LocalMachine): void {
  if (!readsInPlace(policy)) return;
  if (!machine.deviceReach) refuseUnread(policy, machine.deviceFacts.name);
  if (caps?.linkBytesPerSecond)
    refuseInPlace(
      policy,
      'what kernels read over the link passes by its cap, expected copied, or no cap on the link',
    );
}

/** Does work on the lanes that ends with the signal's reason when it aborts, and says what is wrong with a model. */
export async function guarded<T>(
  { plan, dispatcher }: OpenMachine,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const onAbort = () => dispatcher.fail(toError(signal?.reason));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    return await work();
  } catch (error) {
    if (!(error instanceof NotFiniteError)) throw error;
    const { checkpoint } = error.place.model === 'draft' && plan.draft ? plan.draft : plan.target;
    throw await explainNotFinite(error.place, checkpoint, signal);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
