/** A conversation on this machine: lanes, resident weights and both models' KV caches last from one turn to the next. */

import { UserError } from '@specoffload/input';
import { smallest } from '../extremes.js';
import { formatsOf } from '../machine/devices.js';
import { rotatesAlike } from '../model/rope.js';
import type { OpenPolicy } from '../schedule/policy.js';
import { assertPromptsFit, mostProposed, tokenRoom } from '../schedule/resolve.js';
import type { Order } from '../schedule/strategies/index.js';
import { Sequence, type StopReason, type TokenListener } from '../speculate/sequence.js';
import { chooserOf } from './generate.js';
import {
  assertHasWeights,
  cutToLimit,
  endsOf,
  guarded,
  type OpenMachine,
  openMachine,
  samplingOf,
} from './local-run.js';
import { assertNewTokens, type Placed, type Prepared, place, prepare } from './prepare.js';
import { Session } from './session.js';
import type { RunRequest } from './types.js';

/** What turns are made with; `maxNewTokens` is that of each. */
export type TalkRequest = Omit<RunRequest, 'prompts' | 'noises' | 'onProgress' | 'onToken' | 'signal'>;

export interface Turn {
  /** All that the target shall read; what the cache holds of its beginning is not computed again. */
  readonly prompt: readonly number[];
  readonly onToken?: TokenListener | undefined;
  /** Aborting rejects the turn with the signal's reason; the next one begins with empty caches. */
  readonly signal?: AbortSignal | undefined;
}

export interface TurnResult {
  readonly ids: readonly number[];
  readonly stopReason: StopReason;
  /** Prefill and decode; opening files and pinning are not in it. */
  readonly seconds: number;
  /** Of the prompt, tokens that the target's cache held from turns before. */
  readonly heldTokens: number;
}

/** Lanes with caches for so many tokens, and what lies in these. */
interface Opened extends OpenMachine {
  readonly roomTokens: number;
  readonly policy: OpenPolicy;
  readonly decode: Order;
  readonly session: Session;
  /** The latest turn's. */
  sequence: Sequence | null;
}

/** What a conversation soon comes to: to open the lanes again for more would be read as a pause. */
const fewTurnsTokens = 1024;

/** Turns follow each other; each writes what a run of its own would, up to rounding. */
export class Talk {
  readonly #request: TalkRequest;
  #opened: Opened | null = null;
  /** Told of the tokens of the turn under way. */
  #onToken: TokenListener | undefined;

  /** @throws UserError for what no turn could do. */
  constructor(request: TalkRequest) {
    assertNewTokens(request.maxNewTokens);
    assertHasWeights(request);
    this.#request = request;
  }

  /** @throws UserError as `runEngine`; the signal's reason when it aborts. */
  async reply({ prompt, onToken, signal }: Turn): Promise<TurnResult> {
    signal?.throwIfAborted();
    this.#onToken = endsOf({ ...this.#request, onToken }).onToken;
    try {
      const opened = await this.#withRoomFor(prompt);
      return await guarded(opened, signal, () => this.#continue(opened, prompt));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Ends the lanes; another turn would start them again. */
  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = null;
    await opened?.close();
  }

  async #continue(opened: Opened, prompt: readonly number[]): Promise<TurnResult> {
    const { session, policy, roomTokens, dispatcher } = opened;
    const { maxNewTokens } = this.#request;
    const { alternates, alternateTokens } = mostProposed(policy);
    const room = roomTokens + alternates * alternateTokens;
    const sequence = new Sequence(0, prompt, tokenRoom(policy, maxNewTokens), 0, room);
    if (opened.sequence) holdCommon(sequence, opened.sequence);
    // Prefill takes the memory of a draft that comes after it, and of its cache.
    if (policy.draftPlacement === 'after-prefill') sequence.draftCached = 0;
    opened.sequence = sequence;
    const heldTokens = sequence.targetCached;
    dispatcher.forgetSpans();
    session.assignCaches([[sequence]]);
    const startMilliseconds = performance.now();
    await session.prefill([[sequence]]);
    await session.bringDraft();
    await opened.decode(session.rounds([[sequence]]));
    const seconds = (performance.now() - startMilliseconds) / 1000;
    const { choices, stopReason } = cutToLimit(sequence, maxNewTokens);
    return { ids: choices.map(({ id }) => id), stopReason, seconds, heldTokens };
  }

  /** The lanes that run, or others where a prompt does not fit the caches of those. */
  async #withRoomFor(prompt: readonly number[]): Promise<Opened> {
    const { maxNewTokens, target } = this.#request;
    if (this.#opened) {
      const { policy, roomTokens } = this.#opened;
      const needed = prompt.length + tokenRoom(policy, maxNewTokens);
      if (needed <= roomTokens && this.#rotatesAlike(needed, roomTokens)) {
        assertPromptsFit(target, null, [prompt], maxNewTokens);
        return this.#opened;
      }
      await this.close();
    }
    return this.#open(prompt);
  }

  async #open(prompt: readonly number[]): Promise<Opened> {
    const request: RunRequest = { ...this.#request, prompts: [prompt] };
    const { maxNewTokens, machine: budgets, device } = request;
    const prepared = prepare(request, budgets, formatsOf(device));
    const sampling = samplingOf(request, prepared.policy);
    const { plan, policy, drafter, roomTokens } = this.#makeRoom(prepared, prompt.length);
    const lanes = await openMachine(request, plan, policy);
    const session = new Session({
      ...{ plan, policy, drafter, sampling, maxNewTokens, isVirtual: false, waiting: [], onPass: () => {} },
      ...{ dispatcher: lanes.dispatcher },
      chooser: chooserOf(policy, lanes.machine),
      ends: {
        eosTokenIds: endsOf(request).eosTokenIds,
        onToken: (sequence, id) => this.#onToken?.(sequence, id),
      },
    });
    this.#opened = { ...lanes, roomTokens, policy, decode: prepared.decode, session, sequence: null };
    await guarded(lanes, undefined, () => session.placeResidents());
    return this.#opened;
  }

  /** Room for more turns than this one, as far as the budgets, both contexts and the rotations allow it. */
  #makeRoom(prepared: Prepared, promptTokens: number): Placed & { readonly roomTokens: number } {
    const { maxNewTokens, target, machine, device } = this.#request;
    const { policy, drafter } = prepared;
    const newTokens = tokenRoom(policy, maxNewTokens);
    const needed = promptTokens + newTokens;
    const positions = [target, drafter?.checkpoint].map(
      (model) => model?.spec.maxPositions ?? Number.POSITIVE_INFINITY,
    );
    const most = smallest(positions) - maxNewTokens + newTokens;
    for (const wished of [Math.max(fewTurnsTokens, 2 * needed), 2 * needed]) {
      const roomTokens = Math.min(wished, most);
      if (roomTokens <= needed || !this.#rotatesAlike(needed, roomTokens)) continue;
      try {
        const request = { ...this.#request, promptLengths: [roomTokens - newTokens] };
        return { ...place(request, policy, machine, formatsOf(device)), roomTokens };
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
      }
    }
    return { ...prepared, roomTokens: needed };
  }

  #rotatesAlike(onePositions: number, otherPositions: number): boolean {
    const { target, draft } = this.#request;
    return [target, draft].every((model) => !model || rotatesAlike(model.spec, onePositions, otherPositions));
  }
}

/** Lets a sequence begin with what the caches hold of an earlier one that lies where it will lie. Mutates `sequence`. */
function holdCommon(sequence: Sequence, earlier: Sequence): void {
  const held = earlier.tokensFrom(0);
  const { prompt } = sequence;
  // The last token of a prompt is always fed: the first choice is read behind it.
  let common = 0;
  while (common < prompt.length - 1 && prompt[common] === held[common]) common += 1;
  // The last token of the earlier text was never fed to either model.
  sequence.targetCached = Math.min(common, earlier.targetCached);
  sequence.draftCached = Math.min(common, earlier.draftCached, earlier.length - 1);
}
