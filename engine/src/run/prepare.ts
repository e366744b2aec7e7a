/** A request, checked and given its memory: the same for a run and for its prediction. */

import { UserError } from '@specoffload/input';
import type { MemoryLimits } from '../machine/budgets.js';
import { type Formats, isImagined } from '../machine/formats.js';
import { assertSameVocabulary } from '../model/tokenizer.js';
import type { Checkpoint } from '../model/types.js';
import type { Drafter } from '../schedule/drafter.js';
import { type DrafterName, drafterNamed } from '../schedule/drafters.js';
import { readsInPlace, refuseUnread } from '../schedule/in-place.js';
import type { MemoryDemand, MemoryPlan } from '../schedule/memory-plan.js';
import { planMemory } from '../schedule/placement.js';
import type { OpenPolicy, PolicyInput } from '../schedule/policy.js';
import {
  assertPromptsFit,
  assertSameRotations,
  batchFields,
  measureDemand,
  mostProposed,
  planWaves,
  resolvePolicy,
  roomsOfPlaces,
  tokenRoom,
} from '../schedule/resolve.js';
import {
  type Order,
  type Strategy,
  type StrategyName,
  strategyNamed,
  usesDraft,
} from '../schedule/strategies/index.js';
import { Sequence } from '../speculate/sequence.js';

export interface Request {
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  readonly drafter?: DrafterName | Drafter | undefined;
  readonly prompts: readonly (readonly number[])[];
  readonly strategy: StrategyName | Strategy;
  readonly policy?: PolicyInput;
  readonly maxNewTokens: number;
  /** Where sequences are known to end earlier: new tokens of each, in the order of the prompts. */
  readonly limits?: readonly number[];
  readonly noises?: readonly number[] | undefined;
}

/** A complete policy, the batches it makes, and their places in memory. */
export interface Placed {
  readonly policy: OpenPolicy;
  readonly waves: readonly (readonly (readonly number[])[])[];
  readonly plan: MemoryPlan;
  /** Who proposes; null where nobody does. */
  readonly drafter: Drafter | null;
}

export interface Prepared extends Placed {
  readonly decode: Order;
  readonly sequences: readonly Sequence[];
}

/** What decides about memory: of the prompts, only their lengths. */
export interface PlaceRequest {
  readonly target: Checkpoint;
  /** Left out where the policy does not speculate. */
  readonly draft: Checkpoint | null;
  /** @default model */
  readonly drafter?: DrafterName | Drafter | undefined;
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
}

/** @throws UserError when it does not fit. */
export function place(
  request: PlaceRequest,
  policy: OpenPolicy,
  budgets: MemoryLimits,
  formats: Formats,
): Placed {
  const { target, promptLengths, maxNewTokens } = request;
  const { waves, demand } = batched(policy, promptLengths, maxNewTokens, formats);
  const drafter = usesDraft(policy) ? drafterNamed(request.drafter, request.draft) : null;
  return { policy, waves, drafter, plan: planMemory(target, drafter, demand, budgets, policy, formats) };
}

interface Batched extends Pick<Placed, 'waves'> {
  readonly demand: MemoryDemand;
}

const known = new WeakMap<readonly number[], Map<string, Batched>>();

/** A planner asks for the same ones hundreds of times. */
function batched(
  policy: OpenPolicy,
  promptLengths: readonly number[],
  maxNewTokens: number,
  formats: Formats,
): Batched {
  const ofPrompts = known.get(promptLengths) ?? new Map<string, Batched>();
  known.set(promptLengths, ofPrompts);
  const key = [
    ...batchFields.map((field) => policy[field]),
    ...Object.values(mostProposed(policy)),
    ...[maxNewTokens, isImagined(formats)],
  ].join();
  let found = ofPrompts.get(key);
  if (!found) {
    const waves = planWaves(policy, promptLengths.length);
    found = { waves, demand: measureDemand(policy, waves, promptLengths, maxNewTokens, formats) };
    ofPrompts.set(key, found);
  }
  return found;
}

/** @throws UserError when the request cannot be served, saying what would do. */
export function prepare(request: Request, budgets: MemoryLimits, formats: Formats): Prepared {
  const { target, prompts, maxNewTokens, limits, noises } = request;
  const strategy = strategyNamed(request.strategy);
  const policy = resolvePolicy(strategy, request.policy ?? {}, prompts.length);
  const drafter = usesDraft(policy) ? drafterNamed(request.drafter, request.draft) : null;
  if (usesDraft(policy) && !drafter)
    throw new UserError(`the strategy ${strategy.name} needs a draft model; give one, or use strategy none`);
  const draft = drafter?.checkpoint ?? null;
  // Ids are all the engine knows; whether they mean the same text is for the caller to ask.
  if (draft)
    assertSameVocabulary({ checkpoint: target, tokenizer: null }, { checkpoint: draft, tokenizer: null });
  assertPromptsFit(target, draft, prompts, maxNewTokens);
  const promptLengths = prompts.map(({ length }) => length);
  assertSameRotations(target, promptLengths, tokenRoom(policy, maxNewTokens));
  const placed = place({ ...request, promptLengths }, policy, budgets, formats);
  assertApart(placed);
  assertReadsHost(placed);
  const room = tokenRoom(policy, maxNewTokens);
  const rooms = roomsOfPlaces(policy, promptLengths, room);
  const sequences = prompts.map((prompt, index) => {
    const newTokens = Math.min(room, limits?.[index] ?? room);
    return new Sequence(index, prompt, newTokens, noises?.[index], rooms[index]);
  });
  return { ...placed, sequences, decode: strategy.orders[policy.speculation] as Order };
}

/** The same with sequences that have not begun. */
export function renew(prepared: Prepared): Prepared {
  const sequences = prepared.sequences.map(
    ({ index, prompt, maxNewTokens, noise, roomTokens }) =>
      new Sequence(index, prompt, maxNewTokens, noise, roomTokens),
  );
  return { ...prepared, sequences };
}

/** @throws UserError when parts of a split batch would need the same weights at different times, or have no places of their own. */
function assertApart({ policy: { overlap }, plan: { target } }: Placed): void {
  if (overlap === 'sub-batches') return;
  const refuse = (why: string) => {
    throw new UserError(`invalid overlap: ${overlap}; ${why}, or overlap sub-batches`);
  };
  if (isImagined(target.formats))
    refuse('the memory of this machine is only imagined, expected formats in its file that are planned');
  const { layers, name } = target.checkpoint;
  const coming = layers.find(
    ({ attention, experts }) => ![attention, ...experts].every(({ id }) => target.pinned.has(id)),
  );
  if (coming)
    refuse(
      `passes that go on beside each other need all layers on the device, expected a budget that holds ${name}`,
    );
}

/** @throws UserError when weights are to be read where they lie, and the device has a memory of its own and no other. */
function assertReadsHost({ policy, plan: { target } }: Placed): void {
  const { formats } = target;
  if (readsInPlace(policy) && !isImagined(formats) && !formats.hostReach) refuseUnread(policy, 'this device');
}

/** @throws UserError when the number of new tokens is none. */
export function assertNewTokens(maxNewTokens: number): void {
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 1))
    throw new UserError(`invalid number of new tokens: ${maxNewTokens}; expected a whole number from 1`);
}
