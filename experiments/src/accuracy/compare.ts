/** How far predictions were off, and what a planner that trusts them would have lost. */

import { type LaneName, largest, type PhaseReport, type RunOutcome } from '@specoffload/engine';
import type { ConditionsRecord } from '../store/index.js';
import { type GridPoint, groupOf } from './grid.js';

export interface Comparison {
  readonly point: GridPoint;
  readonly measured: RunOutcome;
  readonly predicted: RunOutcome;
  /** predicted / measured - 1, of tokens per second. */
  readonly error: number;
  /** Of the lane whose utilisation in decode is off the most: predicted - measured, and which. */
  readonly laneError: { readonly lane: LaneName; readonly difference: number };
  /** While it was measured; null where the system does not say. */
  readonly conditions: ConditionsRecord | null;
}

export function compare(
  point: GridPoint,
  measured: RunOutcome,
  predicted: RunOutcome,
  conditions: ConditionsRecord | null,
): Comparison {
  return {
    ...{ point, measured, predicted, conditions },
    error: predicted.tokensPerSecond / measured.tokensPerSecond - 1,
    laneError: worstLane(measured.phases.decode, predicted.phases.decode),
  };
}

function worstLane(measured: PhaseReport, predicted: PhaseReport): Comparison['laneError'] {
  const differences = Object.keys(measured.lanes).map((lane) => ({
    lane,
    difference: predicted.lanes[lane].utilization - measured.lanes[lane].utilization,
  }));
  return differences.reduce((worst, next) =>
    Math.abs(next.difference) > Math.abs(worst.difference) ? next : worst,
  );
}

export interface AccuracySummary {
  readonly runs: number;
  readonly meanError: number;
  readonly worstError: number;
  readonly worstLaneError: number;
  /** Per group: the measured speed of the policy with the best prediction, over the best measured one. */
  readonly picks: readonly { readonly group: string; readonly share: number }[];
}

export function summarize(comparisons: readonly Comparison[]): AccuracySummary {
  const errors = comparisons.map(({ error }) => Math.abs(error));
  const groups = new Map<string, Comparison[]>();
  for (const comparison of comparisons) {
    const group = groupOf(comparison.point);
    groups.set(group, [...(groups.get(group) ?? []), comparison]);
  }
  return {
    runs: comparisons.length,
    meanError: errors.reduce((sum, error) => sum + error, 0) / errors.length,
    worstError: largest(errors),
    worstLaneError: largest(comparisons.map(({ laneError }) => Math.abs(laneError.difference))),
    picks: [...groups].map(([group, members]) => ({ group, share: shareOfPick(members) })),
  };
}

function shareOfPick(members: readonly Comparison[]): number {
  const speed = ({ measured }: Comparison) => measured.tokensPerSecond;
  const pick = members.reduce((best, next) =>
    next.predicted.tokensPerSecond > best.predicted.tokensPerSecond ? next : best,
  );
  return speed(pick) / largest(members.map(speed));
}
