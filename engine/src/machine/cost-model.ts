/** How long each task takes on a machine known by its numbers. */

import type { AttentionSpec } from '../model/spec.js';
import type { TaskKind, TaskLabel } from '../trace/types.js';
import type { CacheTraffic, ComputeRates, MachineModel } from './machine-model.js';

/** What of a task decides how long it takes. */
export interface PricedTask extends Pick<TaskLabel, 'lane' | 'kind' | 'bytes' | 'rows'> {
  /** Of matrix products with weights. */
  readonly flops: number;
  /** Rows of each such product: an expert sees only the rows that chose it. */
  readonly productRows: number;
  /** Asked at the start, where the rows (and with them the arithmetic) depend on what the router chose. */
  readonly actualRows?: (() => number) | undefined;
  /** Of attention over a KV cache, and the cache's bytes it reads; 0 elsewhere. */
  readonly scoreFlops: number;
  readonly cacheBytes: number;
  /** Products of equal size that it launches one by one, each with the lane's overhead. */
  readonly numParts: number;
  /** Into or out of host memory that is not page-locked; a load goes through the page cache then. */
  readonly isPageable: boolean;
}

export interface CostModel {
  /** Time on the lane. */
  secondsOf(task: PricedTask): number;
  /** Time from then until the result is there. */
  latencyOf(task: PricedTask): number;
}

/** How many query heads share a KV head; the KV cache's bytes times this are what a library moves that repeats it. */
export type HeadCounts = Pick<AttentionSpec, 'numHeads' | 'numKvHeads'>;

/**
 * disk, link: overhead + bytes / rate.
 *
 * host, device: parts * overhead + rows * secondsPerRow + max(flops / rate(rows), bytes / memory rate)
 * + max(score flops / score rate, cache bytes / cache rate): products are bound by arithmetic or by reading weights,
 * attention by arithmetic or by reading the cache, and one follows the other. The cache's bytes count as often as the
 * machine's software moves them for the model at hand.
 */
export function createCostModel(
  machine: MachineModel,
  target: HeadCounts,
  draft: HeadCounts = target,
): CostModel {
  const ratesOf = { host: new Map<TaskKind, LaneRates>(), device: new Map<TaskKind, LaneRates>() };
  const lookUp = (lane: 'host' | 'device', kind: TaskKind): LaneRates => {
    let rates = ratesOf[lane].get(kind);
    if (!rates) {
      const { kinds, ...common } = machine[lane];
      const own = { ...common, ...kinds[kind] };
      const cacheBytesPerSecond = cacheRate(own, kind === 'draft' ? draft : target);
      rates = { ...own, cacheBytesPerSecond, rateAt: interpolate(own.arithmetic) };
      ratesOf[lane].set(kind, rates);
    }
    return rates;
  };
  const fetchRate = cacheRate(machine.link, target);
  return {
    secondsOf(task) {
      if (task.lane === 'disk') return machine.disk.overheadSeconds + task.bytes / diskRate(machine, task);
      if (task.lane === 'link')
        return (
          machine.link.overheadSeconds +
          task.bytes / (task.kind === 'fetch' ? fetchRate : weightRate(machine, task))
        );
      return computeSeconds(lookUp(task.lane as 'host' | 'device', task.kind), task);
    },
    latencyOf({ lane, kind, numParts }) {
      return lane === 'host' || lane === 'device' ? numParts * lookUp(lane, kind).latencySeconds : 0;
    },
  };
}

/** Bytes of a model's KV cache per second, whatever software moves for each. */
export function cacheRate(
  {
    cacheBytesPerSecond,
    cacheTraffic,
  }: { readonly cacheBytesPerSecond: number; readonly cacheTraffic?: CacheTraffic },
  { numHeads, numKvHeads }: HeadCounts,
): number {
  if (!cacheTraffic) return cacheBytesPerSecond;
  return cacheBytesPerSecond / (cacheTraffic.fixed + (cacheTraffic.perHead * numHeads) / numKvHeads);
}

function diskRate({ disk }: MachineModel, { isPageable }: PricedTask): number {
  return isPageable ? (disk.pageableBytesPerSecond ?? disk.bytesPerSecond) : disk.bytesPerSecond;
}

function weightRate({ link }: MachineModel, { isPageable }: PricedTask): number {
  return isPageable ? link.pageableBytesPerSecond : link.bytesPerSecond;
}

interface LaneRates extends ComputeRates {
  readonly rateAt: (rows: number) => number;
}

function computeSeconds(rates: LaneRates, task: PricedTask): number {
  let { rows, productRows, flops } = task;
  if (task.actualRows) {
    const actual = task.actualRows();
    flops *= actual / rows;
    productRows *= actual / rows;
    rows = actual;
  }
  let seconds = task.numParts * rates.overheadSeconds + rows * rates.secondsPerRow;
  if (flops > 0 || task.bytes > 0)
    seconds += Math.max(
      flops > 0 ? flops / rates.rateAt(productRows) : 0,
      task.bytes / rates.memoryBytesPerSecond,
    );
  if (task.cacheBytes > 0)
    seconds += Math.max(
      task.scoreFlops / rates.scoreFlopsPerSecond,
      task.cacheBytes / rates.cacheBytesPerSecond,
    );
  return seconds;
}

/** Between two points the time per row changes linearly with the rows; outside, rates stay what they are at the end. */
export function interpolate(points: ComputeRates['arithmetic']): (rows: number) => number {
  return (rows) => {
    const last = points[points.length - 1];
    if (rows >= last[0]) return last[1];
    let upper = 0;
    while (points[upper][0] < rows) upper += 1;
    if (upper === 0) return points[0][1];
    const [rowsBelow, rateBelow] = points[upper - 1];
    const [rowsAbove, rateAbove] = points[upper];
    // A product of r rows takes r / rate; that time is what is linear in between.
    const share = (rows - rowsBelow) / (rowsAbove - rowsBelow);
    const time = (1 - share) * (rowsBelow / rateBelow) + share * (rowsAbove / rateAbove);
    return rows / time;
  };
}
