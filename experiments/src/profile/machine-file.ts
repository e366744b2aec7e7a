/** From measured runs to a machine file: which lane's rates come from which spans. */

import {
  type DecodingRates,
  type DeviceFacts,
  formatsOf,
  type LaneName,
  type LaneReport,
  largest,
  nameFormats,
  type PhaseName,
  phaseNames,
  type RunResult,
  type Span,
  stagedVulkanFormats,
  type TaskKind,
} from '@specoffload/engine';
import { type LocalSettings, setCaps } from '../inputs/caps.js';
import { toDevice, usualDevice } from '../inputs/devices.js';
import type { ConditionsRecord, MeasuredSpec } from '../store/index.js';
import { coldAfterSeconds, fitCold, withoutCold } from './cold.js';
import { fitArithmetic, fitNonNegative, logSpread, median, type Observation } from './fit.js';
import { atOneMoment } from './moments.js';
import { companyOn, durationOf, leastObservations, meansBy } from './spans.js';
import { fitTransfers, fitUploads } from './transfers.js';
import { measureWaits } from './waits.js';

/** A constant and where it comes from, as machine files hold them. */
interface Constant {
  readonly value: number;
  readonly source: string;
}

export interface MeasuredMachine {
  readonly name: string;
  /** Processor, cores, and what was run. */
  readonly description: string;
  /** Of the runs: what is paced was not measured, and whoever uses the file must know. */
  readonly settings: Pick<
    LocalSettings,
    'deviceBytes' | 'hostBytes' | 'device' | 'deviceCores' | 'hostCores' | 'caps'
  >;
  readonly diskBytes: number;
  /** Of the runs, with what else the machine did meanwhile. */
  readonly specs: readonly (MeasuredSpec & { readonly conditions?: ConditionsRecord | null })[];
  /** Weights that a step of the profiled draft multiplies with. */
  readonly draftElements: number;
  /** Weights per second that a core decodes, by how they are stored; missing where the runs' own were decoded. */
  readonly decoding?: DecodingRates;
}

/** Of so many cores. */
function decodingOn(cores: number, { decoding }: MeasuredMachine) {
  if (!decoding) return {};
  const rates = Object.entries(decoding).map(([dtype, perSecond]) => [
    dtype,
    { value: rounded(cores * perSecond), source: `measured: ${cores} core(s), blocks in the cache` },
  ]);
  return { decoding: Object.fromEntries(rates) };
}

/** What of a run its rates are made of. */
export type Timeline = Pick<RunResult, 'spans' | 'policy'> & {
  readonly phases: Readonly<Record<PhaseName, { readonly lanes: Readonly<Record<LaneName, LaneReport>> }>>;
  readonly device: Pick<DeviceFacts, 'link'>;
};

/** Rates that no task of a run on this machine is bound by. */
const unbound = 1e14;

const aloneSource = 'measured: beside nothing else, over what it takes while other lanes are at work';

/** Nothing where it makes no difference. */
function coldOf(secondsPerByte: number, source = 'measured: over what takes weights that have just come') {
  if (secondsPerByte === 0) return {};
  return {
    cold: {
      secondsPerByte: { value: rounded(secondsPerByte), source },
      afterSeconds: { value: coldAfterSeconds, source: 'chosen: by then others have come' },
    },
  };
}

/** The JSON document that `parseMachineModel` takes. */
export function buildMachineFile(machine: MeasuredMachine, runs: readonly Timeline[]): unknown {
  const { device, deviceCores, hostCores } = machine.settings;
  const cold = {
    link: fitCold(
      runs.map((run) => run.spans),
      'link',
      (run) => companyOn(run, 'link'),
    ),
    device: fitCold(
      runs.map((run) => run.spans),
      'device',
    ),
  };
  const warm = runs.map((run) => ({ ...run, spans: withoutCold(run.spans, cold) }));
  const spans = atOneMoment(warm.map((run) => withoutInterruptions(run.spans))).flat();
  const source = 'measured';
  const constant = (value: number, how = source): Constant => ({ value: rounded(value), source: how });
  const waits = (lane: LaneName) => {
    const { gaps, wakes } = measureWaits(runs, lane);
    return {
      gapSeconds: constant(typicalWait(gaps), 'measured: to the start of a task that had come meanwhile'),
      wakeSeconds: constant(typicalWait(wakes), 'measured: from the end of what it waited for'),
    };
  };
  // Prompts are read on more cores, where the device has cores.
  const hasCores = device === usualDevice;
  const later = hasCores ? spans.filter(({ phase }) => phase === 'decode') : spans;
  const phases: readonly PhaseName[] = hasCores ? ['decode'] : phaseNames;
  const link = fitUploads(warm, phases);
  const fetches = spans.filter(({ kind }) => kind === 'fetch');
  const attention = fitAttention(spans.filter(({ kind, lane }) => kind === 'attention' && lane === 'host'));
  const noKind = {
    memoryBytesPerSecond: constant(
      unbound,
      'in the arithmetic, which was measured with its weights in memory',
    ),
    latencySeconds: constant(0, 'in the overhead'),
  };
  return {
    ...{ schema: 2, name: machine.name, description: machine.description },
    formats: nameFormats(
      runs.some(({ device }) => device.link === 'staged')
        ? stagedVulkanFormats
        : formatsOf(toDevice(machine.settings)),
    ),
    measuredUnder: setCaps(machine.settings.caps),
    measuredBy: machine.specs,
    memories: [
      { name: 'disk', bytes: constant(machine.diskBytes, 'measured') },
      { name: 'host', bytes: constant(machine.settings.hostBytes, 'the budget of the runs') },
      { name: 'device', bytes: constant(machine.settings.deviceBytes, 'the budget of the runs') },
    ],
    // Widths as in LocalMachine: the computing lanes work in order, the disk is one queue whatever is in flight. A draft
    // step and one task that goes in between its layers: here nothing is won by letting a second one wait in the lane.
    lanes: [
      {
        ...{ name: 'disk', moves: { from: 'disk', to: 'host' }, width: 1 },
        variability: constant(diskSpread(runs), 'measured: over as many reads as wait at once'),
        overheadSeconds: constant(0, 'in the rate: several reads are in flight'),
        wakeSeconds: waits('disk').wakeSeconds,
        bytesPerSecond: constant(diskRate(runs, machine.settings.caps.diskBytesPerSecond !== null)),
      },
      {
        ...{ name: 'link', moves: { from: 'host', to: 'device' }, width: 3 },
        variability: constant(laneSpread(spans, 'link', 'upload')),
        overheadSeconds: constant(link.overheadSeconds),
        ...waits('link'),
        ...(link.aloneFactor !== null && { aloneFactor: constant(link.aloneFactor, aloneSource) }),
        ...coldOf(cold.link),
        bytesPerSecond: constant(link.bytesPerSecond),
        pageableBytesPerSecond: constant(link.bytesPerSecond, 'as page-locked: one memory'),
        cacheBytesPerSecond: constant(
          fetches.length >= leastObservations ? fitTransfers(fetches).bytesPerSecond : link.bytesPerSecond,
        ),
        ...decodingOn(1, machine),
      },
      {
        ...{ name: 'host', computesOn: 'host', width: 2 },
        variability: constant(laneSpread(spans, 'host', 'attention')),
        overheadSeconds: constant(attention.overheadSeconds),
        ...waits('host'),
        ...coldOf(cold.device, 'as on the device: the same caches'),
        secondsPerRow: constant(attention.secondsPerRow),
        scoreFlopsPerSecond: constant(attention.flopsPerSecond),
        cacheBytesPerSecond: constant(
          unbound,
          'in the score rate, which was measured with the cache in memory',
        ),
        arithmetic: table(later, 'expert', 'as on the device: the same cores'),
        ...decodingOn(hostCores, machine),
        ...noKind,
      },
      {
        ...{ name: 'device', computesOn: 'device', width: 2, interruptsDraft: true },
        variability: constant(laneSpread(spans, 'device', 'expert')),
        overheadSeconds: constant(0, 'in the arithmetic of each kind'),
        ...waits('device'),
        ...coldOf(cold.device),
        secondsPerRow: constant(0, 'in the arithmetic of each kind'),
        scoreFlopsPerSecond: constant(attention.flopsPerSecond, 'as on the host: the same cores'),
        cacheBytesPerSecond: constant(unbound, 'in the score rate'),
        arithmetic: table(later, 'expert', source),
        ...(hasCores ? decodingOn(deviceCores, machine) : {}), // a GPU decodes in its kernels
        ...noKind,
        kinds: deviceKinds(later, machine.draftElements, attention),
        ...(hasCores && { prefill: prefillKinds(spans.filter(({ phase }) => phase === 'prefill')) }),
      },
    ],
  };
}

/** Each kind's own curve: a head or a draft step is another mixture of products, norms and calls than an expert. */
function deviceKinds(
  spans: readonly Span[],
  draftElements: number,
  { overheadSeconds }: ReturnType<typeof fitAttention>,
) {
  const kinds: Partial<Record<TaskKind, unknown>> = {};
  for (const kind of ['project', 'mix', 'head'] as const)
    if (onDevice(spans, kind).length >= leastObservations)
      kinds[kind] = { arithmetic: table(spans, kind, 'measured') };
  // Where the device attends, one task projects, attends and mixes; the profile's runs do that in three.
  const whole = oneAfterTheOther(onDevice(spans, 'project'), onDevice(spans, 'mix'));
  if (whole.length >= leastObservations)
    kinds.attention = {
      arithmetic: {
        value: roundedTable(fitArithmetic(whole)),
        source: 'measured: project and mix, one task',
      },
      overheadSeconds: { value: rounded(overheadSeconds), source: "as on the host: the attention's own" },
    };
  // A draft step attends too; that is in its curve, which counts products only.
  const drafts = onDevice(spans, 'draft').map((span) => ({ ...span, flops: 2 * span.rows * draftElements }));
  if (drafts.length >= leastObservations)
    kinds.draft = {
      arithmetic: table(drafts, 'draft', 'measured'),
      scoreFlopsPerSecond: { value: 1e18, source: 'in the arithmetic of the kind' },
    };
  const embeds = onDevice(spans, 'embed').filter(({ rows }) => rows > 0);
  if (embeds.length >= 1)
    kinds.embed = {
      secondsPerRow: {
        value: rounded(median(embeds.map((span) => durationOf(span) / span.rows))),
        source: 'measured',
      },
    };
  return kinds;
}

/** On as many cores as prompts are read on. */
function prefillKinds(spans: readonly Span[]) {
  const kinds = (['expert', 'project', 'mix', 'head'] as const).filter(
    (kind) => onDevice(spans, kind).length >= leastObservations,
  );
  return Object.fromEntries(
    kinds.map((kind) => [kind, { arithmetic: table(spans, kind, 'measured: while prompts were read') }]),
  );
}

function onDevice(spans: readonly Span[], kind: TaskKind): readonly Span[] {
  return spans.filter((span) => span.lane === 'device' && span.kind === kind);
}

function table(spans: readonly Span[], kind: TaskKind, source: string) {
  const observations = onDevice(spans, kind).map((span) => ({
    rows: span.rows,
    flops: span.flops,
    seconds: durationOf(span),
  }));
  return { value: roundedTable(fitArithmetic(observations)), source };
}

function roundedTable(points: ReturnType<typeof fitArithmetic>) {
  return points.map(([rows, rate]) => [rounded(rows), rounded(rate)]);
}

/** Two kinds' tasks of as many rows as if each pair were one task: of every row count, what each takes on average. */
function oneAfterTheOther(first: readonly Span[], second: readonly Span[]): Observation[] {
  const next = new Map(meansBy(second, ({ rows }) => rows).map((mean) => [mean.key, mean]));
  return meansBy(first, ({ rows }) => rows).flatMap(({ key: rows, span, seconds, durations }) => {
    const other = next.get(rows);
    if (!other) return [];
    const both = { rows, flops: span.flops + other.span.flops, seconds: seconds + other.seconds };
    return durations.map(() => both);
  });
}

/** Draft steps without the time of the tasks that went in between their layers: as long as their own work takes. */
export function withoutInterruptions(spans: readonly Span[]): readonly Span[] {
  const others = spans.filter(({ lane, kind }) => lane === 'device' && kind !== 'draft');
  return spans.map((span) => {
    if (span.kind !== 'draft') return span;
    const inside = others.filter(
      ({ startSeconds, endSeconds }) => span.startSeconds <= startSeconds && endSeconds <= span.endSeconds,
    );
    const lost = inside.reduce((sum, other) => sum + durationOf(other), 0);
    return { ...span, endSeconds: span.endSeconds - lost };
  });
}

/** overhead + rows * per row + flops / rate: rotation and copies go by rows, scores by the cache that rows see. */
function fitAttention(spans: readonly Span[]) {
  const means = meansBy(spans, ({ rows, flops }) => `${rows}/${flops}`);
  const [overheadSeconds = 0, secondsPerRow = 0, secondsPerFlop = 0] = fitNonNegative(
    means.map(({ span }) => [1, span.rows, span.flops]),
    means.map(({ seconds }) => seconds),
  );
  return { overheadSeconds, secondsPerRow, flopsPerSecond: secondsPerFlop > 0 ? 1 / secondsPerFlop : 1e15 };
}

/** Of so few nothing is known: none. */
function typicalWait(seconds: readonly number[]): number {
  return seconds.length < leastObservations ? 0 : median(seconds);
}

/**
 * Bytes per second while the lane was at work, of all runs together, as every other lane's rates: those of some moments
 * beside those of all would have predictions of lanes off to one side. A paced disk catches up after a rest, so there only
 * phases count in which it hardly had one.
 */
function diskRate(runs: readonly Timeline[], isPaced: boolean): number {
  const phases = runs.flatMap(({ phases: both }) => phaseNames.map((phase) => both[phase].lanes.disk));
  const busiest = largest(phases.map(({ utilization }) => utilization));
  const counted = phases.filter(({ utilization }) => !isPaced || utilization > 0.9 * busiest);
  const sum = (of: (phase: LaneReport) => number) => counted.reduce((all, phase) => all + of(phase), 0);
  return sum(({ bytes }) => bytes) / sum(({ busySeconds }) => busySeconds);
}

/** More digits would be noise. */
function rounded(value: number): number {
  return Number(value.toPrecision(5));
}

/** How unequally long equal tasks of a lane took. */
function laneSpread(spans: readonly Span[], lane: LaneName, kind: TaskKind): number {
  const same = meansBy(
    spans.filter((span) => span.lane === lane && span.kind === kind),
    ({ rows, bytes, flops }) => `${rows}/${bytes}/${flops}`,
  ).filter(({ durations }) => durations.length >= leastObservations);
  return logSpread(same.flatMap(({ seconds, durations }) => durations.map((duration) => duration / seconds)));
}

/** Reads that wait or run at the same time end in bursts; only sums over so many mean anything. */
const readsPerSum = 8;

/** The spread of one read's time that explains how sums over several in a row spread. */
function diskSpread(runs: readonly Timeline[]): number {
  const sums = runs.flatMap(({ spans }) => busySums(spans.filter(({ lane }) => lane === 'disk')));
  return Math.min(1, logSpread(sums) * Math.sqrt(readsPerSum));
}

/** Seconds per byte of reads in a row between which the lane did not rest. */
function busySums(spans: readonly Span[]): number[] {
  const reads = [...spans].sort((a, b) => a.endSeconds - b.endSeconds);
  const secondsPerByte: number[] = [];
  for (let first = 0; first + readsPerSum < reads.length; first += readsPerSum) {
    const members = reads.slice(first, first + readsPerSum + 1);
    const isBusy = members.every((read, i) => i === 0 || read.startSeconds < members[i - 1].endSeconds);
    const bytes = members.slice(1).reduce((sum, read) => sum + read.bytes, 0);
    const seconds = members[readsPerSum].endSeconds - members[0].endSeconds;
    if (isBusy && seconds > 0) secondsPerByte.push(seconds / bytes);
  }
  return secondsPerByte;
}
