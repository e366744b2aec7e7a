/** The engine: a run on this machine, for real. */

import { createHash } from 'node:crypto';
import { currentSignal } from '@specoffload/input';
import { formatsOf } from '../machine/devices.js';
import { strategyNamed } from '../schedule/strategies/index.js';
import type { Sequence } from '../speculate/sequence.js';
import { measureGaps } from '../trace/report.js';
import type { Dispatcher } from './dispatcher.js';
import { type Generated, generate } from './generate.js';
import type { LocalMachine } from './local-machine.js';
import { assertHasWeights, cutToLimit, endsOf, guarded, openMachine, samplingOf } from './local-run.js';
import { assertNewTokens, type Prepared, prepare } from './prepare.js';
import { Session } from './session.js';
import { isNearTie } from './ties.js';
import type { LogitsRequest, RunRequest, RunResult } from './types.js';

/**
 * Generates continuations of all prompts with the target's weights streamed under the memory budgets.
 *
 * @throws UserError when the request cannot be served, before any weight is read: a budget too small (says the
 * smallest), a prompt longer than the context, a strategy that needs a draft, a draft of another vocabulary, a policy
 * or sampling field out of range. During the run, when a model computes what is not finite.
 */
export async function runEngine(request: RunRequest): Promise<RunResult> {
  assertNewTokens(request.maxNewTokens);
  assertHasWeights(request);
  const prepared = prepare(request, request.machine, formatsOf(request.device));
  const sampling = samplingOf(request, prepared.policy);
  return withMachine(request, prepared, async (machine, dispatcher, setupStart) => {
    let setupSeconds = 0;
    const generated = await generate({
      ...{ prepared, dispatcher, machine, sampling, isVirtual: false },
      maxNewTokens: request.maxNewTokens,
      ends: endsOf(request),
      ...{ onProgress: request.onProgress, onProposingStopped: request.onProposingStopped },
      onPhase: (phase) => {
        machine.meter.begin(phase);
        machine.energyMeter.begin(phase);
      },
      onPlaced: () => {
        setupSeconds = performance.now() / 1000 - setupStart;
        machine.restartClock();
      },
    });
    return assembleResult(request, prepared, generated, machine, setupSeconds);
  });
}

/**
 * The target's logits after each prompt, its weights streamed under the budgets like in any run.
 *
 * @returns per prompt: logits of the last position (vocab)
 * @throws UserError as {@link runEngine}
 */
export async function runLogits(request: LogitsRequest): Promise<Float32Array[]> {
  const run: RunRequest = { ...request, draft: null, strategy: 'none', maxNewTokens: 0 };
  assertHasWeights(run);
  const prepared = prepare(run, request.machine, formatsOf(request.device));
  return withMachine(run, prepared, async (_machine, dispatcher) => {
    const { plan, policy, waves, sequences } = prepared;
    const session = new Session({
      ...{ plan, policy, drafter: null, dispatcher, sampling: null, maxNewTokens: 0, isVirtual: false },
      ...{ ends: endsOf(run), waiting: [], onPass: () => {} },
    });
    await session.placeResidents();
    const logits: Float32Array[] = [];
    for (const wave of waves) {
      const batches = wave.map((members) => members.map((index) => sequences[index]));
      session.assignCaches(batches);
      for (const [index, values] of await session.promptLogits(batches)) logits[index] = values;
    }
    return logits;
  });
}

/** Starts the lanes, lends them to `work`, and ends them whatever happens. */
async function withMachine<T>(
  request: RunRequest,
  { plan, policy }: Prepared,
  work: (machine: LocalMachine, dispatcher: Dispatcher, setupStartSeconds: number) => Promise<T>,
): Promise<T> {
  const { signal = currentSignal() } = request;
  signal?.throwIfAborted();
  const setupStart = performance.now() / 1000;
  const lanes = await openMachine(request, plan, policy);
  try {
    return await guarded(lanes, signal, () => work(lanes.machine, lanes.dispatcher, setupStart));
  } finally {
    await lanes.close();
  }
}

function assembleResult(
  request: RunRequest,
  { plan, sequences: generated }: Prepared,
  { outcome, spans: logged, memoryLog }: Generated,
  machine: LocalMachine,
  setupSeconds: number,
): RunResult {
  const sequences = generated.map((sequence) => cutToLimit(sequence, request.maxNewTokens));
  const choices = sequences.flatMap((sequence) => sequence.choices);
  const devicePower = machine.meter.power();
  const spans = logged.toArray();
  return {
    ...outcome,
    ...{ strategy: strategyNamed(request.strategy).name, setupSeconds, spans, memoryLog: memoryLog() },
    sequences: sequences.map((sequence) => ({
      ids: sequence.choices.map(({ id }) => id),
      margins: sequence.choices.map(({ margin }) => margin),
      routerMargins: sequence.choices.map(({ routerMargin }) => routerMargin),
      stopReason: sequence.stopReason,
    })),
    memory: {
      device: { peakBytes: plan.pools.device.totalBytes, budgetBytes: request.machine.deviceBytes },
      host: { peakBytes: plan.pools.host.totalBytes, budgetBytes: request.machine.hostBytes },
    },
    nearTies: choices.filter((choice) => isNearTie(choice, machine.arithmetic)).length,
    outputDigest: digestOutput(sequences),
    ...{ arithmetic: machine.arithmetic, device: machine.deviceFacts },
    ...{ deviceUse: machine.meter.use(), devicePower },
    energy: machine.energyMeter.energy(devicePower, outcome.newTokens),
    native: machine.core.kind,
    directReads: machine.readsDirectly,
    laneGaps: Object.fromEntries(machine.lanes.map(({ name }) => [name, measureGaps(spans, name)])),
  };
}

function digestOutput(sequences: readonly Pick<Sequence, 'choices'>[]): string {
  const ids = sequences.map(({ choices }) => choices.map(({ id }) => id));
  return createHash('sha256').update(JSON.stringify(ids)).digest('hex');
}
