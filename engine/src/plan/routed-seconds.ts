/**
 * A pass whose layers wait for their routers: the chosen experts that are not there come one behind the other through the
 * lanes, and are computed as they arrive; or most of them have come while the layer before was computed.
 *
 *   arrival(layer) = n experts through lanes and arithmetic = one's whole way + (n - 1) x the slowest stage
 *   layer          = attention + max(FFN, arrival(of what was not foreseen)), and no less than any lane's part of it
 */

import type { OpenPolicy } from '../schedule/policy.js';
import { nearlyAll } from '../schedule/target-pass.js';
import { usualPrecision } from '../speculate/imagined-routing.js';
import type { LaneName } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import type { LayerSeconds } from './layer-seconds.js';
import { type LaneSeconds, mostOf, sumOf, type TaskSeconds } from './task-seconds.js';

/** Experts of one layer that have to be brought when they are used, all of them counted. */
export interface StreamedExperts {
  readonly kind: number;
  readonly numLayers: number;
  readonly count: number;
  readonly lanes: Readonly<LaneSeconds>;
}

/** Shares of a layer's experts that come though nobody uses them, and of the used ones those that come late. */
export interface Foreseen {
  readonly wasted: number;
  readonly missed: number;
}

/** Of a prompt's many rows hardly an expert is left out: they all come before the router is asked. */
export function foreseen(
  policy: OpenPolicy,
  phase: PhaseName,
  used: number,
  prefetchDepth: number,
): Foreseen {
  if (policy.expertPrefetch === 'none' || prefetchDepth === 0) return { wasted: 0, missed: 1 };
  if (phase === 'prefill')
    return used >= nearlyAll ? { wasted: 1 - used, missed: 0 } : { wasted: 0, missed: 1 };
  // A guess that fails may still be another's: chances of experts that some wrong guess names.
  let wasted = 0;
  for (let distance = 1; distance <= policy.foreseenLayers; distance += 1)
    wasted += (1 - used) * guessedWrongly(used, distance);
  return { wasted, missed: (1 - usualPrecision) * (1 - guessedWrongly(used, 1)) };
}

const guessedWrongly = (used: number, distance: number) =>
  1 - Math.exp(-(1 - usualPrecision ** distance) * used);

export interface RoutedPass {
  readonly policy: OpenPolicy;
  readonly phase: PhaseName;
  readonly prefetchDepth: number;
  readonly streamed: readonly StreamedExperts[];
  /** By kind of layer. */
  readonly layers: readonly LayerSeconds[];
  readonly numExperts: readonly number[];
  /** By lane, of the used experts those that have to come over it: a cache has the others. */
  readonly moved: (lane: LaneName) => number;
}

/** Of all layers, their ends left out. */
export function routedSeconds(tasks: TaskSeconds, pass: RoutedPass): number {
  let seconds = 0;
  for (const { kind, numLayers, count, lanes } of pass.streamed) {
    const layer = pass.layers[kind];
    const attention = layer.chain - layer.ffn;
    const { wasted, missed } = foreseen(pass.policy, pass.phase, layer.usedShare, pass.prefetchDepth);
    const late = arrival(tasks, pass, { kind, count, lanes }, missed);
    let all = 0;
    for (const lane of tasks.moving)
      all = Math.max(all, lanes[lane] * (shareOver(tasks, layer, lane) + wasted) * pass.moved(lane));
    seconds += numLayers * Math.max(all, attention + Math.max(layer.ffn, late));
  }
  return seconds;
}

/** Experts that the host computes come no further than to its memory. */
export function shareOver(
  { arriving }: TaskSeconds,
  { usedShare, hostShare }: Pick<LayerSeconds, 'usedShare' | 'hostShare'>,
  lane: LaneName,
): number {
  return arriving.includes(lane) ? usedShare : usedShare + hostShare;
}

/** From the router's word until the last of the experts that come late is computed. */
function arrival(
  tasks: TaskSeconds,
  { policy, prefetchDepth, layers, numExperts, moved }: RoutedPass,
  { kind, count, lanes }: Omit<StreamedExperts, 'numLayers'>,
  missed: number,
): number {
  const { moving, arriving } = tasks;
  const layer = layers[kind];
  const numComputed = numExperts[kind] * (layer.usedShare + layer.hostShare);
  if (count === 0 || numComputed === 0) return 0;
  const computed = layer.ffn / numComputed;
  const ofOne = Object.fromEntries(
    moving.map((lane) => {
      const share = shareOver(tasks, layer, lane) / (layer.usedShare + layer.hostShare);
      return [lane, (lanes[lane] / count) * share * moved(lane)];
    }),
  );
  const n = count * (layer.usedShare + layer.hostShare) * missed;
  const brought = sumOf(ofOne, moving);
  const keepsStage = policy.hostExpertRows > 0;
  // One buffer of a kind serves one expert after the other, until it has left it.
  const stage =
    prefetchDepth > 1
      ? mostOf(ofOne, moving)
      : keepsStage
        ? brought + computed
        : Math.max(brought, prefetchDepth === 0 ? mostOf(ofOne, arriving) + computed : 0);
  return Math.min(1, n) * (brought + computed) + Math.max(0, n - 1) * Math.max(stage, computed);
}
