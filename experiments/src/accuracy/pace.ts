/**
 * How fast the machine is just now, by a short run that is always the same: each lane's time in it over what the
 * machine's rates say. Memory and disk of a virtual machine are shared with whoever else is on the computer, and
 * nothing in the system tells of it.
 */

import {
  changedKinds,
  type KindRates,
  type Lane,
  type LaneName,
  type LaneReport,
  type MachineModel,
  type Pace,
  type PhaseName,
  type TaskKind,
  type TransferLane,
} from '@specoffload/engine';
import { logAverage } from 'simple-statistics';

/** How long lanes were at work. */
export interface Busy {
  readonly phases: Readonly<
    Record<
      PhaseName,
      { readonly lanes: Readonly<Record<LaneName, Pick<LaneReport, 'busySeconds' | 'utilization'>>> }
    >
  >;
}

/** A lane that has been at work for less than this says nothing. */
const leastSeconds = 0.05;

/** @param predicted of the same run, on the machine whose rates are in question */
export function paceOf(measured: Busy, predicted: Busy, { lanes }: Pick<MachineModel, 'lanes'>): Pace {
  const busy = ({ phases }: Busy, phase: PhaseName, lane: LaneName) => phases[phase].lanes[lane].busySeconds;
  const secondsOf = (outcome: Busy, lane: Lane, phase: PhaseName) =>
    // What moves does so at one rate, whichever phase it is for.
    'moves' in lane
      ? busy(outcome, 'prefill', lane.name) + busy(outcome, 'decode', lane.name)
      : busy(outcome, phase, lane.name);
  const inPhase = (phase: PhaseName) =>
    Object.fromEntries(
      lanes.map((lane) => {
        const [was, said] = [secondsOf(measured, lane, phase), secondsOf(predicted, lane, phase)];
        return [lane.name, Math.min(was, said) < leastSeconds ? 1 : was / said];
      }),
    );
  return { prefill: inPhase('prefill'), decode: inPhase('decode') };
}

/** On average over several moments, such as before and after a run. */
export function meanPace(paces: readonly Pace[]): Pace {
  return combined(paces, (factors) => factors.reduce((sum, factor) => sum + factor, 0) / factors.length);
}

/** As so many times as long as at another time, rather than as the rates say. */
export function paceSince(then: Pace, now: Pace): Pace {
  return combined([then, now], ([before, after]) => after / before);
}

/**
 * One for all lanes, the geometric mean of what a short run says of each: that much the runs beside it have in common
 * with it. By how much it found the one lane faster than the other says nothing of theirs, and would move lanes that were
 * right.
 */
export function commonPace(pace: Pace): Pace {
  const { prefill, decode } = pace;
  // What moves has one pace in both phases; a lane that said nothing has 1.
  const factors = [
    ...Object.values(decode),
    ...Object.entries(prefill).flatMap(([lane, factor]) => (factor === decode[lane] ? [] : [factor])),
  ].filter((factor) => factor !== 1);
  const common = factors.length > 0 ? logAverage(factors) : 1;
  return combined([pace], () => common);
}

function combined([first, ...others]: readonly Pace[], combine: (factors: number[]) => number): Pace {
  const inPhase = (phase: PhaseName) =>
    Object.fromEntries(
      Object.entries(first[phase]).map(([lane, factor]) => [
        lane,
        combine([factor, ...others.map((other) => other[phase][lane] ?? 1)]),
      ]),
    );
  return { prefill: inPhase('prefill'), decode: inPhase('decode') };
}

/** The machine as fast as it was then. */
export function atPace(machine: MachineModel, { prefill, decode }: Pace): MachineModel {
  const lanes = machine.lanes.map((lane): Lane => {
    const later = decode[lane.name];
    if ('moves' in lane) return slowed(lane, later);
    const { kinds, prefill: early } = lane;
    const names = Object.keys({ ...kinds, ...early }) as TaskKind[];
    return {
      ...slowed(lane, later),
      ...changedKinds({ kinds }, (own) => slowed(own, later)),
      // What a kind says of itself holds while prompts are read, too, but at the pace that the lane had then.
      ...(early && {
        prefill: Object.fromEntries(
          names.map((kind) => [kind, slowed({ ...kinds[kind], ...early[kind] }, prefill[lane.name])]),
        ),
      }),
    };
  });
  return { ...machine, lanes };
}

const rateFields = [
  ...(['bytesPerSecond', 'pageableBytesPerSecond', 'cacheBytesPerSecond'] as const),
  ...(['memoryBytesPerSecond', 'scoreFlopsPerSecond'] as const),
];
const timeFields = ['overheadSeconds', 'secondsPerRow'] as const;

/** What takes so many times as long. */
function slowed<Rates extends KindRates | TransferLane>(rates: Rates, factor: number): Rates {
  const given: Readonly<Record<string, unknown>> = rates as never;
  const changed = (fields: readonly string[], by: number) =>
    fields.flatMap((field) => (typeof given[field] === 'number' ? [[field, given[field] * by]] : []));
  const { arithmetic, decoding } = rates as KindRates;
  const { cold } = rates as Partial<Lane>;
  return {
    ...rates,
    ...Object.fromEntries([...changed(rateFields, 1 / factor), ...changed(timeFields, factor)]),
    ...(arithmetic && { arithmetic: arithmetic.map(([rows, rate]) => [rows, rate / factor]) }),
    ...(cold && { cold: { ...cold, secondsPerByte: cold.secondsPerByte * factor } }),
    ...(decoding && {
      decoding: Object.fromEntries(Object.entries(decoding).map(([name, rate]) => [name, rate / factor])),
    }),
  };
}
