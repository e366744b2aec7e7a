/** What the parts of a target pass share: the frames on their way through the layers, sizes, and the growing graph. */

import { crossbarMemory } from '../machine/crossbars.js';
import type { ModelSpec } from '../model/spec.js';
import type { WeightGroup } from '../model/types.js';
import type { Sampling } from '../speculate/sampling.js';
import type { LaneName, MemoryName } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import { crossingTokens, type Feed, type Frame, measureAttention, rowsOf } from './feeds.js';
import type { GroupLayout } from './group-layout.js';
import {
  type AttentionLoad,
  type LayerCosts,
  type ModelCosts,
  modelCosts,
  scoreFlops,
} from './layer-costs.js';
import type { MemoryPlan, ModelPlacement } from './memory-plan.js';
import type { MixResult } from './ops.js';
import type { OpenPolicy } from './policy.js';
import { sharesExperts } from './shared-experts.js';
import { type OpenTask, openTask, type Task } from './task.js';
import type { WeightStream } from './weight-stream.js';
import type { TaskIds } from './work.js';

export interface PassRequest {
  readonly plan: MemoryPlan;
  readonly policy: OpenPolicy;
  readonly stream: WeightStream;
  readonly ids: TaskIds;
  /** Number of the pass, from 0. */
  readonly pass: number;
  readonly phase: PhaseName;
  readonly frames: readonly Frame[];
  /** Number of the buffers of the first of them, in decode. @default 0 */
  readonly firstFrame?: number;
  readonly wantsLogits?: boolean;
  /** Told what a layer's router has found of a frame's rows. */
  readonly onRouted?: ((layer: number, result: MixResult) => void) | undefined;
  /** How tokens are drawn; null: the most likely are chosen. */
  readonly sampling: Sampling | null;
}

/** One frame on its way through the layers. */
export interface Flow {
  readonly index: number;
  /** Number of its buffers in the placement. */
  readonly frame: number;
  readonly batch: number;
  readonly feeds: readonly Feed[];
  readonly rows: number;
  /** What attention asks of each kind of layer. */
  readonly loads: readonly FlowLoad[];
  /** Whether the cache holds anything of any of the feeds. */
  readonly hasCached: boolean;
  readonly attentionLane: 'host' | 'device';
  /** Whether what the device's attention reads and writes of the cache crosses the link. */
  readonly crosses: boolean;
  /** The task after which the frame's hidden state is complete. */
  last: number;
  /** The one after which what the host has made last is part of it, and its place there is free. */
  merge: number;
  /** Writes of the frame's keys and values to host memory, which the pass's end waits for. */
  readonly stores: number[];
  /** What the latest layer's router finds; a frame may be routed in the next layer while others are in this one. */
  routing: Routing;
}

export interface FlowLoad extends AttentionLoad {
  /** Of the cache, across the link, where it does. */
  readonly fetchBytes: number;
  readonly storeBytes: number;
}

/** Empty until the router has chosen, and for good where a group holds several experts. */
export interface Routing {
  result: MixResult;
}

export class PassContext {
  readonly request: PassRequest;
  readonly placement: ModelPlacement;
  readonly spec: ModelSpec;
  readonly costs: ModelCosts;
  readonly flows: readonly Flow[];
  /** Since the last part was taken. */
  tasks: Task[] = [];

  constructor(request: PassRequest) {
    this.request = request;
    this.placement = request.plan.target;
    this.spec = this.placement.checkpoint.spec;
    this.costs = modelCosts(this.placement);
    this.flows = request.frames.map((frame, index) => this.#createFlow(frame, index));
  }

  #createFlow({ batch, feeds }: Frame, index: number): Flow {
    const { phase, firstFrame = 0 } = this.request;
    const { attentionLane, crosses } = this.#attentionOf(feeds, index);
    return {
      index,
      batch,
      feeds,
      attentionLane,
      crosses,
      frame: phase === 'decode' ? this.placement.firstDecodeFrame + firstFrame + index : index,
      rows: feeds.reduce((sum, feed) => sum + rowsOf(feed), 0),
      loads: this.costs.kinds.map(({ costs }) => measureLoad(costs, feeds, crosses)),
      hasCached: feeds.some(({ cached }) => cached > 0),
      last: -1,
      merge: -1,
      stores: [],
      routing: unrouted,
    };
  }

  /** A split cache decides by itself where it is attended to: the device has some sequences' part, the host the others'. */
  #attentionOf(feeds: readonly Feed[], index: number): Pick<Flow, 'attentionLane' | 'crosses'> {
    const { policy, phase } = this.request;
    const { attention, prefillAttention } = policy;
    if (attention !== 'split') {
      const attentionLane = phase === 'prefill' ? prefillAttention : attention;
      return { attentionLane, crosses: attentionLane === 'device' };
    }
    // Where memory is only imagined, the first frame's is on the device whoever is in it, and none ever crosses.
    const isImaginary = this.placement.splitCache === null;
    const isOnDevice = isImaginary ? index === 0 : feeds[0].sequence.targetBlock.isOnDevice;
    const decodeLane = isOnDevice ? 'device' : 'host';
    if (phase === 'decode') return { attentionLane: decodeLane, crosses: false };
    if (isImaginary) return { attentionLane: prefillAttention, crosses: false };
    return isOnDevice
      ? { attentionLane: 'device', crosses: false }
      : { attentionLane: prefillAttention, crosses: prefillAttention === 'device' };
  }

  /** Adds a task for the frame to the graph; its maker fills it in. */
  push(
    flow: Flow,
    kind: Task['kind'],
    memory: MemoryName,
    name: string,
    after: readonly number[],
    createOp: Task['createOp'] = imagined,
  ): OpenTask {
    return this.#push(flow, kind, this.request.plan.routes.computing(kind, memory), name, after, createOp);
  }

  /** The same for a task that moves the frame's cache. */
  pushCrossing(
    flow: Flow,
    kind: 'fetch' | 'store',
    name: string,
    after: readonly number[],
    createOp: Task['createOp'],
  ): OpenTask {
    return this.#push(flow, kind, this.request.plan.routes.crossing(kind), name, after, createOp);
  }

  #push(
    flow: Flow,
    kind: Task['kind'],
    lane: LaneName,
    name: string,
    after: readonly number[],
    createOp: Task['createOp'],
  ): OpenTask {
    const { ids, pass, phase } = this.request;
    const { batch, rows } = flow;
    const id = ids.next();
    const head = { id, lane, kind, name, phase, pass, batch, priority: pass, rows };
    const task = openTask(head, after, createOp);
    this.tasks.push(task);
    return task;
  }

  /** Where a group is multiplied with, unless the host does. */
  placeOf({ id }: WeightGroup): 'device' | typeof crossbarMemory {
    return this.request.plan.held?.ids.has(id) ? crossbarMemory : 'device';
  }

  /** Whether the host has to know which rows chose which expert, and what these are. */
  get wantsRouting(): boolean {
    const { policy, phase } = this.request;
    const shares = phase === 'decode' && sharesExperts({ policy, formats: this.placement.formats });
    return policy.hostExpertRows > 0 || shares;
  }

  /** Layers whose routers are asked, one after the other, what they would choose by what this layer has of a frame. */
  foreseen({ rows }: Flow, layer: number): readonly number[] {
    const { policy, phase } = this.request;
    if (policy.expertPrefetch === 'none' || phase === 'prefill' || rows > mostForeseenRows) return nothing;
    const next = Array.from({ length: policy.foreseenLayers }, (_, index) => layer + 1 + index);
    return next.filter((each) => each < this.costs.layers.length);
  }

  /** Brings a group that the stream does not bring by itself; the task that its users wait for, null when pinned. */
  arrive(group: WeightGroup): number | null {
    const { stream, pass, phase, policy } = this.request;
    // On demand, its turn comes when all frames are done with what is before it, whether or not that held the buffer.
    const turn = policy.streaming === 'on-demand' ? { after: this.latest() } : undefined;
    this.tasks.push(...stream.bring(pass, phase, group, turn));
    return stream.arrival(pass, group)?.upload ?? null;
  }

  /** The frame's latest task, and its weights' arrival. */
  afterArrival({ last }: Flow, arrival: number | null): number[] {
    return arrival === null ? [last] : [last, arrival];
  }

  /** The same, and the previous frame's latest task: frames pass a weight's users one after the other. */
  afterPrevious(flow: Flow, arrival: number | null): number[] {
    const after = this.afterArrival(flow, arrival);
    if (flow.index > 0) after.push(this.flows[flow.index - 1].last);
    return after;
  }

  /** What has been made so far and not taken yet, and every frame's latest task. */
  takePart(): { readonly tasks: readonly Task[]; readonly last: readonly number[] } {
    const { tasks } = this;
    this.tasks = [];
    return { tasks, last: this.latest() };
  }

  /** Every frame's latest task. */
  latest(): readonly number[] {
    return this.flows.map(({ last }) => last);
  }

  /** What a group's user in this frame frees at its end: the frame that comes last is the weights' last user. */
  freedBy({ index }: Flow, group: WeightGroup): readonly number[] | undefined {
    const isLast = index === this.flows.length - 1;
    return isLast ? this.request.stream.heldSlots(this.request.pass, group) : undefined;
  }

  layoutOf({ id }: WeightGroup): GroupLayout {
    return this.placement.layouts.get(id) as GroupLayout;
  }
}

const nothing: readonly number[] = [];

/** More rows choose nearly all of a layer's experts, and take a while to be asked. */
const mostForeseenRows = 256;

/** The routing of a frame whose router has not chosen yet. */
export const unrouted: Routing = { result: { rowsPerExpert: [] } };

function imagined() {
  return { kind: 'imagined' } as const;
}

function measureLoad(
  { attention, window, cacheBytesPerToken }: LayerCosts,
  feeds: readonly Feed[],
  crosses: boolean,
): FlowLoad {
  const { cacheTokens, scores } = measureAttention(window, feeds);
  const crossing = (kind: 'fetch' | 'store') =>
    feeds.reduce((sum, feed) => sum + crossingTokens(window, kind, feed).count, 0) * cacheBytesPerToken;
  return {
    scoreFlops: scoreFlops(attention, scores),
    cacheBytes: cacheTokens * cacheBytesPerToken,
    fetchBytes: crosses ? crossing('fetch') : 0,
    storeBytes: crosses ? crossing('store') : 0,
  };
}
