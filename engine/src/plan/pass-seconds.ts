/** What a forward pass of the target takes: its layers, its ends, and the weights that it brings. */

import type { WeightGroup } from '../model/types.js';
import type { Placed } from '../run/prepare.js';
import type { GroupLayout } from '../schedule/group-layout.js';
import { choosesTokens, type ModelCosts, modelCosts } from '../schedule/layer-costs.js';
import type { PhaseName } from '../trace/types.js';
import { type FrameWork, type LayerSeconds, layerSeconds } from './layer-seconds.js';
import type { LaneSeconds, TaskSeconds } from './task-seconds.js';

/** What a pass asks of the lanes, and how long it takes by itself. */
export interface PassSeconds {
  readonly lanes: LaneSeconds;
  readonly seconds: number;
  /** Device tasks that the target's chain waits for, one after the other. */
  readonly chainTasks: number;
  readonly streams: Streams;
  /** Without waiting for weights. */
  readonly computeSeconds: number;
}

/** Weights that one pass brings. */
export interface Streams {
  readonly link: number;
  readonly disk: number;
}

export class Passes {
  /** Of the target. */
  readonly costs: ModelCosts;
  readonly #placed: Placed;
  readonly #tasks: TaskSeconds;
  readonly #streamsOf: Partial<Record<PhaseName, Streams>> = {};

  constructor(placed: Placed, tasks: TaskSeconds) {
    this.#placed = placed;
    this.#tasks = tasks;
    this.costs = modelCosts(placed.plan.target);
  }

  get numLayers(): number {
    return this.costs.layers.length;
  }

  pass(phase: PhaseName, frames: readonly FrameWork[]): PassSeconds {
    const layers = this.#layers(phase, frames);
    const total = (pick: (layer: LayerSeconds) => number) =>
      layers.reduce((sum, { numLayers, layer }) => sum + numLayers * pick(layer), 0);
    const usedShare = layers.reduce(
      (sum, { numLayers, layer }) => sum + (numLayers / this.numLayers) * layer.usedShare,
      0,
    );
    const streams = this.streams(phase);
    const crossing = total(({ link }) => link);
    const ends = this.#ends(frames);
    const lanes: LaneSeconds = {
      disk: streams.disk * usedShare,
      link: streams.link * usedShare + crossing,
      host: total(({ host }) => host),
      device: total(({ device }) => device) + ends,
    };
    const link = streams.link + crossing;
    const computeSeconds = total(({ chain }) => chain) + ends;
    const seconds = this.#seconds({ layers, lanes, link, ends, computeSeconds });
    return {
      ...{ lanes, computeSeconds, streams: { link, disk: lanes.disk } },
      seconds: Math.max(seconds, lanes.disk, lanes.link, lanes.host, lanes.device),
      chainTasks: total(({ chainTasks }) => chainTasks),
    };
  }

  /** How weights and arithmetic overlap. */
  #seconds({ layers, lanes, link, ends, computeSeconds }: Overlap): number {
    const { policy, plan } = this.#placed;
    const total = (pick: (layer: LayerSeconds) => number) =>
      layers.reduce((sum, { numLayers, layer }) => sum + numLayers * pick(layer), 0);
    if (policy.streaming === 'on-demand') return lanes.link + lanes.disk + computeSeconds;
    if (policy.experts === 'routed')
      return Math.max(lanes.link + total(({ chain, ffn }) => chain - ffn), lanes.disk) + ends;
    if (plan.prefetchDepth === 0) {
      const perLayer = link / this.numLayers;
      return total(({ chain, ffn }) => Math.max(chain - ffn, perLayer) + ffn) + ends;
    }
    const longestChain = layers.reduce((longest, { layer }) => Math.max(longest, layer.chain), 0);
    return Math.max(link, lanes.disk, computeSeconds) + (link > computeSeconds ? longestChain : 0);
  }

  #layers(phase: PhaseName, frames: readonly FrameWork[]): KindSeconds[] {
    const { policy, plan } = this.#placed;
    const crosses = plan.cacheSlots !== null && policy.attention !== 'split';
    const { kinds, hiddenBytes } = this.costs;
    return kinds.map(({ costs, numLayers }) => ({
      numLayers,
      layer: layerSeconds(this.#tasks, { phase, policy, costs, hiddenBytes, crosses }, frames),
    }));
  }

  /** Embeddings and heads of all frames. */
  #ends(frames: readonly FrameWork[]): number {
    const tasks = this.#tasks;
    return frames.reduce((sum, { count, rows, headRows }) => {
      const embed = tasks.moving('device', 'embed', rows * this.costs.hiddenBytes, rows);
      const head = tasks.of('device', 'head', headRows, (work) => choosesTokens(work, this.costs, headRows));
      return sum + count * (embed + head);
    }, 0);
  }

  streams(phase: PhaseName): Streams {
    const known = this.#streamsOf[phase];
    if (known) return known;
    const { policy, plan } = this.#placed;
    const { pinned, kept, layouts, checkpoint } = plan.target;
    const hostShare = phase === 'decode' ? policy.hostShare : 0;
    let link = 0;
    let disk = 0;
    const bring = (group: WeightGroup) => {
      if (pinned.has(group.id)) return;
      const share = group.kind === 'expert' ? 1 - hostShare : 1;
      const isPageable = group.layer >= policy.pageLocked * this.numLayers;
      const moving = (lane: 'link' | 'disk', kind: 'upload' | 'load', bytes: number) =>
        this.#tasks.of(lane, kind, 0, (work) => {
          work.bytes = bytes;
          work.isPageable = isPageable;
        });
      link += moving('link', 'upload', group.storedBytes * share);
      const { stagedBytes } = layouts.get(group.id) as GroupLayout;
      if (!kept.has(group.id)) disk += moving('disk', 'load', stagedBytes);
    };
    const bringsAttention =
      policy.projections === 'device' || phase === 'prefill' || policy.attention !== 'host';
    for (const { attention, experts } of checkpoint.layers) {
      if (bringsAttention) bring(attention);
      for (const expert of experts) bring(expert);
    }
    this.#streamsOf[phase] = { link, disk };
    return { link, disk };
  }
}

/** Layers that are alike. */
interface KindSeconds {
  readonly numLayers: number;
  readonly layer: LayerSeconds;
}

interface Overlap {
  readonly layers: readonly KindSeconds[];
  readonly lanes: LaneSeconds;
  /** Weights and cache, as if all experts came. */
  readonly link: number;
  readonly ends: number;
  readonly computeSeconds: number;
}
