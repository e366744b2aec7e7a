/**
 * HeteGen's balance: which share of a linear layer the host computes where its weights lie, while the rest crosses the
 * link and is computed on the device, so that both end together. Source: Zhao et al., arXiv 2403.01164, whose alpha is
 * the device's share: a host of infinite speed leaves it nothing.
 */

import { largest, smallest, sum } from '../extremes.js';
import type { CostModel } from '../machine/cost-model.js';
import { isImagined } from '../machine/formats.js';
import { computeLane, type MachineModel, type SheetRates, transferLane } from '../machine/machine-model.js';
import type { WeightGroup } from '../model/types.js';
import { kindOfHop, type LaneName, type TaskKind } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import { groupLayout } from './group-layout.js';
import { computesExperts, type LayerCosts, modelCosts, projectsAndMixes } from './layer-costs.js';
import type { MemoryPlan, ModelPlacement } from './memory-plan.js';
import type { OpenPolicy } from './policy.js';
import { openTask } from './task.js';
import { waysOfWeights } from './weight-way.js';

/** What of a group's products the host computes in decode, beside the device; in prefill nothing. */
export type HostShares = (group: WeightGroup) => number;

export type SharesByKind = Readonly<Record<'attention' | 'expert', number>>;

/** The mean of all layers' that do not stay on the device, for people. */
export function meanShares({ pinned, checkpoint }: ModelPlacement, shares: HostShares): SharesByKind {
  const meanOf = (groups: readonly WeightGroup[]) => {
    const coming = groups.filter(({ id }) => !pinned.has(id));
    return sum(coming.map(shares)) / Math.max(1, coming.length);
  };
  return {
    attention: meanOf(checkpoint.layers.map(({ attention }) => attention)),
    expert: meanOf(checkpoint.layers.flatMap(({ experts }) => experts)),
  };
}

/** The same share of every FFN, whatever it takes. */
export function givenShares({ hostShare }: Pick<OpenPolicy, 'hostShare'>): HostShares {
  return ({ kind }) => (kind === 'expert' ? hostShare : 0);
}

/** From the times that all of a layer takes on the host, and on its way to the device, each measured alone. */
export function measuredHostShare(hostSeconds: number, linkSeconds: number): number {
  const both = hostSeconds + linkSeconds;
  return both > 0 ? linkSeconds / both : 0;
}

/** As printed, with V_c, V_com and V_g: alpha = V_g V_com / (V_c V_g + V_c V_com + V_com V_g) is the device's. */
export function printedHostShare({ host, link, device }: SheetRates): number {
  return 1 - 1 / (1 + host / link + host / device);
}

/** What of a pass is shared: layers that stay on the device have nothing to gain. */
export interface BalanceRequest {
  readonly plan: MemoryPlan;
  readonly policy: OpenPolicy;
  readonly costs: CostModel;
  readonly rates: SheetRates;
}

/**
 * Every kind of layer's own balance on a machine known by its numbers. A layer crosses as fast as its slowest hop does,
 * where hops overlap, and else hop by hop.
 */
export function balancedShares({ plan, policy, costs, rates }: BalanceRequest): HostShares {
  const { layers } = modelCosts(plan.target);
  const known = new Map<string, number>();
  const measure = (group: WeightGroup): number => {
    if (policy.balance === 'printed') return printedHostShare(rates);
    return measuredHostShare(
      hostSeconds(costs, plan, policy, layers[group.layer], group),
      arrivalSeconds(costs, plan, policy, group),
    );
  };
  return (group) => {
    if (plan.target.pinned.has(group.id) || !isShared(policy, plan.target, group)) return 0;
    const key = `${layers[group.layer].kind} ${group.kind}`;
    const share = known.get(key) ?? measure(group);
    known.set(key, share);
    return share;
  };
}

/** Of a micro-batch in a pass, candidates included. */
export function decodeRows({ microBatch, speculation, candidates }: OpenPolicy): number {
  return microBatch * (speculation === 'none' ? 1 : candidates + 1);
}

/** Projections are shared where memory is only imagined, and the device computes all of the attention. */
function isShared(
  { attention, cache }: OpenPolicy,
  { formats }: ModelPlacement,
  { kind }: WeightGroup,
): boolean {
  return kind === 'expert' || (isImagined(formats) && attention === 'device' && cache === 'device');
}

/** What the data sheets say, or else what the lanes reach; of several hops the slowest. */
export function sheetRatesOf(machine: MachineModel, { routes }: Pick<MemoryPlan, 'routes'>): SheetRates {
  if (machine.sheet) return machine.sheet;
  const memoryRate = (memory: 'host' | 'device') =>
    computeLane(machine, routes.computing('expert', memory)).memoryBytesPerSecond;
  const hops = routes.way('host', 'device').map(({ lane }) => transferLane(machine, lane).bytesPerSecond);
  return { host: memoryRate('host'), link: smallest(hops), device: memoryRate('device') };
}

function hostSeconds(
  costs: CostModel,
  { routes }: MemoryPlan,
  policy: OpenPolicy,
  layer: LayerCosts,
  { kind }: WeightGroup,
): number {
  const isExpert = kind === 'expert';
  const work = taskOn(
    routes.computing(isExpert ? 'expert' : 'project', 'host'),
    isExpert ? 'expert' : 'project',
  );
  const rows = decodeRows(policy);
  work.rows = rows;
  work.productRows = rows;
  if (isExpert) computesExperts(work, layer, rows, 1);
  else projectsAndMixes(work, layer, rows);
  return costs.secondsOf(work);
}

function arrivalSeconds(costs: CostModel, plan: MemoryPlan, policy: OpenPolicy, group: WeightGroup): number {
  const { kept, layouts } = plan.target;
  const ways = waysOfWeights(plan, policy);
  const way = ways[kept.has(group.id) ? 'kept' : (group.kind as 'attention' | 'expert')];
  const hops = way.map(({ lane, from }) => {
    const work = taskOn(lane, kindOfHop(from));
    work.bytes = groupLayout(layouts, group).group.storedBytes;
    return costs.secondsOf(work);
  });
  return policy.streaming === 'on-demand' ? sum(hops) : largest([0, ...hops]);
}

function taskOn(lane: LaneName, kind: TaskKind) {
  const phase: PhaseName = 'decode';
  const head = { id: -1, lane, kind, name: 'alone', phase, pass: -1, batch: -1, priority: 0, rows: 0 };
  return openTask(head, [], () => ({ kind: 'imagined' }));
}
