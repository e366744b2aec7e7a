/** Where a run of a point stands: its key, known before it runs, so that a sweep knows what it has. */

import type { Point } from '../definitions/expand.js';
import { digestOf, type Json } from '../store/canonical.js';
import { type PointRecord, type RunPlace, recordSchema } from '../store/index.js';
import type { SettingValue } from '../store/record.js';

/** One of a point's runs. */
export interface Turn {
  readonly seed: number;
  /** 0-based. */
  readonly repeat: number;
}

/**
 * @param identity everything that the outcome depends on, seed and repeat left out.
 * @param definition digest of the stored definition that asks for the point
 */
export function locatePoint(
  experiment: string,
  { axes, settings }: Point,
  identity: Json,
  definition?: string,
): PointRecord {
  return {
    experiment,
    ...(definition !== undefined && { definition }),
    // Half of sha256 is plenty for a folder's name.
    pointKey: digestOf({ schema: recordSchema, axes, identity } as Json).slice(0, 32),
    axes,
    settings: settings as Readonly<Record<string, SettingValue>>,
  };
}

export function locateRun(point: PointRecord, { seed, repeat }: Turn): RunPlace {
  return { key: digestOf({ point: point.pointKey, seed, repeat }).slice(0, 32), point };
}
