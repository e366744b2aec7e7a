/** What a forward pass of the target takes: its layers, its ends, and the weights that it brings. */

import { largest, sum } from '../extremes.js';
import type { WeightGroup } from '../model/types.js';
import type { Placed } from '../run/prepare.js';
import { followsRouters, keepsExperts } from '../schedule/expert-cache.js';
import { groupLayout } from '../schedule/group-layout.js';
import { InPlace, readsInPlace } from '../schedule/in-place.js';
import { choosesTokens, type ModelCosts, modelCosts } from '../schedule/layer-costs.js';
import type { StreamedKind } from '../schedule/memory-plan.js';
import { sharesExperts } from '../schedule/shared-experts.js';
import { hopBytes, type WeightWays, waysOfWeights } from '../schedule/weight-way.js';
import type { RoutingReport } from '../speculate/routing-counter.js';
import { kindOfHop, type LaneName } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import { type FrameWork, type LayerSeconds, layerSeconds } from './layer-seconds.js';
import { type PlacedKind, placedKinds } from './placed-kinds.js';
import { type Popularity, popularities, shareOfLatest, shareOfMostPopular } from './popularity.js';
import { type Foreseen, foreseen, routedSeconds, type StreamedExperts, shareOver } from './routed-seconds.js';
import { type LaneSeconds, mostOf, sumOf, type TaskSeconds } from './task-seconds.js';

/** What a pass asks of the lanes, and how long it takes by itself. */
export interface PassSeconds {
  readonly lanes: Readonly<LaneSeconds>;
  readonly seconds: number;
  /** Device tasks that the target's chain waits for, one after the other. */
  readonly chainTasks: number;
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
    tasks.enter(phase);
    const layers = this.#layers(phase, frames);
    const total = (pick: (layer: LayerSeconds) => number) =>
      layers.reduce((sum, { numLayers, layer }) => sum + numLayers * pick(layer), 0);
    const mean = (pick: (layer: LayerSeconds) => number) => total(pick) / this.numLayers;
    const weights = this.weights(phase);
    const lanes = tasks.none();
    const ends = this.#ends(frames, lanes);
    const moved = this.#movedShare(phase, frames);
    const used = mean((layer) => layer.usedShare);
    const { wasted } = this.#foreseen(phase, used);
    const shares = { usedShare: used, hostShare: mean((layer) => layer.hostShare) };
    for (const lane of tasks.lanes)
      lanes[lane] +=
        weights.attention[lane] +
        (weights.lanes[lane] - weights.attention[lane]) *
          (shareOver(tasks, shares, lane) + wasted) *
          moved(lane) +
        total((layer) => layer.lanes[lane]);
    const computeSeconds = total(({ chain }) => chain) + ends;
    const seconds = this.#seconds(phase, { layers, lanes, ends, computeSeconds, moved });
    tasks.enter('decode');
    return {
      lanes,
      computeSeconds,
      seconds: Math.max(seconds, mostOf(lanes, tasks.lanes), this.#takingTurns(phase, layers, used)),
      chainTasks: total(({ chainTasks }) => chainTasks),
    };
  }

  /** What the buffers before the device take: each is held from one group's load until it has left, or been computed with. */
  #takingTurns(phase: PhaseName, layers: readonly KindSeconds[], used: number): number {
    const { policy, plan } = this.#placed;
    if (policy.streaming === 'on-demand') return 0;
    const isHeld =
      phase === 'decode' &&
      (policy.hostExpertRows > 0 || sharesExperts({ policy, formats: plan.target.formats }));
    const share = this.#meanStreamed(phase) / meanOf(layers, ({ numGroups }) => numGroups);
    const held = isHeld ? share * sum(layers.map(({ numLayers, layer }) => numLayers * layer.ffn)) : 0;
    return (this.weights(phase).turns * used + held) / Math.max(1, plan.prefetchDepth);
  }

  /** What a lane can bring before any of it is used, of all that comes over it for a pass. */
  shareAhead(lane: LaneName): number {
    const groups = this.#meanStreamed('decode') * this.numLayers;
    return groups === 0 ? 1 : Math.min(1, this.groupsAhead[lane] / groups);
  }

  /** Groups of experts that come, of a layer on average. */
  #meanStreamed(phase: PhaseName): number {
    const { experts } = this.weights(phase);
    return sum(experts.map(({ numLayers, count }) => numLayers * count)) / this.numLayers;
  }

  #foreseen(phase: PhaseName, used: number): Foreseen {
    const { policy, plan } = this.#placed;
    return foreseen(policy, phase, used, plan.prefetchDepth);
  }

  /** By lane, of the experts that are used those that have to come over it: a cache begins empty. */
  #movedShare(phase: PhaseName, frames: readonly FrameWork[]): (lane: LaneName) => number {
    const { policy, plan } = this.#placed;
    if (!keepsExperts(policy) || phase === 'prefill') return () => 1;
    const rows = sum(frames.map(({ count, rows }) => count * rows));
    const numExperts = sum(plan.target.checkpoint.layers.map(({ experts }) => experts.length));
    const [popularity] = this.#popularities;
    // By counts alone it takes many passes until experts are told apart: till then they come and go as by recency.
    const hits = policy.expertCache === 'farthest' ? shareOfMostPopular : shareOfLatest;
    const missed = (kept: number) => 1 - hits(popularity, rows, kept / numExperts);
    const onDevice = missed(plan.cachedOnDevice);
    const inMemory = missed(plan.cachedOnDevice + plan.cachedOnHost);
    return (lane) => (this.#tasks.arriving.includes(lane) ? onDevice : inMemory);
  }

  /** How weights and arithmetic overlap. */
  #seconds(phase: PhaseName, { layers, lanes, ends, computeSeconds, moved }: Overlap): number {
    const { policy, plan } = this.#placed;
    const { arriving, moving } = this.#tasks;
    if (policy.streaming === 'on-demand') return sumOf(lanes, this.#bringing) + computeSeconds;
    if (policy.experts === 'routed') {
      const { kinds } = this.costs;
      const ofKind = kinds.map(({ costs: { kind } }) => meanLayer(layers.filter((one) => one.kind === kind)));
      return (
        ends +
        routedSeconds(this.#tasks, {
          policy,
          phase,
          moved,
          layers: ofKind,
          prefetchDepth: plan.prefetchDepth,
          streamed: this.weights(phase).experts,
          numExperts: kinds.map(({ costs }) => costs.numExperts / costs.expertsPerGroup),
        })
      );
    }
    // A layer's weights come over one of the lanes that arrive, the next one's over the same or another.
    if (plan.prefetchDepth === 0) {
      const perLayer = sumOf(lanes, arriving) / this.numLayers;
      // Only the first of a layer's groups comes while its attention is computed.
      const first = perLayer / Math.max(1, this.#meanStreamed(phase));
      const ofLayer = ({ chain, ffn }: LayerSeconds) =>
        Math.max(chain - ffn, first) + (perLayer - first) + ffn;
      return sum(layers.map(({ numLayers, layer }) => numLayers * ofLayer(layer))) + ends;
    }
    const longestChain = layers.reduce((longest, { layer }) => Math.max(longest, layer.chain), 0);
    const isBehind = mostOf(lanes, arriving) > computeSeconds;
    return Math.max(mostOf(lanes, moving), computeSeconds) + (isBehind ? longestChain : 0);
  }

  #layers(phase: PhaseName, frames: readonly FrameWork[]): KindSeconds[] {
    const { policy, plan } = this.#placed;
    const crosses = plan.cacheSlots !== null && policy.attention !== 'split';
    const { hiddenBytes } = this.costs;
    const hostable = this.#hostable();
    this.#kinds[phase] ??= placedKinds(
      this.costs,
      plan.target.checkpoint,
      readsInPlace(policy) ? (group) => this.#inPlace.of(phase, group) !== null : null,
    );
    return this.#kinds[phase].map(({ costs, numLayers, inPlace }) => ({
      numLayers,
      kind: costs.kind,
      numGroups: costs.numExperts / costs.expertsPerGroup,
      layer: layerSeconds(
        this.#tasks,
        {
          phase,
          policy,
          costs,
          hiddenBytes,
          crosses,
          inPlace,
          hostable,
          popularity: this.#popularities[costs.kind],
        },
        frames,
      ),
    }));
  }

  /** Experts that come ahead, or have stayed on the device, are computed there whoever chose them. */
  #hostable(): number {
    const { policy, plan } = this.#placed;
    if (!followsRouters(policy)) return 1;
    const { kept, checkpoint } = plan.target;
    const experts = checkpoint.layers.flatMap((layer) => layer.experts);
    return (experts.filter(({ id }) => kept.has(id)).length + plan.cachedOnHost) / experts.length;
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
    const bring = (group: WeightGroup): boolean => {
      if (pinned.has(group.id) || this.#inPlace.of(phase, group)) return false;
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
      return true;
    };
    const bringsAttention =
      policy.projections === 'device' || phase === 'prefill' || policy.attention !== 'host';
    const ofExperts = new Map<
      string,
      { -readonly [Field in keyof StreamedExperts]: StreamedExperts[Field] }
    >();
    for (const [index, { attention, experts }] of checkpoint.layers.entries()) {
      if (bringsAttention) bring(attention);
      const before = { ...lanes };
      const count = experts.filter(bring).length;
      const { kind } = this.costs.layers[index];
      const own = Object.fromEntries(this.#tasks.moving.map((lane) => [lane, lanes[lane] - before[lane]]));
      const key = `${kind} ${count} ${this.#tasks.moving.map((lane) => own[lane].toPrecision(9))}`;
      const alike = ofExperts.get(key);
      if (alike) alike.numLayers += 1;
      else ofExperts.set(key, { kind, count, numLayers: 1, lanes: own });
    }
    const brought = {
      lanes,
      attention: ofAttention,
      experts: [...ofExperts.values()],
      turns: largest([0, ...Object.values(turns)]),
    };
    this.#weightsOf[phase] = brought;
    return brought;
  }
}

interface BroughtWeights {
  readonly lanes: Readonly<LaneSeconds>;
  /** Of those. */
  readonly attention: Readonly<LaneSeconds>;
  /** The others, by layers that are alike. */
  readonly experts: readonly StreamedExperts[];
  /** Of the lanes before and behind a stop together, at the stop where that is most: with one buffer they take turns. */
  readonly turns: number;
}

/** Layers that are alike. */
interface KindSeconds {
  readonly kind: number;
  /** Of experts, in each of them. */
  readonly numGroups: number;
  readonly numLayers: number;
  readonly layer: LayerSeconds;
}

interface Overlap extends Pick<PassSeconds, 'lanes' | 'computeSeconds'> {
  readonly layers: readonly KindSeconds[];
  readonly ends: number;
  readonly moved: (lane: LaneName) => number;
}

function meanOf(layers: readonly KindSeconds[], pick: (kind: KindSeconds) => number): number {
  return (
    sum(layers.map((kind) => kind.numLayers * pick(kind))) / sum(layers.map(({ numLayers }) => numLayers))
  );
}

/** Of a kind's layers, whose experts may lie in different places. */
function meanLayer(alike: readonly KindSeconds[]): LayerSeconds {
  const [{ layer }] = alike;
  if (alike.length === 1) return layer;
  return {
    ...layer,
    chain: meanOf(alike, ({ layer: { chain } }) => chain),
    ffn: meanOf(alike, ({ layer: { ffn } }) => ffn),
  };
}
