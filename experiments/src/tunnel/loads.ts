/** What one full pass asks of each lane: the times whose ratios a wind tunnel keeps. */

import {
  type LaneName,
  type LanePlace,
  largest,
  localTopology,
  type SimulationRequest,
  type Span,
  simulateRun,
  smallest,
} from '@specoffload/engine';

/** One verification pass over one full batch, and the proposing before it. */
export interface PassLoads {
  /** From the pass's first computing task to its last, nothing else under way. */
  readonly passSeconds: number;
  /** Of the link, with the pass's weights. */
  readonly linkSeconds: number;
  readonly linkBytes: number;
  /** Of the target's arithmetic on the device. */
  readonly deviceSeconds: number;
  /** Of the host lane: attention, and projections where the host computes them. */
  readonly hostSeconds: number;
  /** Proposing for one full batch, alone on the device, calls included. */
  readonly draftSeconds: number;
}

/**
 * Read off a simulated serial run, where draft and target take turns, so that each one's time is its own. No candidate
 * stands, so that every batch stays full, and equal tasks take equally long: what is wanted is the mean.
 */
export async function simulateLoads(request: SimulationRequest): Promise<PassLoads> {
  const { machine } = request;
  const candidates = request.policy?.candidates ?? 1;
  const { spans } = await simulateRun({
    ...request,
    machine: { ...machine, lanes: machine.lanes.map((lane) => ({ ...lane, variability: 0 })) },
    strategy: 'serial',
    acceptance: { kind: 'rates', name: 'none stands', byPosition: [0] },
    // The rounds that are looked at propose in full: a sequence never proposes beyond its limit.
    maxNewTokens: candidates + 4,
  });
  return loadsOf(spans, request.policy?.batches ?? 1, machine.lanes);
}

/** @param batches in flight, of which each has one pass per round. */
export function loadsOf(
  spans: readonly Span[],
  batches: number,
  lanes: readonly LanePlace[] = localTopology.lanes,
): PassLoads {
  const placeOf = new Map(lanes.map((lane) => [lane.name, placeOfWork(lane)]));
  const isTarget = isTargetOn(placeOf);
  const decode = spans.filter(({ phase, pass }) => phase === 'decode' && pass >= 0);
  const passes = [...new Set(decode.filter(isTarget).map(({ pass }) => pass))].sort((a, b) => a - b);
  // The second round is steady: in the first, buffers are still being filled.
  const chosen = passes.slice(batches, 2 * batches);
  if (chosen.length < batches) throw new RangeError('a run of less than two rounds says nothing of a pass');
  const each = chosen.map((pass) => loadsOfPass(decode, placeOf, pass, passes[passes.indexOf(pass) - 1]));
  const mean = (of: (loads: PassLoads) => number) =>
    each.reduce((sum, loads) => sum + of(loads), 0) / each.length;
  return {
    passSeconds: mean(({ passSeconds }) => passSeconds),
    linkSeconds: mean(({ linkSeconds }) => linkSeconds),
    linkBytes: mean(({ linkBytes }) => linkBytes),
    deviceSeconds: mean(({ deviceSeconds }) => deviceSeconds),
    hostSeconds: mean(({ hostSeconds }) => hostSeconds),
    draftSeconds: mean(({ draftSeconds }) => draftSeconds),
  };
}

type Places = ReadonlyMap<LaneName, string>;

/** Lanes into and out of device memory together are what a pass knows as its link. */
function placeOfWork(lane: LanePlace) {
  if ('moves' in lane) return Object.values(lane.moves).includes('device') ? 'link' : 'elsewhere';
  return lane.computesOn === 'host' || lane.computesOn === 'device' ? lane.computesOn : 'elsewhere';
}

function loadsOfPass(decode: readonly Span[], placeOf: Places, pass: number, previous: number): PassLoads {
  const isTarget = isTargetOn(placeOf);
  const own = decode.filter((span) => span.pass === pass && span.kind !== 'draft');
  const on = (place: 'link' | 'host' | 'device') => own.filter((span) => placeOf.get(span.lane) === place);
  const seconds = (some: readonly Span[]) =>
    some.reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
  const computing = own.filter(isTarget);
  const start = smallest(computing.map(({ startSeconds }) => startSeconds));
  return {
    passSeconds: largest(computing.map(({ endSeconds }) => endSeconds)) - start,
    linkSeconds: seconds(on('link')),
    linkBytes: on('link').reduce((sum, { bytes }) => sum + bytes, 0),
    deviceSeconds: seconds(on('device')),
    hostSeconds: seconds(on('host')),
    draftSeconds:
      start -
      largest(decode.flatMap((span) => (span.pass === previous && isTarget(span) ? span.endSeconds : []))),
  };
}

/** The target's own computing; transfers run ahead of it, and caches are realigned between passes. */
function isTargetOn(placeOf: Places) {
  const computing: readonly unknown[] = ['host', 'device'];
  return ({ lane, kind }: Span) =>
    computing.includes(placeOf.get(lane)) && kind !== 'draft' && kind !== 'realign';
}

/** Share of decode during which each lane is busy. */
export type LaneShares = Readonly<Record<LaneName, number>>;

/** A whole run of the strategy asked for. */
export interface RunCourse {
  readonly shares: LaneShares;
  readonly seconds: number;
  /** New tokens of a sequence for each of its passes. */
  readonly tokensPerRound: number;
  /** Of its time. */
  readonly prefillShare: number;
}

export async function simulateCourse(request: SimulationRequest): Promise<RunCourse> {
  const { phases, seconds, acceptance } = await simulateRun(request);
  const shares = Object.fromEntries(
    Object.entries(phases.decode.lanes).map(([lane, { utilization }]) => [lane, utilization]),
  );
  return {
    ...{ shares, seconds, tokensPerRound: acceptance?.tokensPerRound ?? 1 },
    prefillShare: phases.prefill.seconds / seconds,
  };
}
