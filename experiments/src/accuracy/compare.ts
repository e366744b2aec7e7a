/** How far predictions were off, and what a planner that trusts them would have lost. */

import { type LaneName, type LaneReport, largest, type Pace, type PhaseName } from '@specoffload/engine';
import { mean } from 'simple-statistics';
import type { ConditionsRecord } from '../store/index.js';
import { type GridPoint, groupOf } from './grid.js';
import { meanPace } from './pace.js';

/** What of an outcome is compared. */
export interface Compared {
  readonly tokensPerSecond: number;
  readonly phases: Readonly<Record<PhaseName, { readonly lanes: ComparedLanes }>>;
}

type ComparedLanes = Readonly<Record<LaneName, Pick<LaneReport, 'utilization'>>>;

/** A prediction beside what was measured. */
export interface Deviation {
  readonly predicted: Compared;
  /** predicted / measured - 1, of tokens per second. */
  readonly error: number;
  /** Of the lane whose utilisation in decode is off the most: predicted - measured, and which. */
  readonly laneError: { readonly lane: LaneName; readonly difference: number };
}

export interface Comparison extends Deviation {
  readonly point: GridPoint;
  readonly measured: Compared;
  /** While it was measured; null where the system does not say. */
  readonly conditions: ConditionsRecord | null;
  /** By the same rates at the pace that the machine had then; left out where that was not measured. */
  readonly atItsPace?: Deviation & { readonly pace: Pace };
  /**
   * By rates that make each lane as fast as it was in the run itself. No prediction: what is off then is how lanes wait
   * for each other, and not how fast they are.
   */
  readonly atOwnPace: Deviation & { readonly pace: Pace };
}

export function deviationOf(measured: Compared, predicted: Compared): Deviation {
  return {
    predicted,
    error: predicted.tokensPerSecond / measured.tokensPerSecond - 1,
    laneError: worstLane(measured.phases.decode.lanes, predicted.phases.decode.lanes),
  };
}

/**
 * One point's rounds, minutes apart, as one: what was measured, and what would have been predicted at each one's pace, on
 * average. Within seconds, a core that others' threads share is a third slower or faster, and no prediction knows. Rounds
 * that something else disturbed count only where all were.
 */
export function meanOfRounds(rounds: readonly Comparison[]): Comparison {
  const left = rounds.filter(({ conditions }) => !conditions?.isDisturbed);
  const judged = left.length > 0 ? left : rounds;
  const [first] = judged;
  if (judged.length === 1) return first;
  const measured = meanOutcome(judged.map((round) => round.measured));
  const at = (deviations: readonly (Deviation & { readonly pace: Pace })[]) => ({
    pace: meanPace(deviations.map(({ pace }) => pace)),
    ...deviationOf(measured, meanOutcome(deviations.map(({ predicted }) => predicted))),
  });
  const paced = judged.flatMap(({ atItsPace }) => atItsPace ?? []);
  return {
    ...{ point: first.point, measured, conditions: meanConditions(judged) },
    ...deviationOf(measured, first.predicted),
    atOwnPace: at(judged.map(({ atOwnPace }) => atOwnPace)),
    ...(paced.length === judged.length && { atItsPace: at(paced) }),
  };
}

function meanOutcome(outcomes: readonly Compared[]): Compared {
  const meanOf = (of: (outcome: Compared) => number) => mean(outcomes.map(of));
  const inPhase = (phase: PhaseName) => ({
    lanes: Object.fromEntries(
      Object.keys(outcomes[0].phases[phase].lanes).map((lane) => [
        lane,
        { utilization: meanOf(({ phases }) => phases[phase].lanes[lane].utilization) },
      ]),
    ),
  });
  return {
    tokensPerSecond: meanOf(({ tokensPerSecond }) => tokensPerSecond),
    phases: { prefill: inPhase('prefill'), decode: inPhase('decode') },
  };
}

/** null where the system says nothing of one of them. */
function meanConditions(rounds: readonly Comparison[]): ConditionsRecord | null {
  const known = rounds.flatMap(({ conditions }) => conditions ?? []);
  if (known.length < rounds.length) return null;
  const meanOf = (of: (conditions: ConditionsRecord) => number) => mean(known.map(of));
  return {
    stolenShare: meanOf(({ stolenShare }) => stolenShare),
    othersShare: meanOf(({ othersShare }) => othersShare),
    isDisturbed: known.every(({ isDisturbed }) => isDisturbed),
  };
}

function worstLane(measured: ComparedLanes, predicted: ComparedLanes): Deviation['laneError'] {
  const differences = Object.keys(measured).map((lane) => ({
    lane,
    difference: predicted[lane].utilization - measured[lane].utilization,
  }));
  return differences.reduce((worst, next) =>
    Math.abs(next.difference) > Math.abs(worst.difference) ? next : worst,
  );
}

export interface AccuracySummary {
  /** That are judged: those that something else disturbed are not. */
  readonly runs: number;
  readonly disturbedRuns: number;
  readonly meanError: number;
  readonly worstError: number;
  /** Of each run's lane that is off the most: on average, and at worst. */
  readonly meanLaneError: number;
  readonly worstLaneError: number;
  /** Of which they are. */
  readonly worst: { readonly point: GridPoint; readonly lanePoint: GridPoint; readonly lane: LaneName };
  /** Per group: the measured speed of the policy with the best prediction, over the best measured one. */
  readonly picks: readonly { readonly group: string; readonly share: number }[];
}

/** null where every run was disturbed. */
export function summarize(comparisons: readonly Comparison[]): AccuracySummary | null {
  const judged = comparisons.filter(({ conditions }) => !conditions?.isDisturbed);
  if (judged.length === 0) return null;
  const groups = new Map<string, Comparison[]>();
  for (const comparison of judged) {
    const group = groupOf(comparison.point);
    groups.set(group, [...(groups.get(group) ?? []), comparison]);
  }
  const most = (size: (comparison: Comparison) => number) =>
    judged.reduce((worst, next) => (size(next) > size(worst) ? next : worst));
  const laneErrorOf = ({ laneError }: Comparison) => Math.abs(laneError.difference);
  const [worst, worstOfLanes] = [most(({ error }) => Math.abs(error)), most(laneErrorOf)];
  return {
    runs: judged.length,
    disturbedRuns: comparisons.length - judged.length,
    meanError: mean(judged.map(({ error }) => Math.abs(error))),
    worstError: Math.abs(worst.error),
    meanLaneError: mean(judged.map(laneErrorOf)),
    worstLaneError: laneErrorOf(worstOfLanes),
    worst: { point: worst.point, lanePoint: worstOfLanes.point, lane: worstOfLanes.laneError.lane },
    picks: [...groups].map(([group, members]) => ({ group, share: shareOfPick(members) })),
  };
}

/** The same predictions at another pace: those of runs of which it is known. */
export function atPaceOf(
  comparisons: readonly Comparison[],
  which: 'atItsPace' | 'atOwnPace',
): readonly Comparison[] {
  return comparisons.flatMap((comparison) => {
    const { [which]: deviation } = comparison;
    return deviation ? [{ ...comparison, ...deviation }] : [];
  });
}

function shareOfPick(members: readonly Comparison[]): number {
  const speed = ({ measured }: Comparison) => measured.tokensPerSecond;
  const pick = members.reduce((best, next) =>
    next.predicted.tokensPerSecond > best.predicted.tokensPerSecond ? next : best,
  );
  return speed(pick) / largest(members.map(speed));
}
