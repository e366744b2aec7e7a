/** How long each task takes on a machine known by its numbers. */

import { largest } from '../extremes.js';
import { type AttentionSpec, countHeads } from '../model/spec.js';
import type { Checkpoint } from '../model/types.js';
import { isTransfer, type TaskKind } from '../topology/topology.js';
import type { TaskLabel } from '../trace/types.js';
import { decodingOf, decodingSecondsPerWeight, type ModelDecoding } from './decoding.js';
import type { Formats } from './formats.js';
import type {
  ComputeLane,
  ComputeRates,
  Lane,
  MachineModel,
  TransferLane,
  TransferRates,
} from './machine-model.js';

/** What of a task decides how long it takes. */
export interface PricedTask extends Pick<TaskLabel, 'lane' | 'kind' | 'phase' | 'bytes' | 'rows'> {
  /** Of matrix products with weights. */
  readonly flops: number;
  /** Rows of each such product: an expert sees only the rows that chose it. */
  readonly productRows: number;
  /** Asked at the start, where the rows (and with them the arithmetic) depend on what the router chose. */
  readonly actualRows?: (() => number) | undefined;
  /** Of attention over a KV cache, and the cache's bytes it reads; 0 elsewhere. */
  readonly scoreFlops: number;
  readonly cacheBytes: number;
  /** Of weights in host memory that its kernels read over the link; 0 elsewhere. */
  readonly linkBytes: number;
  /** Products of equal size that it launches one by one, each with the lane's overhead. */
  readonly numParts: number;
  /** Into or out of host memory that is not page-locked; a load goes through the page cache then. */
  readonly isPageable: boolean;
}

export interface CostModel {
  /** Time on the lane, from its start there. */
  secondsOf(task: PricedTask): number;
  /** Time from then until the result is there. */
  latencyOf(task: PricedTask): number;
}

/** How many query heads share a KV head; the KV cache's bytes times this are what a library moves that repeats it. */
export type HeadCounts = Pick<AttentionSpec, 'numHeads' | 'numKvHeads'>;

/** What of a model costs otherwise than its sizes say. */
export interface ModelFacts extends HeadCounts {
  /** @default nothing is decoded */
  readonly decoding?: ModelDecoding;
}

export function modelFactsOf(checkpoint: Checkpoint, formats: Formats): ModelFacts {
  return { ...countHeads(checkpoint.spec), decoding: decodingOf(checkpoint, formats) };
}

/**
 * Lanes that move: overhead + bytes / rate, or the time of decoding what crosses, where that is longer.
 *
 * Lanes that compute: parts * overhead + rows * secondsPerRow + max(flops / rate(rows) + decoded
 * weights / their rate, bytes / memory rate, what their kernels read over the link / the link's rate)
 * + max(score flops / score rate, cache bytes / cache rate): products are bound by arithmetic or by reading weights,
 * attention by arithmetic or by reading the cache, and one follows the other. The cache's bytes count as often as the
 * machine's software moves them for the model at hand.
 */
export function createCostModel(
  machine: MachineModel,
  target: ModelFacts,
  draft: ModelFacts = target,
): CostModel {
  const linkRate = largest(machine.lanes.flatMap((lane) => (isLink(lane) ? lane.bytesPerSecond : [])));
  const lanes = new Map(
    machine.lanes.map((lane) => [
      lane.name,
      isTransfer(lane) ? new TransferCosts(lane, target) : new ComputeCosts(lane, target, draft, linkRate),
    ]),
  );
  const costsOf = ({ lane }: PricedTask) => lanes.get(lane) as TransferCosts | ComputeCosts;
  return {
    secondsOf: (task) => costsOf(task).secondsOf(task),
    latencyOf: (task) => costsOf(task).latencyOf(task),
  };
}

function isLink(lane: Lane): lane is TransferLane {
  return isTransfer(lane) && lane.moves.from === 'host' && lane.moves.to === 'device';
}

class TransferCosts implements CostModel {
  readonly #lane: TransferLane;
  readonly #pageableRate: number;
  readonly #fetchRate: number;
  readonly #decodingSecondsPerByte: number;

  constructor(lane: TransferLane, target: ModelFacts) {
    this.#lane = lane;
    const { onLink = null } = target.decoding ?? {};
    const rate = onLink && lane.decoding?.[onLink.dtype];
    this.#decodingSecondsPerByte = onLink && rate ? onLink.weightsPerByte / rate : 0;
    this.#pageableRate = lane.pageableBytesPerSecond ?? lane.bytesPerSecond;
    this.#fetchRate = cacheRate(lane, target);
  }

  secondsOf({ kind, bytes, isPageable }: PricedTask): number {
    const { overheadSeconds, bytesPerSecond } = this.#lane;
    const weightRate = isPageable ? this.#pageableRate : bytesPerSecond;
    if (kind === 'upload')
      return overheadSeconds + Math.max(bytes / weightRate, bytes * this.#decodingSecondsPerByte);
    return overheadSeconds + bytes / (kind === 'fetch' ? this.#fetchRate : weightRate);
  }

  latencyOf(): number {
    return 0;
  }
}

class ComputeCosts implements CostModel {
  readonly #lane: ComputeLane;
  readonly #target: ModelFacts;
  readonly #draft: ModelFacts;
  readonly #linkRate: number;
  readonly #inPrefill = new Map<TaskKind, LaneRates>();
  readonly #later = new Map<TaskKind, LaneRates>();

  constructor(lane: ComputeLane, target: ModelFacts, draft: ModelFacts, linkRate: number) {
    this.#lane = lane;
    this.#target = target;
    this.#draft = draft;
    this.#linkRate = linkRate;
  }

  secondsOf(task: PricedTask): number {
    return computeSeconds(this.#ratesOf(task), task, this.#linkRate);
  }

  latencyOf(task: PricedTask): number {
    return task.numParts * this.#ratesOf(task).latencySeconds;
  }

  #ratesOf({ kind, phase }: PricedTask): LaneRates {
    const known = phase === 'prefill' ? this.#inPrefill : this.#later;
    let rates = known.get(kind);
    if (!rates) {
      const { kinds, prefill } = this.#lane;
      const early = known === this.#inPrefill ? prefill?.[kind] : undefined;
      const own: ComputeLane = { ...this.#lane, ...kinds[kind], ...early };
      const model = kind === 'draft' ? this.#draft : this.#target;
      const cacheBytesPerSecond = cacheRate(own, model);
      const secondsPerWeight = decodingSecondsPerWeight(own, model.decoding?.byKind[kind]);
      const rateAt = interpolate(own.arithmetic);
      rates = { ...own, cacheBytesPerSecond, decodingSecondsPerWeight: secondsPerWeight, rateAt };
      known.set(kind, rates);
    }
    return rates;
  }
}

/** Bytes of a model's KV cache per second, whatever software moves for each. */
export function cacheRate(
  rates: Pick<TransferRates, 'cacheBytesPerSecond' | 'cacheTraffic'> & { readonly bytesPerSecond?: number },
  { numHeads, numKvHeads }: HeadCounts,
): number {
  const { cacheTraffic, cacheBytesPerSecond = rates.bytesPerSecond as number } = rates;
  if (!cacheTraffic) return cacheBytesPerSecond;
  return cacheBytesPerSecond / (cacheTraffic.fixed + (cacheTraffic.perHead * numHeads) / numKvHeads);
}

interface LaneRates extends ComputeRates {
  readonly rateAt: (rows: number) => number;
  /** Once for all rows of a product; 0 where nothing is decoded. */
  readonly decodingSecondsPerWeight: number;
}

function computeSeconds(rates: LaneRates, task: PricedTask, linkRate: number): number {
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
      flops > 0 ? productSeconds(rates, flops, productRows) : 0,
      task.bytes / rates.memoryBytesPerSecond,
      task.linkBytes > 0 ? task.linkBytes / linkRate : 0,
    );
  if (task.cacheBytes > 0)
    seconds += Math.max(
      task.scoreFlops / rates.scoreFlopsPerSecond,
      task.cacheBytes / rates.cacheBytesPerSecond,
    );
  return seconds;
}

function productSeconds(
  { rateAt, decodingSecondsPerWeight }: LaneRates,
  flops: number,
  rows: number,
): number {
  const seconds = flops / rateAt(rows);
  if (decodingSecondsPerWeight === 0) return seconds;
  return seconds + (flops / (2 * rows)) * decodingSecondsPerWeight; // each weight once, for all rows
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
