/** The entry that reads as a sentence: plan, prefill, then rounds until done. */

import { createHash } from 'node:crypto';
import { assertSameVocabulary } from '../model/tokenizer.js';
import { UserError } from '../model/types.js';
import { type MemoryPlan, planMemory } from '../schedule/placement.js';
import type { Policy } from '../schedule/policy.js';
import {
  assertPromptsFit,
  measureDemand,
  type OpenPolicy,
  planWaves,
  resolvePolicy,
} from '../schedule/resolve.js';
import { strategies } from '../schedule/strategies/index.js';
import type { Strategy } from '../schedule/strategies/strategy.js';
import { Sequence } from '../speculate/sequence.js';
import { measureGaps, reportPhase, type TimeWindow } from '../trace/report.js';
import { type LaneName, laneNames, type PhaseName } from '../trace/types.js';
import { Dispatcher } from './dispatcher.js';
import { LocalMachine } from './local-machine.js';
import { Session } from './session.js';
import { isNearTie } from './ties.js';
import type { LogitsRequest, RunRequest, RunResult } from './types.js';

/** A request that has been checked and given its memory. */
interface Prepared {
  readonly policy: OpenPolicy;
  readonly waves: readonly (readonly (readonly number[])[])[];
  readonly sequences: readonly Sequence[];
  readonly plan: MemoryPlan;
}

/**
 * Generates continuations of all prompts with the target's weights streamed under the memory budgets.
 *
 * @throws UserError when the request cannot be served, before any weight is read: a budget too small (says the
 * smallest), a prompt longer than the context, a strategy that needs a draft, a draft of another vocabulary, a policy
 * field out of range.
 */
export async function runEngine(request: RunRequest): Promise<RunResult> {
  const strategy = strategies[request.strategy];
  if (!strategy)
    throw new UserError(
      `unknown strategy: ${request.strategy}; expected one of ${Object.keys(strategies).join(', ')}`,
    );
  const { maxNewTokens } = request;
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 1))
    throw new UserError(`invalid number of new tokens: ${maxNewTokens}; expected a whole number from 1`);
  const prepared = prepare(request, strategy);
  return withMachine(request, prepared, (machine, dispatcher, setupStart) =>
    generate(request, strategy, prepared, machine, dispatcher, setupStart),
  );
}

/**
 * The target's logits after each prompt, its weights streamed under the budgets like in any run.
 *
 * @returns per prompt: logits of the last position (vocab)
 * @throws UserError as {@link runEngine}
 */
export async function runLogits(request: LogitsRequest): Promise<Float32Array[]> {
  const run: RunRequest = { ...request, draft: null, strategy: 'none', maxNewTokens: 0 };
  const prepared = prepare(run, strategies.none);
  return withMachine(run, prepared, async (_machine, dispatcher) => {
    const session = createSession(run, prepared, dispatcher, () => {});
    await session.placeResidents();
    const logits: Float32Array[] = [];
    for (const wave of prepared.waves) {
      const batches = wave.map((members) => members.map((index) => prepared.sequences[index]));
      session.assignCaches(batches.flat());
      for (const [index, values] of await session.promptLogits(batches)) logits[index] = values;
    }
    return logits;
  });
}

function prepare(request: RunRequest, strategy: Strategy): Prepared {
  const { target, prompts, maxNewTokens, machine } = request;
  if (strategy.usesDraft && !request.draft)
    throw new UserError(`the strategy ${strategy.name} needs a draft model; give one, or use strategy none`);
  const draft = strategy.usesDraft ? request.draft : null;
  // Ids are all the engine knows; whether they mean the same text is for the caller to ask.
  if (draft)
    assertSameVocabulary({ checkpoint: target, tokenizer: null }, { checkpoint: draft, tokenizer: null });
  assertPromptsFit(target, draft, prompts, maxNewTokens);
  const policy = resolvePolicy(strategy, request.policy ?? {}, prompts.length);
  const waves = planWaves(policy, prompts.length);
  const promptLengths = prompts.map(({ length }) => length);
  const demand = measureDemand(policy, waves, promptLengths, maxNewTokens);
  const plan = planMemory(target, draft, demand, machine, policy);
  const sequences = prompts.map((prompt, index) => new Sequence(index, prompt, maxNewTokens));
  return { policy, waves, sequences, plan };
}

/** Starts the lanes, lends them to `work`, and ends them whatever happens. */
async function withMachine<T>(
  request: RunRequest,
  { plan }: Prepared,
  work: (machine: LocalMachine, dispatcher: Dispatcher, setupStartSeconds: number) => Promise<T>,
): Promise<T> {
  const { signal } = request;
  signal?.throwIfAborted();
  const setupStart = performance.now() / 1000;
  const machine = await LocalMachine.create(plan, request.machine);
  const dispatcher = new Dispatcher(machine);
  const onAbort = () => dispatcher.fail(toError(signal?.reason));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    return await work(machine, dispatcher, setupStart);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await dispatcher.drain();
    await machine.close();
  }
}

function createSession(
  request: RunRequest,
  { plan, policy }: Prepared,
  dispatcher: Dispatcher,
  onPass: (phase: PhaseName, passes: number) => void,
): Session {
  const eosTokenIds = new Set(request.stopAtEos === false ? [] : request.target.config.eosTokenIds);
  return new Session({ plan, policy, dispatcher, eosTokenIds, onPass });
}

async function generate(
  request: RunRequest,
  strategy: Strategy,
  prepared: Prepared,
  machine: LocalMachine,
  dispatcher: Dispatcher,
  setupStart: number,
): Promise<RunResult> {
  const { sequences, waves } = prepared;
  const windows: Record<PhaseName, TimeWindow[]> = { prefill: [], decode: [] };
  const session = createSession(request, prepared, dispatcher, (phase, passes) =>
    request.onProgress?.({
      ...{ phase, passes, numSequences: sequences.length, elapsedSeconds: machine.now() },
      newTokens: countNewTokens(sequences),
      maxNewTokens: sequences.length * request.maxNewTokens,
      finishedSequences: sequences.filter(({ isFinished }) => isFinished).length,
    }),
  );
  await session.placeResidents();
  const setupSpans = dispatcher.spans.length;
  const setupSeconds = performance.now() / 1000 - setupStart;
  machine.restartClock();

  for (const wave of waves) {
    const batches = wave.map((members) => members.map((index) => sequences[index]));
    session.assignCaches(batches.flat());
    const prefillStart = machine.now();
    await session.prefill(batches);
    const decodeStart = machine.now();
    await strategy.decode(session.rounds(batches));
    windows.prefill.push({ startSeconds: prefillStart, endSeconds: decodeStart });
    windows.decode.push({ startSeconds: decodeStart, endSeconds: machine.now() });
  }

  const { plan, policy } = prepared;
  return assembleResult(request, {
    policy: { ...policy, ...settledBy(plan) },
    ...{ plan, sequences, session, windows, setupSeconds, machine },
    spans: dispatcher.spans.slice(setupSpans),
  });
}

/** The fields that a policy leaves to placement. */
function settledBy({ prefetchDepth, pinnedLayers, keptLayers }: MemoryPlan) {
  return { prefetchDepth, pinnedLayers, keptLayers };
}

interface Finished {
  readonly policy: Policy;
  readonly plan: MemoryPlan;
  readonly sequences: readonly Sequence[];
  readonly session: Session;
  readonly windows: Readonly<Record<PhaseName, readonly TimeWindow[]>>;
  readonly setupSeconds: number;
  readonly machine: LocalMachine;
  readonly spans: Dispatcher['spans'];
}

function assembleResult(request: RunRequest, finished: Finished): RunResult {
  const { policy, plan, sequences, session, windows, setupSeconds, machine } = finished;
  const spans = [...finished.spans].sort((a, b) => a.startSeconds - b.startSeconds || a.id - b.id);
  const phases = {
    prefill: reportPhase(spans, windows.prefill),
    decode: reportPhase(spans, windows.decode),
  };
  const seconds = phases.prefill.seconds + phases.decode.seconds;
  const newTokens = countNewTokens(sequences);
  const choices = sequences.flatMap((sequence) => sequence.choices);
  const moved = (lane: LaneName) => phases.prefill.lanes[lane].bytes + phases.decode.lanes[lane].bytes;
  return {
    strategy: request.strategy,
    ...{ policy, newTokens, seconds, setupSeconds, phases, spans },
    sequences: sequences.map((sequence) => ({
      ids: sequence.choices.map(({ id }) => id),
      margins: sequence.choices.map(({ margin }) => margin),
      routerMargins: sequence.choices.map(({ routerMargin }) => routerMargin),
      stopReason: sequence.stopReason ?? 'length',
    })),
    tokensPerSecond: newTokens / seconds,
    acceptance: session.acceptance.report(),
    memory: {
      device: { peakBytes: plan.device.totalBytes, budgetBytes: request.machine.deviceBytes },
      host: { peakBytes: plan.host.totalBytes, budgetBytes: request.machine.hostBytes },
    },
    bytesMoved: { disk: moved('disk'), link: moved('link') },
    passes: session.passes,
    nearTies: choices.filter(isNearTie).length,
    outputDigest: digestOutput(sequences),
    native: machine.core.kind,
    directReads: machine.readsDirectly,
    laneGaps: Object.fromEntries(
      laneNames.map((lane) => [lane, measureGaps(spans, lane)]),
    ) as RunResult['laneGaps'],
  };
}

function countNewTokens(sequences: readonly Sequence[]): number {
  return sequences.reduce((sum, { choices }) => sum + choices.length, 0);
}

function digestOutput(sequences: readonly Sequence[]): string {
  const ids = sequences.map(({ choices }) => choices.map(({ id }) => id));
  return createHash('sha256').update(JSON.stringify(ids)).digest('hex');
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
