/** What lanes and memories draw, the energy of a run that comes of it, and what a clock's frequency does to both. */

import { UserError } from '@specoffload/input';
import { type PhaseName, type PhaseReport, phaseNames } from '../trace/types.js';
import {
  type ComputeLane,
  type ComputeRates,
  changedKinds,
  type Lane,
  type MachineModel,
} from './machine-model.js';

export interface LanePower {
  /** Switched on, with nothing to do. */
  readonly idleWatts: number;
  /** At work, at the frequency that the lane's rates are those of. */
  readonly busyWatts: number;
  /** Of a lane that moves data: besides, for each byte. @default 0 */
  readonly joulesPerByte?: number;
}

/** How a computing lane's rates and power follow its frequency. */
export interface LaneClock {
  /** At which the lane has its rates and its busy power. */
  readonly hertz: number;
  /** What work draws beyond idling grows with the frequency to this power, since voltage grows with it, too. */
  readonly exponent: number;
  /** In place of that law, what was measured or published: ascending frequencies and the busy power at each. */
  readonly busyWatts?: readonly (readonly [hertz: number, watts: number])[];
}

/** Who says what a run drew: the power of a machine file's lanes, or counters of this machine. */
export type EnergySource = 'lanes' | 'rapl' | 'nvml' | 'hwmon';

export interface Energy {
  readonly sources: readonly EnergySource[];
  readonly joules: number;
  /** By useful token. */
  readonly joulesPerToken: number;
  readonly phases: Readonly<Record<PhaseName, number>>;
  /** What is counted, and how much of it: lanes by name, memories as `host memory`, counters by theirs. */
  readonly parts: Readonly<Record<string, number>>;
}

/** @param joules by part, of each phase */
export function sumEnergy(
  sources: readonly EnergySource[],
  joules: Readonly<Record<PhaseName, Readonly<Record<string, number>>>>,
  newTokens: number,
): Energy {
  const sum = (values: Readonly<Record<string, number>>) =>
    Object.values(values).reduce((total, value) => total + value, 0);
  const phases = { prefill: sum(joules.prefill), decode: sum(joules.decode) };
  const total = phases.prefill + phases.decode;
  const parts: Record<string, number> = {};
  for (const phase of phaseNames)
    for (const [part, drawn] of Object.entries(joules[phase])) parts[part] = (parts[part] ?? 0) + drawn;
  return { sources, joules: total, joulesPerToken: total / Math.max(1, newTokens), phases, parts };
}

/**
 * Of a predicted run: idle power all the time, the rest while busy, and what each byte and each operation in crossbars
 * takes. Undefined where no part of the machine says what it draws.
 */
export function predictEnergy(
  { lanes, memories }: MachineModel,
  phases: Readonly<Record<PhaseName, PhaseReport>>,
  newTokens: number,
  operations: Readonly<Record<PhaseName, number>> = { prefill: 0, decode: 0 },
): Energy | undefined {
  const isKnown =
    lanes.some(({ power }) => power) || memories.some(({ idleWatts }) => idleWatts !== undefined);
  if (!isKnown) return undefined;
  const joulesPerOperation = memories.find(({ crossbars }) => crossbars)?.crossbars?.joulesPerOperation;
  const partsOf = (phase: PhaseName): Record<string, number> => {
    const { seconds, lanes: reports } = phases[phase];
    return {
      ...Object.fromEntries(
        lanes.flatMap(({ name, power }) => {
          if (!power) return [];
          const { busySeconds, bytes } = reports[name];
          const { idleWatts, busyWatts, joulesPerByte = 0 } = power;
          const joules = idleWatts * seconds + (busyWatts - idleWatts) * busySeconds + joulesPerByte * bytes;
          return [[name, joules] as const];
        }),
      ),
      ...Object.fromEntries(
        memories.flatMap(({ name, idleWatts }) =>
          idleWatts === undefined ? [] : [[`${name} memory`, idleWatts * seconds] as const],
        ),
      ),
      ...(joulesPerOperation === undefined || operations[phase] === 0
        ? {}
        : { 'crossbar products': operations[phase] * joulesPerOperation }),
    };
  };
  const joules = { prefill: partsOf('prefill'), decode: partsOf('decode') };
  return sumEnergy(['lanes'], joules, newTokens);
}

/**
 * The lane at another frequency. Arithmetic, decoding and work by the row follow it; memory has a clock of its own, and
 * what a launch costs is the software's.
 * @throws UserError when the machine does not say how its power follows
 */
export function atFrequency(lane: Lane, hertz: number): Partial<ComputeLane> {
  const { clock, power, kinds, prefill, ...rates } = lane as ComputeLane;
  if (!clock || !power)
    throw new UserError(
      `invalid ${lane.name}.hertz: ${hertz}; the machine does not say which frequency that lane's rates and power are those of: add "clock" and "power" to the lane`,
    );
  const share = hertz / clock.hertz;
  return {
    ...scale(rates, share),
    ...changedKinds({ kinds, prefill }, (own) => scale(own, share)),
    clock: { ...clock, hertz },
    power: { ...power, busyWatts: busyWattsAt(hertz, lane.name, clock, power) },
  };
}

function scale(rates: Partial<ComputeRates>, share: number): Partial<ComputeRates> {
  const { arithmetic, scoreFlopsPerSecond, secondsPerRow, decoding } = rates;
  return {
    ...rates,
    ...(arithmetic && { arithmetic: arithmetic.map(([rows, rate]) => [rows, rate * share] as const) }),
    ...(scoreFlopsPerSecond !== undefined && { scoreFlopsPerSecond: scoreFlopsPerSecond * share }),
    ...(secondsPerRow !== undefined && { secondsPerRow: secondsPerRow / share }),
    ...(decoding && {
      decoding: Object.fromEntries(Object.entries(decoding).map(([name, rate]) => [name, rate * share])),
    }),
  };
}

function busyWattsAt(
  hertz: number,
  lane: string,
  clock: LaneClock,
  { idleWatts, busyWatts }: LanePower,
): number {
  const points = clock.busyWatts;
  if (!points) return idleWatts + (busyWatts - idleWatts) * (hertz / clock.hertz) ** clock.exponent;
  const next = points.findIndex(([at]) => at >= hertz);
  const [[least], [most]] = [points[0], points[points.length - 1]];
  if (next === -1 || hertz < least)
    throw new UserError(
      `invalid ${lane}.hertz: ${hertz}; the machine's power is known from ${least} to ${most} Hz`,
    );
  const [toHertz, toWatts] = points[next];
  if (next === 0) return toWatts;
  const [fromHertz, fromWatts] = points[next - 1];
  return fromWatts + ((toWatts - fromWatts) * (hertz - fromHertz)) / (toHertz - fromHertz);
}
