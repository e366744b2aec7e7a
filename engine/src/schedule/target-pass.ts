/**
 * One pass of the target over one or more frames: the graph of a forward pass whose weights arrive through the
 * stream, and whose steps run where the policy puts them. All frames pass a layer before its weights are freed.
 *
 * Per layer: attention, then experts in ascending order, each as soon as its weights are there. Attention is three
 * tasks where the host scores and the device projects (project -> attention -> mix), else one on its lane.
 */

import type { ModelConfig, WeightGroup } from '../model/types.js';
import type { LaneName, PhaseName } from '../trace/types.js';
import {
  cacheFields,
  cacheStretches,
  crossingTokens,
  type Feed,
  type Frame,
  feedTokens,
  measureAttention,
  packBlocks,
} from './feeds.js';
import type { GroupLayout } from './group-layout.js';
import type { HeadResult, HostExpertOp, MixResult } from './ops.js';
import { cacheBytesPerToken, type MemoryPlan, type ModelPlacement } from './placement.js';
import type { OpenPolicy } from './policy.js';
import { createTask, type Task, type TaskBody } from './task.js';
import type { WeightStream } from './weight-stream.js';
import { attentionWeights, expertWeights, type TaskIds } from './work.js';

export interface TargetPass {
  readonly tasks: readonly Task[];
  /** Per frame: the task after which `results` holds the head's output. */
  readonly heads: readonly number[];
  readonly results: (HeadResult | null)[];
}

export interface PassRequest {
  readonly plan: MemoryPlan;
  readonly policy: OpenPolicy;
  readonly stream: WeightStream;
  readonly ids: TaskIds;
  /** Number of the pass, from 0. */
  readonly pass: number;
  readonly phase: PhaseName;
  readonly frames: readonly Frame[];
  readonly wantsLogits?: boolean;
}

export function buildTargetPass(request: PassRequest): TargetPass {
  return new PassBuilder(request).build();
}

/** One frame on its way through the layers. */
interface Flow {
  readonly index: number;
  readonly batch: number;
  readonly feeds: readonly Feed[];
  readonly rows: number;
  readonly cacheTokens: number;
  readonly scores: number;
  readonly attentionLane: 'host' | 'device';
  /** The task after which the frame's hidden state is complete. */
  last: number;
  /** Writes of the frame's keys and values to host memory, which the pass's end waits for. */
  readonly stores: number[];
  /** What the latest layer's router finds; a frame may be routed in the next layer while others are in this one. */
  routing: Routing;
}

/** Empty until the router has chosen. */
interface Routing {
  result: MixResult;
}

class PassBuilder {
  readonly #request: PassRequest;
  readonly #placement: ModelPlacement;
  readonly #config: ModelConfig;
  readonly #sizes: LayerSizes;
  readonly #flows: readonly Flow[];
  readonly #tasks: Task[] = [];
  readonly #results: (HeadResult | null)[];

  constructor(request: PassRequest) {
    this.#request = request;
    this.#placement = request.plan.target;
    this.#config = this.#placement.checkpoint.config;
    this.#sizes = measureLayer(this.#placement);
    this.#results = request.frames.map(() => null);
    this.#flows = request.frames.map((frame, index) => this.#createFlow(frame, index));
  }

  build(): TargetPass {
    for (const flow of this.#flows) this.#embed(flow);
    for (const [layer, { attention, experts }] of this.#placement.checkpoint.layers.entries()) {
      this.#attend(layer, attention);
      const routers = this.#latest();
      for (const [expert, group] of experts.entries()) this.#feedForward(layer, expert, group, routers);
    }
    const heads = this.#flows.map((flow) => this.#head(flow));
    return { tasks: this.#tasks, heads, results: this.#results };
  }

  #createFlow({ batch, feeds }: Frame, index: number): Flow {
    const { policy, phase } = this.#request;
    const split = index === 0 ? 'device' : 'host';
    const decodeLane = policy.attention === 'split' ? split : policy.attention;
    return {
      ...{ index, batch, feeds },
      ...measureAttention(this.#config, feeds),
      attentionLane: phase === 'prefill' ? policy.prefillAttention : decodeLane,
      last: -1,
      stores: [],
      routing: notYetRouted(),
    };
  }

  #embed(flow: Flow): void {
    flow.last = this.#push(flow, 'embed', 'device', `embed batch ${flow.batch}`, {
      after: [],
      bytes: flow.rows * this.#sizes.hiddenBytes,
      createOp: () => ({ kind: 'embed', frame: flow.index, ids: feedTokens(flow.feeds) }),
    });
  }

  #attend(layer: number, group: WeightGroup): void {
    const { policy, phase } = this.#request;
    const projectsOnHost = policy.projections === 'host' && phase === 'decode';
    const needsDevice = this.#flows.some((flow) => flow.attentionLane === 'device' || !projectsOnHost);
    const arrived = needsDevice ? this.#arrive(group) : [];
    for (const flow of this.#flows) {
      // After the previous frame's too, so that the last frame's is the weights' last user.
      const after = [flow.last, ...arrived, ...this.#previous(flow)];
      const frees = this.#isLast(flow) && needsDevice ? this.#held(group) : [];
      if (flow.attentionLane === 'device') this.#attendOnDevice(flow, layer, group, after, frees);
      else if (projectsOnHost) this.#attendOnHost(flow, layer, after, frees);
      else this.#attendAcrossLanes(flow, layer, group, [flow.last, ...arrived], frees);
    }
  }

  /** The host scores, where the cache is; the device projects, where the weights are. */
  #attendAcrossLanes(
    flow: Flow,
    layer: number,
    group: WeightGroup,
    after: readonly number[],
    frees: readonly number[],
  ): void {
    const { policy } = this.#request;
    const { projectionElements, outputElements, weightBytes } = this.#sizes;
    const project = this.#push(flow, 'project', 'device', `project layer.${layer}`, {
      after,
      bytes: projectionElements * weightBytes,
      flops: 2 * flow.rows * projectionElements,
      createOp: () => ({
        kind: 'project',
        ...{ frame: flow.index, layer, rows: flow.rows },
        weights: this.#attentionWeights(group),
      }),
    });
    const attend = this.#push(flow, 'attention', 'host', `attention layer.${layer}`, {
      ...this.#scoring(flow),
      after: [project],
      createOp: () => ({
        kind: 'attention',
        ...{ frame: flow.index, layer, rows: flow.rows },
        sequences: cacheFields(this.#config, flow.feeds),
      }),
    });
    flow.last = this.#push(flow, 'mix', 'device', `mix layer.${layer}`, {
      after: [attend, ...this.#previous(flow)],
      bytes: outputElements * weightBytes,
      flops: 2 * flow.rows * outputElements,
      frees,
      createOp: () => ({
        kind: 'mix',
        ...{ frame: flow.index, layer, rows: flow.rows },
        weights: this.#attentionWeights(group),
        wantsRouting: policy.hostExpertRows > 0,
      }),
      ...this.#routing(flow),
    });
  }

  /** All of a layer's attention on the device; a cache in host memory crosses the link, both ways. */
  #attendOnDevice(
    flow: Flow,
    layer: number,
    group: WeightGroup,
    after: readonly number[],
    frees: readonly number[],
  ): void {
    const { plan, policy } = this.#request;
    const { kvCache } = this.#placement;
    const slots = plan.cacheSlots;
    // With split attention, the device's share of the cache stays there.
    const crosses = slots !== null && policy.attention !== 'split';
    const fetch =
      crosses && flow.feeds.some(({ cached }) => cached > 0) ? this.#fetchCache(flow, layer) : null;
    const { projectionElements, outputElements, weightBytes } = this.#sizes;
    const attend = this.#push(flow, 'attention', 'device', `attention layer.${layer}`, {
      ...this.#scoring(flow),
      after: fetch === null ? after : [...after, fetch],
      bytes: (projectionElements + outputElements) * weightBytes,
      flops: 2 * flow.rows * (projectionElements + outputElements),
      ...(crosses && fetch === null ? { takes: slots.slotClass } : {}),
      frees,
      createOp: (slot) => {
        const packed = crosses ? packBlocks(this.#config, flow.feeds) : null;
        const region = crosses ? slots.regions[fetch === null ? slot : this.#slotOf(fetch)] : kvCache[layer];
        return {
          kind: 'device-attention',
          ...{ frame: flow.index, layer, rows: flow.rows },
          weights: this.#attentionWeights(group),
          cache: region.byteOffset,
          cacheElements: packed?.numElements ?? region.byteLength / 4,
          sequences: cacheFields(this.#config, flow.feeds, packed?.blocks),
          wantsRouting: policy.hostExpertRows > 0,
        };
      },
      ...this.#routing(flow),
    });
    flow.last = attend;
    if (crosses) this.#storeCache(flow, layer, fetch ?? attend);
  }

  /** Projections, scores and router on the host, with the weights where they are stored. */
  #attendOnHost(flow: Flow, layer: number, after: readonly number[], frees: readonly number[]): void {
    const { projectionElements, outputElements, weightBytes } = this.#sizes;
    flow.last = this.#push(flow, 'attention', 'host', `attention layer.${layer}`, {
      ...this.#scoring(flow),
      ...{ after, frees },
      bytes: (projectionElements + outputElements) * weightBytes,
      flops: 2 * flow.rows * (projectionElements + outputElements),
      createOp: imagined,
      ...this.#routing(flow),
    });
  }

  #fetchCache(flow: Flow, layer: number): number {
    const slots = this.#cacheSlots();
    return this.#push(flow, 'fetch', 'link', `fetch layer.${layer}`, {
      after: [],
      rows: 0,
      priority: this.#linkPriority(layer),
      bytes: this.#crossingBytes('fetch', flow),
      takes: slots.slotClass,
      createOp: (slot) => this.#cacheOp('fetch', flow, layer, slots.regions[slot].byteOffset),
    });
  }

  #storeCache(flow: Flow, layer: number, holder: number): void {
    const slots = this.#cacheSlots();
    const store = this.#push(flow, 'store', 'link', `store layer.${layer}`, {
      after: [flow.last],
      rows: 0,
      priority: this.#linkPriority(layer),
      bytes: this.#crossingBytes('store', flow),
      frees: [holder],
      createOp: () => this.#cacheOp('store', flow, layer, slots.regions[this.#slotOf(holder)].byteOffset),
    });
    flow.stores.push(store);
  }

  /** `routers`: the tasks after which it is known which rows chose which expert. */
  #feedForward(layer: number, expert: number, group: WeightGroup, routers: readonly number[]): void {
    const { policy, stream, pass, phase } = this.#request;
    const { hostExpertRows, streaming } = policy;
    const hostShare = phase === 'decode' ? policy.hostShare : 0;
    // This layer's routing: a frame that is done here may already be routed in the next one.
    const routings = this.#flows.map(({ routing }) => routing);
    const rowsOf = ({ index }: Flow) => routings[index].result.rowsPerExpert[expert];
    const totalRows = () => this.#flows.reduce((sum, flow) => sum + (rowsOf(flow) ?? 1), 0);
    // Pinned weights are on the device alone.
    const mayBeForHost = hostExpertRows > 0 && !this.#placement.pinned.has(group.id);
    const isForHost = () => mayBeForHost && totalRows() <= hostExpertRows;
    if (policy.experts === 'routed')
      this.#tasks.push(
        ...stream.bring(pass, phase, group, {
          after: streaming === 'on-demand' ? this.#latest() : routers,
          isUnused: () => totalRows() === 0,
          isForHost,
        }),
      );
    const arrived = this.#arrive(group);
    const { expertElements, weightBytes, expertsPerGroup } = this.#sizes;
    const { expertsPerToken, numExperts } = this.#config;
    for (const flow of this.#flows) {
      const productRows = (flow.rows * expertsPerToken) / numExperts;
      const groupRows = productRows * expertsPerGroup;
      const after = [flow.last, ...arrived, ...this.#previous(flow)];
      // A group of several experts is computed whatever the router says.
      const isRouted = expertsPerGroup === 1;
      const work = (share: number) => ({
        rows: groupRows,
        productRows,
        numParts: expertsPerGroup,
        bytes: share * expertElements * expertsPerGroup * weightBytes,
        flops: share * 2 * groupRows * expertElements,
        actualRows: isRouted ? () => rowsOf(flow) ?? groupRows : undefined,
      });
      const name = group.id;
      const start = flow.last;
      const frees = this.#isLast(flow) ? this.#held(group) : [];
      flow.last = this.#push(flow, 'expert', 'device', name, {
        ...{ after, frees: mayBeForHost ? [] : frees },
        isIdle: isRouted ? () => rowsOf(flow) === 0 || isForHost() : undefined,
        createOp: () => ({
          kind: 'expert',
          ...{ frame: flow.index, layer, rows: flow.rows, expert },
          weights: expertWeights(this.#layoutOf(group), stream.addressOf(pass, group)),
        }),
        ...work(1 - hostShare),
      });
      if (hostShare > 0) this.#shareOnHost(flow, name, start, work(hostShare));
      if (mayBeForHost)
        this.#feedForwardOnHost(flow, layer, expert, group, arrived, isForHost, work(1), frees);
    }
  }

  /** HeteGen's split: the host computes its share of the same FFN beside the device. */
  #shareOnHost(flow: Flow, name: string, start: number, work: Partial<Task>): void {
    const onDevice = flow.last;
    const onHost = this.#push(flow, 'expert', 'host', name, {
      after: [start],
      createOp: imagined,
      ...work,
    });
    flow.last = this.#push(flow, 'merge', 'device', `merge ${name}`, {
      after: [onDevice, onHost],
      bytes: flow.rows * this.#sizes.hiddenBytes,
      createOp: imagined,
    });
  }

  /** Fiddler's choice: an expert with few rows is cheaper where its weights are. */
  #feedForwardOnHost(
    flow: Flow,
    layer: number,
    expert: number,
    group: WeightGroup,
    arrived: readonly number[],
    isForHost: () => boolean,
    work: Partial<Task>,
    frees: readonly number[],
  ): void {
    const { stream, pass } = this.#request;
    const { routing } = flow;
    const isIdle = () => routing.result.rowsPerExpert[expert] === 0 || !isForHost();
    const onHost = this.#push(flow, 'expert', 'host', `${group.id} on host`, {
      after: [flow.last, ...arrived],
      isIdle,
      frees,
      createOp: () => ({
        kind: 'host-expert',
        ...{ frame: flow.index, layer, expert },
        indices: routing.result.expertRows?.[expert] ?? new Int32Array(),
        weights: storedExpert(this.#layoutOf(group), stream.stagedAddressOf(pass, group)),
      }),
      ...work,
    });
    flow.last = this.#push(flow, 'merge', 'device', `merge ${group.id}`, {
      after: [onHost],
      isIdle,
      bytes: flow.rows * this.#sizes.hiddenBytes,
      createOp: () => ({ kind: 'merge', frame: flow.index, layer, expert }),
    });
  }

  #head(flow: Flow): number {
    const { frames, wantsLogits = false } = this.#request;
    const { vocabSize, hiddenSize } = this.#config;
    const { headRows: rowIndices } = frames[flow.index];
    const rows = rowIndices.length;
    return this.#push(flow, 'head', 'device', `head batch ${flow.batch}`, {
      rows,
      productRows: rows,
      after: [flow.last, ...flow.stores],
      bytes: vocabSize * hiddenSize * this.#sizes.weightBytes,
      flops: 2 * rows * vocabSize * hiddenSize,
      createOp: () => ({ kind: 'head', frame: flow.index, rowIndices, wantsLogits }),
      imagine: () => imagineHead(rows, (rowIndices.at(-1) ?? -1) + 1),
      onEnd: (result) => {
        this.#results[flow.index] = result as HeadResult;
      },
    });
  }

  /** Brings a group that the stream does not bring by itself; the task that its users wait for, none when pinned. */
  #arrive(group: WeightGroup): readonly number[] {
    const { stream, pass, phase, policy } = this.#request;
    // On demand, its turn comes when all frames are done with what is before it, whether or not that held the buffer.
    const turn = policy.streaming === 'on-demand' ? { after: this.#latest() } : undefined;
    this.#tasks.push(...stream.bring(pass, phase, group, turn));
    const arrival = stream.arrival(pass, group);
    return arrival ? [arrival.upload] : [];
  }

  #held(group: WeightGroup): readonly number[] {
    return this.#request.stream.heldSlots(this.#request.pass, group);
  }

  #scoring({ cacheTokens, scores }: Flow) {
    return {
      cacheBytes: this.#cacheBytes(cacheTokens),
      scoreFlops: 4 * scores * this.#config.numHeads * this.#config.headDim,
    };
  }

  #routing(flow: Flow): Pick<Task, 'imagine' | 'onEnd'> {
    const { numExperts, expertsPerToken } = this.#config;
    const routing = notYetRouted();
    flow.routing = routing;
    // Groups of several experts are computed whatever the router says.
    const isPerExpert = this.#sizes.expertsPerGroup === 1;
    return {
      imagine: (oracle) => ({
        rowsPerExpert: isPerExpert ? oracle.chooseExperts(flow.rows, numExperts, expertsPerToken) : [],
      }),
      onEnd: (result) => {
        routing.result = result as MixResult;
      },
    };
  }

  #cacheSlots() {
    return this.#request.plan.cacheSlots as NonNullable<MemoryPlan['cacheSlots']>;
  }

  #cacheBytes(tokens: number): number {
    return tokens * this.#sizes.cacheBytesPerToken;
  }

  #crossingBytes(kind: 'fetch' | 'store', { feeds }: Flow): number {
    const tokens = feeds.reduce((sum, feed) => sum + crossingTokens(this.#config, kind, feed).count, 0);
    return this.#cacheBytes(tokens);
  }

  #cacheOp(kind: 'fetch' | 'store', { feeds }: Flow, layer: number, device: number) {
    const host = this.#placement.kvCache[layer].byteOffset;
    return { kind, host, device, stretches: cacheStretches(this.#config, kind, feeds) };
  }

  /** Behind the layer's own weights and before the next one's. */
  #linkPriority(layer: number): number {
    return this.#request.pass * this.#config.numLayers + layer;
  }

  #slotOf(task: number): number {
    return this.#request.stream.slotOf(task);
  }

  #layoutOf(group: WeightGroup): GroupLayout {
    return this.#placement.layouts.get(group.id) as GroupLayout;
  }

  #attentionWeights(group: WeightGroup) {
    const { stream, pass } = this.#request;
    return attentionWeights(this.#layoutOf(group), stream.addressOf(pass, group));
  }

  #isLast({ index }: Flow): boolean {
    return index === this.#flows.length - 1;
  }

  /** Every frame's latest task. */
  #latest(): readonly number[] {
    return this.#flows.map(({ last }) => last);
  }

  /** The previous frame's latest task, none for the first frame: frames pass a weight's users one after the other. */
  #previous({ index }: Flow): readonly number[] {
    return index > 0 ? [this.#flows[index - 1].last] : [];
  }

  #push(flow: Flow, kind: Task['kind'], lane: LaneName, name: string, body: TaskBody): number {
    const { ids, pass, phase } = this.#request;
    const { batch, rows } = flow;
    const id = ids.next();
    this.#tasks.push(createTask({ id, lane, kind, name, phase, pass, batch, priority: pass, rows }, body));
    return id;
  }
}

interface LayerSizes {
  /** Elements of q, k and v, of the output projection with the router, and of one expert. */
  readonly projectionElements: number;
  readonly outputElements: number;
  readonly expertElements: number;
  /** More than 1 where a group holds all experts of a layer. */
  readonly expertsPerGroup: number;
  /** Of one weight in device memory. */
  readonly weightBytes: number;
  /** One row of hidden state. */
  readonly hiddenBytes: number;
  /** Keys and values of one token in one layer. */
  readonly cacheBytesPerToken: number;
}

function measureLayer({ checkpoint, formats, layouts }: ModelPlacement): LayerSizes {
  const { config, layers } = checkpoint;
  const { hiddenSize, headDim, numHeads, numKvHeads, numExperts, ffnSize, numLayers } = config;
  const [expert] = layers[0].experts;
  const elements = expert.tensors.reduce((sum, { ref }) => sum + ref.numElements, 0);
  return {
    projectionElements: hiddenSize * headDim * (numHeads + 2 * numKvHeads),
    outputElements: hiddenSize * (headDim * numHeads + numExperts),
    expertElements: 3 * hiddenSize * ffnSize,
    expertsPerGroup: numExperts / layers[0].experts.length,
    weightBytes: (layouts.get(expert.id) as GroupLayout).deviceBytes / elements,
    hiddenBytes: hiddenSize * formats.activationElementBytes,
    cacheBytesPerToken: cacheBytesPerToken(config, formats) / numLayers,
  };
}

/** An expert's tensors as stored, the group lying at `base` in host memory. */
function storedExpert({ tensors }: GroupLayout, base: number): HostExpertOp['weights'] {
  return Object.fromEntries(
    tensors.map(({ role, dtype, count, stagedOffset }) => [
      role,
      { dtype, count, source: base + stagedOffset },
    ]),
  ) as unknown as HostExpertOp['weights'];
}

function notYetRouted(): Routing {
  return { result: { rowsPerExpert: [] } };
}

function imagined() {
  return { kind: 'imagined' } as const;
}

/** The target always chooses token 0, and never narrowly. */
function imagineHead(rows: number, numFrameRows: number): HeadResult {
  return {
    ids: new Int32Array(rows),
    margins: new Float32Array(rows).fill(Number.POSITIVE_INFINITY),
    routerMargins: new Float32Array(numFrameRows).fill(Number.POSITIVE_INFINITY),
    logits: null,
  };
}
