/** What a forward pass of the target takes: its layers, its ends, and the weights that it brings. */

import { largest } from '../extremes.js';
import type { WeightGroup } from '../model/types.js';
import type { Placed } from '../run/prepare.js';
import { keepsExperts } from '../schedule/expert-cache.js';
import { groupLayout } from '../schedule/group-layout.js';
import { InPlace, readsInPlace } from '../schedule/in-place.js';
import { choosesTokens, type ModelCosts, modelCosts } from '../schedule/layer-costs.js';
import type { StreamedKind } from '../schedule/memory-plan.js';
import { hopBytes, type WeightWays, waysOfWeights } from '../schedule/weight-way.js';
import { usualPrecision } from '../speculate/imagined-routing.js';
import type { RoutingReport } from '../speculate/routing-counter.js';
import { kindOfHop, type LaneName } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import { type FrameWork, type LayerSeconds, layerSeconds } from './layer-seconds.js';
import { type PlacedKind, placedKinds } from './placed-kinds.js';
import { type Popularity, popularities, shareOfMostPopular } from './popularity.js';
import { type LaneSeconds, mostOf, sumOf, type TaskSeconds } from './task-seconds.js';

/** What a pass asks of the lanes, and how long it takes by itself. */
export interface PassSeconds {
  readonly lanes: Readonly<LaneSeconds>;
  readonly seconds: number;
  /** Device tasks that the target's chain waits for, one after the other. */
  readonly chainTasks: number;
  /** Of the lanes that move: weights and cache, as if all experts came to the device. */
  readonly streams: Readonly<LaneSeconds>;
  /** Without waiting for weights. */
  readonly computeSeconds: number;
}

export class Passes {
  /** Of the target. */
  readonly costs: ModelCosts;
  readonly #placed: Placed;
  readonly #tasks: TaskSeconds;
  readonly #ways: WeightWays;
  /** Groups that a lane can bring before any of them is used: all buffers behind it are full then. */
  readonly groupsAhead: Readonly<Record<LaneName, number>>;
  /** Lanes that weights pass on their way to the device, or that end there. */
  readonly #bringing: readonly LaneName[];
  readonly #weightsOf: Partial<Record<PhaseName, BroughtWeights>> = {};
  /** By kind of layer. */
  readonly #popularities: readonly Popularity[];
  readonly #inPlace: InPlace;
  readonly #kinds: Partial<Record<PhaseName, readonly PlacedKind[]>> = {};

  constructor(placed: Placed, tasks: TaskSeconds, routing?: Pick<RoutingReport, 'rowsByExpert'>) {
    this.#placed = placed;
    this.#tasks = tasks;
    this.#ways = waysOfWeights(placed.plan, placed.policy);
    this.costs = modelCosts(placed.plan.target);
    this.#popularities = popularities(this.costs, routing);
    this.#inPlace = new InPlace(placed.policy, placed.plan.target);
    const { moving, arriving } = tasks;
    this.groupsAhead = Object.fromEntries(moving.map((lane) => [lane, this.#groupsAhead(lane)]));
    this.#bringing = moving.filter((lane) => arriving.includes(lane) || this.groupsAhead[lane] > 0);
  }

  get numLayers(): number {
    return this.costs.layers.length;
  }

  #groupsAhead(lane: LaneName): number {
    const { prefetchDepth } = this.#placed.plan;
    const hopsBehind = Object.values(this.#ways).flatMap((way) =>
      way.flatMap((hop, index) => (hop.lane === lane ? way.length - 1 - index : [])),
    );
    return hopsBehind.length === 0 ? 0 : prefetchDepth + 1 + prefetchDepth * largest(hopsBehind);
  }

  pass(phase: PhaseName, frames: readonly FrameWork[]): PassSeconds {
    const tasks = this.#tasks;
    const layers = this.#layers(phase, frames);
    const total = (pick: (layer: LayerSeconds) => number) =>
      layers.reduce((sum, { numLayers, layer }) => sum + numLayers * pick(layer), 0);
    const mean = (pick: (layer: LayerSeconds) => number) => total(pick) / this.numLayers;
    const usedShare = mean((layer) => layer.usedShare);
    // Experts that the host computes come no further than to its memory.
    const stagedShare = mean((layer) => layer.usedShare + layer.hostShare);
    const { lanes: weights, attention, takingTurns } = this.weights(phase);
    const lanes = tasks.none();
    const ends = this.#ends(frames, lanes);
    const moved = this.#movedShare(frames);
    for (const lane of tasks.lanes)
      lanes[lane] =
        attention[lane] +
        (weights[lane] - attention[lane]) *
          (tasks.arriving.includes(lane) ? usedShare : stagedShare) *
          moved(lane) +
        (total((layer) => layer.lanes[lane]) + lanes[lane]);
    const streams = { ...lanes };
    for (const lane of tasks.arriving) streams[lane] = weights[lane] + total((layer) => layer.lanes[lane]);
    const computeSeconds = total(({ chain }) => chain) + ends;
    const seconds = this.#seconds({ layers, lanes, streams, ends, computeSeconds });
    return {
      ...{ lanes, computeSeconds, streams },
      seconds: Math.max(seconds, mostOf(lanes, tasks.lanes), takingTurns * usedShare),
      chainTasks: total(({ chainTasks }) => chainTasks),
    };
  }

  /** By lane, of the experts that are used those that have to come over it: a cache holds the most popular ones. */
  #movedShare(frames: readonly FrameWork[]): (lane: LaneName) => number {
    const { policy, plan } = this.#placed;
    if (!keepsExperts(policy)) return () => 1;
    const rows = frames.reduce((sum, { count, rows }) => sum + count * rows, 0);
    const { layers } = plan.target.checkpoint;
    const numExperts = layers.reduce((sum, { experts }) => sum + experts.length, 0);
    const [popularity] = this.#popularities;
    const missed = (kept: number) => 1 - shareOfMostPopular(popularity, rows, kept / numExperts);
    const onDevice = missed(plan.cachedOnDevice);
    const inMemory = missed(plan.cachedOnDevice + plan.cachedOnHost);
    return (lane) => (this.#tasks.arriving.includes(lane) ? onDevice : inMemory);
  }

  /** How weights and arithmetic overlap. */
  #seconds({ layers, lanes, streams, ends, computeSeconds }: Overlap): number {
    const { policy, plan } = this.#placed;
    const { arriving, moving } = this.#tasks;
    const total = (pick: (layer: LayerSeconds) => number) =>
      layers.reduce((sum, { numLayers, layer }) => sum + numLayers * pick(layer), 0);
    if (policy.streaming === 'on-demand') return sumOf(lanes, this.#bringing) + computeSeconds;
    // A layer's weights come over one of the lanes that arrive, the next one's over the same or another.
    if (policy.experts === 'routed') {
      const brought = Math.max(sumOf(lanes, arriving), mostOf(lanes, moving));
      const chain = total((layer) => layer.chain - layer.ffn);
      const waitedFor = policy.expertPrefetch === 'router' ? 1 - usualPrecision : 1;
      return Math.max(waitedFor * brought + chain, brought) + ends;
    }
    if (plan.prefetchDepth === 0) {
      const perLayer = sumOf(streams, arriving) / this.numLayers;
      return total(({ chain, ffn }) => Math.max(chain - ffn, perLayer) + ffn) + ends;
    }
    const longestChain = layers.reduce((longest, { layer }) => Math.max(longest, layer.chain), 0);
    const isBehind = mostOf(streams, arriving) > computeSeconds;
    return Math.max(mostOf(streams, moving), computeSeconds) + (isBehind ? longestChain : 0);
  }

  #layers(phase: PhaseName, frames: readonly FrameWork[]): KindSeconds[] {
    const { policy, plan } = this.#placed;
    const crosses = plan.cacheSlots !== null && policy.attention !== 'split';
    const { hiddenBytes } = this.costs;
    this.#kinds[phase] ??= placedKinds(
      this.costs,
      plan.target.checkpoint,
      readsInPlace(policy) ? (group) => this.#inPlace.of(phase, group) !== null : null,
    );
    return this.#kinds[phase].map(({ costs, numLayers, inPlace }) => ({
      numLayers,
      layer: layerSeconds(
        this.#tasks,
        {
          ...{ phase, policy, costs, hiddenBytes, crosses, inPlace },
          popularity: this.#popularities[costs.kind],
        },
        frames,
      ),
    }));
  }

  /** Embeddings and heads of all frames. Mutates `lanes`. */
  #ends(frames: readonly FrameWork[], lanes: LaneSeconds): number {
    const { hiddenBytes } = this.costs;
    return frames.reduce((sum, { count, rows, headRows }) => {
      const embeds = (work: { bytes: number }) => {
        work.bytes = rows * hiddenBytes;
      };
      const chooses = (work: Parameters<typeof choosesTokens>[0]) =>
        choosesTokens(work, this.costs, headRows);
      const embed = this.#tasks.compute(lanes, 'embed', 'device', rows, embeds, count);
      const head = this.#tasks.compute(lanes, 'head', 'device', headRows, chooses, count);
      return sum + embed + head;
    }, 0);
  }

  /** What bringing the weights of one pass takes, all experts counted. */
  weights(phase: PhaseName): BroughtWeights {
    const known = this.#weightsOf[phase];
    if (known) return known;
    const { policy, plan } = this.#placed;
    const { pinned, kept, layouts, checkpoint } = plan.target;
    const hostShare = phase === 'decode' ? policy.hostShare : 0;
    const lanes = this.#tasks.none();
    const ofAttention = this.#tasks.none();
    const turns: Record<string, number> = {};
    const bring = (group: WeightGroup) => {
      if (pinned.has(group.id) || this.#inPlace.of(phase, group)) return;
      const share = group.kind === 'expert' ? 1 - hostShare : 1;
      const way = this.#ways[kept.has(group.id) ? 'kept' : (group.kind as StreamedKind)];
      let before = 0;
      for (const hop of way) {
        const seconds = this.#tasks.of(hop.lane, kindOfHop(hop.from), 0, (work) => {
          work.bytes = hopBytes(hop, groupLayout(layouts, group), share);
          work.isPageable = group.layer >= policy.pageLocked * this.numLayers;
        });
        lanes[hop.lane] += seconds;
        if (group.kind === 'attention') ofAttention[hop.lane] += seconds;
        const stop = `${group.kind} in ${hop.from}`;
        if (hop !== way[0]) turns[stop] = (turns[stop] ?? 0) + before + seconds;
        before = seconds;
      }
    };
    const bringsAttention =
      policy.projections === 'device' || phase === 'prefill' || policy.attention !== 'host';
    for (const { attention, experts } of checkpoint.layers) {
      if (bringsAttention) bring(attention);
      for (const expert of experts) bring(expert);
    }
    const isSingle = policy.streaming === 'ahead' && plan.prefetchDepth <= 1;
    const brought = {
      lanes,
      attention: ofAttention,
      takingTurns: isSingle ? largest([0, ...Object.values(turns)]) : 0,
    };
    this.#weightsOf[phase] = brought;
    return brought;
  }
}

interface BroughtWeights {
  readonly lanes: Readonly<LaneSeconds>;
  /** Of those. */
  readonly attention: Readonly<LaneSeconds>;
  /** Where a stop has one buffer, the lanes before and behind it take turns; 0 where there are more. */
  readonly takingTurns: number;
}

/** Layers that are alike. */
interface KindSeconds {
  readonly numLayers: number;
  readonly layer: LayerSeconds;
}

interface Overlap extends Pick<PassSeconds, 'lanes' | 'streams' | 'computeSeconds'> {
  readonly layers: readonly KindSeconds[];
  readonly ends: number;
}
