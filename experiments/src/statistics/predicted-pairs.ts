/** Points that were measured and predicted: what a figure of predictions against measurements is made of. */

import { canonicalJson, type Json } from '../store/canonical.js';
import { type PointRecord, pointIdOf, pointOf, type RunRecord } from '../store/index.js';
import { supersededPoints } from './points.js';
import { describeSample } from './sample.js';
import { nameVaryingSettings } from './varying.js';

export interface PairedPoint {
  readonly axes: PointRecord['axes'];
  readonly strategy: string;
  /** Tokens per second. */
  readonly predicted: number;
  /** Median of the repeats, tokens per second. */
  readonly measured: number;
  readonly repeats: number;
}

/**
 * Pairs by experiment, axes and settings, in the order of the measurements; points with one side only are left out, and
 * so are {@link supersededPoints}.
 */
export function pairPredictions(records: readonly RunRecord[]): PairedPoint[] {
  const sides = new Map<string, { measured: RunRecord[]; predicted: RunRecord[] }>();
  const superseded = supersededPoints(records);
  for (const record of nameVaryingSettings(records)) {
    if (!record.point || superseded.has(pointIdOf(pointOf(record)))) continue;
    const key = canonicalJson([record.point.experiment, record.point.axes] as Json);
    const side = sides.get(key) ?? { measured: [], predicted: [] };
    sides.set(key, side);
    (record.kind === 'measured' ? side.measured : side.predicted).push(record);
  }
  const median = (of: readonly RunRecord[]) =>
    describeSample(of.map(({ result }) => result.tokensPerSecond)).median;
  return [...sides.values()]
    .filter(({ measured, predicted }) => measured.length > 0 && predicted.length > 0)
    .map(({ measured, predicted }) => ({
      axes: measured[0].point!.axes,
      strategy: measured[0].strategy,
      ...{ predicted: median(predicted), measured: median(measured), repeats: measured.length },
    }));
}
