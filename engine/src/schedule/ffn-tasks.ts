/** A layer's experts in a target pass: on the device, each as soon as its weights are there, or on the host. */

import { isImagined } from '../machine/formats.js';
import type { WeightGroup } from '../model/types.js';
import { followsRouters } from './expert-cache.js';
import {
  computesExperts,
  type LayerCosts,
  movesRows,
  readsExpertsOverLink,
  worksSideBySide,
} from './layer-costs.js';
import type { Flow, PassContext, Routing } from './pass-context.js';
import { type OpenTask, staysThere } from './task.js';
import { expertWeights, storedWeights } from './work.js';

/**
 * Sends every frame through one group of a layer: one expert, or all of them at once.
 * @param routers the tasks after which it is known which rows chose which expert
 */
export function feedForward(
  context: PassContext,
  layer: number,
  expert: number,
  group: WeightGroup,
  routers: readonly number[],
): void {
  const { policy, pass, phase } = context.request;
  const choice = new Choice(context, layer, expert, group);
  if (policy.experts === 'routed') bringChosen(context, group, choice, routers);
  const arrival = context.arrive(group);
  const shared = context.request.stream.shareOf(pass, group);
  // Where memory is only imagined, every group of a decode pass is shared, wherever it is.
  const isShared = isImagined(context.placement.formats) || shared !== null;
  const hostShare = isShared ? context.request.stream.hostShareOf(phase, group) : 0;
  const { flows } = context;
  const onDevice = (together: readonly Flow[]) =>
    expertOnDevice(context, together, layer, group, choice, arrival, 1 - hostShare);
  const starts = flows.map(({ last }) => last);
  const whole = policy.coalesceExperts === 'yes' ? onDevice(flows) : null;
  for (const [index, flow] of flows.entries()) {
    const start = starts[index];
    const frees = context.freedBy(flow, group);
    const task = whole ?? onDevice([flow]);
    flow.last = task.id;
    const merge = hostShare > 0 ? shareWithHost(context, flow, layer, group, choice, start, hostShare) : task;
    if (!choice.mayBeForHost) (shared ? merge : task).frees = frees;
    else {
      // Where the router's word is there already, the host computes beside the device; what it makes is added in turn.
      const isBeside = followsRouters(policy);
      const after = isBeside ? [routers[index], flow.merge] : [flow.last];
      const onHost = expertOnHost(context, flow, layer, group, choice, after, arrival);
      const merge = mergeFromHost(context, flow, layer, group, choice, onHost.id);
      (isBeside ? merge : onHost).frees = frees;
    }
  }
}

/** Who chose an expert, asked when it is known. */
class Choice {
  readonly expert: number;
  readonly costs: LayerCosts;
  /** Fiddler's choice: an expert with few rows is cheaper where its weights are. Pinned ones are on the device alone; others may have come. */
  readonly mayBeForHost: boolean;
  /** Whether to wait for the router: a group of several experts is computed whatever it chooses. */
  readonly isRouted: boolean;
  readonly #hostExpertRows: number;
  /** This layer's: a frame that is done here may already be routed in the next one. */
  readonly #routings: readonly Routing[];

  constructor({ request, costs, flows }: PassContext, layer: number, expert: number, group: WeightGroup) {
    this.expert = expert;
    this.costs = costs.layers[layer];
    this.#hostExpertRows = request.policy.hostExpertRows;
    this.mayBeForHost = this.#hostExpertRows > 0 && !request.stream.holds(group);
    this.isRouted = this.costs.expertsPerGroup === 1;
    this.#routings = flows.map(({ routing }) => routing);
  }

  rowsOf({ index }: Flow): number | undefined {
    return this.#routings[index].result.rowsPerExpert[this.expert];
  }

  /** The frame's rows themselves, where the router was asked for them. */
  indicesOf({ index }: Flow): Int32Array {
    return this.#routings[index].result.expertRows?.[this.expert] ?? new Int32Array();
  }

  isUnused(): boolean {
    return this.#totalRows() === 0;
  }

  isForHost(): boolean {
    return this.mayBeForHost && this.#totalRows() <= this.#hostExpertRows;
  }

  #totalRows(): number {
    return this.#routings.reduce((sum, { result }) => sum + (result.rowsPerExpert[this.expert] ?? 1), 0);
  }
}

/** Brings weights once it is known that, and where, they are needed. */
function bringChosen(
  context: PassContext,
  group: WeightGroup,
  choice: Choice,
  routers: readonly number[],
): void {
  const { stream, pass, phase, policy } = context.request;
  const condition = {
    after: policy.streaming === 'on-demand' ? context.latest() : routers,
    isUnused: () => choice.isUnused(),
    ...(choice.mayBeForHost ? { isForHost: () => choice.isForHost() } : {}),
  };
  context.tasks.push(...stream.bring(pass, phase, group, condition));
}

/** For the rows of one frame, or of all at once. */
function expertOnDevice(
  context: PassContext,
  flows: readonly Flow[],
  layer: number,
  group: WeightGroup,
  choice: Choice,
  arrival: number | null,
  share: number,
): OpenTask {
  const [flow] = flows;
  const after = context.afterPrevious(flow, arrival);
  for (const { last } of flows) if (last !== flow.last) after.push(last);
  const rows = flows.reduce((sum, each) => sum + each.rows, 0);
  const actualRows = () => flows.reduce((sum, each) => sum + (choice.rowsOf(each) ?? 0), 0);
  const { stream, pass, phase } = context.request;
  const inPlace = stream.inPlace(phase, group);
  const shared = stream.shareOf(pass, group);
  const place = context.placeOf(group);
  const task = context.push(flow, 'expert', place, group.id, after, () => ({
    kind: 'expert',
    frames: flows.map(({ frame }) => frame),
    layer,
    rows,
    expert: choice.expert,
    weights:
      inPlace ?? expertWeights(shared?.device ?? context.layoutOf(group), stream.addressOf(pass, group)),
    width: shared?.deviceWidth,
  }));
  computes(task, rows, choice, share, actualRows);
  if (place !== 'device') {
    movesRows(task, context.costs.hiddenBytes);
    worksSideBySide(task, choice.costs, rows);
  }
  if (inPlace) readsExpertsOverLink(task, choice.costs, group.storedBytes);
  else task.broughtBy = arrival ?? staysThere;
  if (choice.isRouted) task.isIdle = () => actualRows() === 0 || choice.isForHost();
  return task;
}

/** HeteGen's split: the host computes its share of the same FFN beside the device. */
function shareWithHost(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
  choice: Choice,
  start: number,
  share: number,
): OpenTask {
  const { stream, pass } = context.request;
  const { frame } = flow;
  const { expert } = choice;
  const shared = stream.shareOf(pass, group);
  const staged = shared && stream.arrival(pass, group)?.load;
  const after = typeof staged === 'number' ? [start, staged] : [start];
  const onHost = context.push(flow, 'expert', 'host', group.id, after, () => {
    if (!shared) return { kind: 'imagined' };
    return {
      kind: 'host-expert',
      frame,
      layer,
      expert,
      indices: choice.indicesOf(flow),
      weights: shared.hostWeights(stream.stagedAddressOf(pass, group)),
      width: shared.hostWidth,
    };
  });
  computes(onHost, flow.rows, choice, share, () => choice.rowsOf(flow) ?? 0);
  onHost.broughtBy = staged ?? staysThere;
  const merge = context.push(flow, 'merge', 'device', `merge ${group.id}`, [flow.last, onHost.id], () => ({
    kind: 'merge',
    frame,
    layer,
    expert,
  }));
  if (shared)
    for (const task of [onHost, merge])
      task.isIdle = () => shared.hostWidth === 0 || choice.rowsOf(flow) === 0 || choice.isForHost();
  merge.bytes = flow.rows * context.costs.hiddenBytes;
  flow.last = merge.id;
  return merge;
}

/** The whole expert where its weights are, if few rows chose it. */
function expertOnHost(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
  choice: Choice,
  after: number[],
  arrival: number | null,
): OpenTask {
  const { stream, pass } = context.request;
  if (arrival !== null) after.push(arrival);
  const task = context.push(flow, 'expert', 'host', `${group.id} on host`, after, () => ({
    kind: 'host-expert',
    frame: flow.frame,
    layer,
    expert: choice.expert,
    indices: choice.indicesOf(flow),
    weights: storedWeights(context.layoutOf(group), stream.stagedAddressOf(pass, group)),
  }));
  computes(task, flow.rows, choice, 1, () => choice.rowsOf(flow) ?? 0);
  task.broughtBy = stream.arrival(pass, group)?.load ?? staysThere;
  task.isIdle = () => choice.rowsOf(flow) === 0 || !choice.isForHost();
  return task;
}

function mergeFromHost(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
  choice: Choice,
  onHost: number,
): OpenTask {
  const { expert } = choice;
  const after = context.afterPrevious(flow, onHost);
  const merge = context.push(flow, 'merge', 'device', `merge ${group.id}`, after, () => ({
    kind: 'merge',
    frame: flow.frame,
    layer,
    expert,
  }));
  merge.isIdle = () => choice.rowsOf(flow) === 0 || !choice.isForHost();
  merge.bytes = flow.rows * context.costs.hiddenBytes;
  flow.last = merge.id;
  flow.merge = merge.id;
  return merge;
}

/** Fills in a share of a group's arithmetic. */
function computes(
  task: OpenTask,
  rows: number,
  choice: Choice,
  share: number,
  actualRows: () => number,
): void {
  computesExperts(task, choice.costs, rows, share);
  if (choice.isRouted) task.actualRows = actualRows;
}
