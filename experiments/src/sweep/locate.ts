/** Where a run of a point stands: its key, known before it runs, so that a sweep knows what it has. */

import type { Point } from '../definitions/expand.js';
import { digestOf, type Json } from '../store/canonical.js';
import type { PlannedRecord, PointRecord, RunLocation, RunSpec, SettingValue, Turn } from '../store/index.js';
import { keyOfPoint, keyOfTurn } from '../store/spec.js';

/**
 * @param planned the planner's pick, which the spec is of, where the point asks for one
 * @param definition digest of the stored definition that asks for the point
 */
export function locatePoint(
  experiment: string,
  { axes, settings, planned }: Point & { readonly planned?: PlannedRecord | undefined },
  spec: RunSpec,
  definition?: string,
): PointRecord {
  return {
    experiment,
    ...(definition !== undefined && { definition }),
    pointKey: keyOfPoint(axes, spec),
    axes,
    settings: settings as Readonly<Record<string, SettingValue>>,
    ...(planned && { planned }),
  };
}

export function locateRun(point: PointRecord, turn: Turn): RunLocation {
  return { key: keyOfTurn(point.pointKey, turn), point };
}

/** Whether what was opened here is what was asked for: its key is a digest of all that it depends on. */
export function isSameRun({ key, point }: RunLocation, turn: Turn, spec: RunSpec): boolean {
  const pointKey = keyOfPoint(point.axes, spec);
  return pointKey === point.pointKey && keyOfTurn(pointKey, turn) === key;
}

/** The points of one of several equal parts of an experiment, whatever else it has. */
export interface Share {
  /** From 0. */
  readonly index: number;
  readonly of: number;
}

/** By the point's axes, so that a point belongs to the same share whoever asks, and all its runs come from one machine. */
export function isInShare({ axes }: Point, share: Share | null): boolean {
  return (
    share === null || Number.parseInt(digestOf(axes as Json).slice(0, 12), 16) % share.of === share.index
  );
}
