/** A whole run: wave by wave, prefill and then rounds until all sequences are done; and its result. */

import type { HostShares } from '../schedule/balance.js';
import { mapPools } from '../schedule/memory-plan.js';
import type { OpenPolicy, Policy } from '../schedule/policy.js';
import { usesDraft } from '../schedule/strategies/index.js';
import { CandidateChooser } from '../speculate/candidate-choice.js';
import type { Sampling } from '../speculate/sampling.js';
import type { Sequence, SequenceEnds } from '../speculate/sequence.js';
import { isTransfer, type LaneName } from '../topology/topology.js';
import type { MemoryLog } from '../trace/memory.js';
import { reportPhase, type TimeWindow } from '../trace/report.js';
import type { LoggedSpans } from '../trace/span-log.js';
import type { PhaseName } from '../trace/types.js';
import type { Dispatcher } from './dispatcher.js';
import type { Machine } from './machine.js';
import { logMemory } from './memory-log.js';
import type { Prepared } from './prepare.js';
import { Session } from './session.js';
import type { RunOutcome, RunProgress } from './types.js';

export interface GenerateOptions {
  readonly prepared: Prepared;
  readonly dispatcher: Dispatcher;
  readonly machine: Machine;
  readonly maxNewTokens: number;
  readonly sampling: Sampling | null;
  readonly ends: SequenceEnds;
  readonly isVirtual: boolean;
  /** See `SessionOptions`. */
  readonly interruptsDraft?: boolean;
  readonly hostShares?: HostShares | undefined;
  readonly onProgress?: ((progress: RunProgress) => void) | undefined;
  readonly onProposingStopped?: ((seconds: number) => void) | undefined;
  /** What is done from now on belongs to a phase, or to none. */
  readonly onPhase?: (phase: PhaseName | null) => void;
  /** Called when everything that stays in memory is there: from here on time counts. */
  readonly onPlaced: () => void;
}

export interface Generated {
  readonly outcome: RunOutcome;
  /** Since everything was in its place. */
  readonly spans: LoggedSpans;
  readonly memoryLog: () => MemoryLog;
}

export async function generate(options: GenerateOptions): Promise<Generated> {
  const { prepared, dispatcher, machine } = options;
  const { policy } = prepared;
  const windows: Record<PhaseName, TimeWindow[]> = { prefill: [], decode: [] };
  const { waves, waiting } = splitWaves(prepared);
  const chooser = chooserOf(policy, machine, options.onProposingStopped);
  const session = createSession(options, waiting, chooser);
  if (!options.isVirtual) await session.placeResidents();
  const setupSpans = dispatcher.log.length;
  const setupUses = dispatcher.slotUses().length;
  options.onPlaced();

  for (const batches of waves) {
    session.assignCaches(batches);
    const prefillStart = machine.now();
    options.onPhase?.('prefill');
    await session.prefill(batches);
    const decodeStart = machine.now();
    options.onPhase?.('decode');
    await session.bringDraft();
    await prepared.decode(session.rounds(batches));
    windows.prefill.push({ startSeconds: prefillStart, endSeconds: decodeStart });
    windows.decode.push({ startSeconds: decodeStart, endSeconds: machine.now() });
  }
  options.onPhase?.(null);
  const spans = dispatcher.log.from(setupSpans);
  const slotUses = dispatcher.slotUses(setupUses);
  const outcome = assemble(options, session, windows, spans);
  return {
    outcome: chooser ? { ...outcome, ...choiceOf(chooser) } : outcome,
    ...{ spans, memoryLog: () => logMemory(prepared.plan, windows, slotUses.toArray()) },
  };
}

/** Who decides how many candidates a round proposes, where the policy leaves that to what was measured. */
export function chooserOf(
  policy: OpenPolicy,
  machine: Machine,
  onStop?: (seconds: number) => void,
): CandidateChooser | null {
  const adapts = usesDraft(policy) && policy.adaptCandidates === 'yes';
  return adapts ? new CandidateChooser(policy.candidates, () => machine.now(), onStop) : null;
}

function choiceOf({
  rounds,
  stoppedSeconds,
}: CandidateChooser): Pick<RunOutcome, 'roundsByCandidates' | 'proposingStoppedSeconds'> {
  return {
    roundsByCandidates: rounds,
    ...(stoppedSeconds === null ? {} : { proposingStoppedSeconds: stoppedSeconds }),
  };
}

/** Waves of batches; with refilling there is one, and the others' sequences wait for places in it. */
function splitWaves({ waves, sequences, policy }: Prepared): {
  readonly waves: readonly Sequence[][][];
  readonly waiting: Sequence[];
} {
  const all = waves.map((wave) => wave.map((members) => members.map((index) => sequences[index])));
  if (policy.refill === 'no') return { waves: all, waiting: [] };
  return { waves: all.slice(0, 1), waiting: all.slice(1).flat(2) };
}

function createSession(
  options: GenerateOptions,
  waiting: Sequence[],
  chooser: CandidateChooser | null,
): Session {
  const { prepared, dispatcher, machine, maxNewTokens, ends, isVirtual, onProgress } = options;
  const { sampling, interruptsDraft = false, hostShares } = options;
  const { plan, policy, drafter, sequences } = prepared;
  return new Session({
    chooser,
    ...{ plan, policy, drafter, dispatcher, sampling, maxNewTokens, ends, isVirtual },
    ...{ interruptsDraft, waiting, hostShares },
    onPass: (phase, passes) =>
      onProgress?.({
        ...{ phase, passes, numSequences: sequences.length, elapsedSeconds: machine.now() },
        newTokens: countUseful(sequences, maxNewTokens),
        maxNewTokens: sequences.length * maxNewTokens,
        finishedSequences: sequences.reduce((sum, { isFinished }) => sum + (isFinished ? 1 : 0), 0),
      }),
  });
}

function assemble(
  { prepared, machine, maxNewTokens }: GenerateOptions,
  session: Session,
  windows: Readonly<Record<PhaseName, readonly TimeWindow[]>>,
  spans: LoggedSpans,
): RunOutcome {
  const { plan, policy: open, sequences } = prepared;
  const { prefetchDepth, pinnedLayers, keptLayers, cachedOnDevice, cachedOnHost } = plan;
  const policy: Policy = {
    ...open,
    ...{ prefetchDepth, pinnedLayers, keptLayers, cachedOnDevice, cachedOnHost },
  };
  const phases = {
    prefill: reportPhase(spans, windows.prefill, machine.lanes),
    decode: reportPhase(spans, windows.decode, machine.lanes),
  };
  const seconds = phases.prefill.seconds + phases.decode.seconds;
  const newTokens = countUseful(sequences, maxNewTokens);
  const { routing, experts, hostShares, ahead, splitSteps } = session;
  const moved = (lane: LaneName) => phases.prefill.lanes[lane].bytes + phases.decode.lanes[lane].bytes;
  return {
    ...{ policy, newTokens, seconds, phases },
    generatedTokens: sequences.reduce((sum, { choices }) => sum + choices.length, 0),
    tokensPerSecond: newTokens / seconds,
    acceptance: session.acceptance.report(),
    ...(ahead ? { ahead } : {}),
    ...(routing ? { routing } : {}),
    ...(experts ? { experts } : {}),
    ...(hostShares ? { hostShares } : {}),
    ...(splitSteps ? { splitSteps } : {}),
    bytesMoved: {
      ...{ disk: 0, link: 0 }, // records and tables always have these two, whatever lanes the machine has
      ...Object.fromEntries(machine.lanes.filter(isTransfer).map(({ name }) => [name, moved(name)])),
    },
    memoryBytes: mapPools(plan, ({ totalBytes }) => totalBytes),
    passes: session.passes,
  };
}

/** Tokens within each sequence's own limit. */
function countUseful(sequences: readonly Sequence[], maxNewTokens: number): number {
  return sequences.reduce((sum, { choices }) => sum + Math.min(choices.length, maxNewTokens), 0);
}
