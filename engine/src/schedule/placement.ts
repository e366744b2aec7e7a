/**
 * Where everything lives: a complete memory plan for every pool, made and checked against the budgets before the
 * first byte moves. What is left over keeps layers: device memory first (pinned), then host memory (kept).
 */

import { UserError } from '@specoffload/input';
import { f32 } from '@specoffload/native';
import { type BudgetsByMemory, budgetsByMemory, type MemoryLimits } from '../machine/budgets.js';
import { type Formats, isKept, localFormats } from '../machine/formats.js';
import { formatMegabytes } from '../machine/pool.js';
import type { Checkpoint } from '../model/types.js';
import { localTopology, type MemoryName, routesOf } from '../topology/topology.js';
import { layersBeside, pickForCrossbars } from './crossbars.js';
import type { Drafter } from './drafter.js';
import { keepsExperts } from './expert-cache.js';
import { layOutGroups } from './group-layout.js';
import type { MemoryDemand, MemoryPlan, PlanRequest } from './memory-plan.js';
import type { OpenPolicy } from './policy.js';
import { bufferLabel, layOutPools } from './pool-plan.js';
import { keptBytes, pickKept, pickPinned, pinnedBytes } from './resident-layers.js';
import { noTensors, pickTensors } from './resident-tensors.js';
import { assertCanShare, sharesExperts } from './shared-experts.js';

/**
 * Plans all pools.
 * @throws UserError when a budget is too small, naming the smallest that would do.
 */
export function planMemory(
  target: Checkpoint,
  drafter: Drafter | null,
  demand: MemoryDemand,
  budgets: MemoryLimits,
  policy: OpenPolicy,
  formats: Formats = localFormats,
): MemoryPlan {
  const held = pickForCrossbars(target, drafter, policy, budgets);
  const layers = layersBeside(target, held);
  const numLayers = layers.length;
  const routes = routesOf(budgets.lanes ?? localTopology.lanes);
  const allowed = budgetsByMemory(budgets);
  const layouts = layOutGroups(target, formats);
  const leastPinned = drafter?.leastPinned?.(policy) ?? 0;
  const request: PlanRequest = {
    pinsEnds: leastPinned > 0,
    target,
    demand,
    policy,
    formats,
    routes,
    granularityBytes: budgets.granularityBytes ?? {},
    held,
    layers,
    memories: [...allowed.keys()],
    placeDraft:
      drafter?.reserve({
        policy,
        demand,
        formats,
        routes,
        held,
        cacheFactor: budgets.draftCacheFactor ?? 1,
      }) ?? null,
    lockedLayers: budgets.hasPageCache
      ? Math.ceil(policy.pageLocked * target.layers.length)
      : target.layers.length,
    layouts,
    cacheFactor: budgets.deviceCacheFactor ?? 1,
    queueBytes: queueBytes(layouts, formats),
    tensors: noTensors,
  };
  const cached = { cachedOnDevice: policy.cachedOnDevice ?? 0, cachedOnHost: policy.cachedOnHost ?? 0 };
  const laidOut = new Map<string, MemoryPlan>();
  const layOut = (prefetchDepth: number, pinnedLayers: number, keptLayers: number) => {
    const key = `${prefetchDepth} ${pinnedLayers} ${keptLayers}`;
    const plan =
      laidOut.get(key) ?? layOutPools(request, { prefetchDepth, pinnedLayers, keptLayers, ...cached });
    laidOut.set(key, plan);
    return plan;
  };
  assertPinned(policy.pinnedLayers, leastPinned, target);
  if (sharesExperts(request)) assertCanShare(target, policy);
  const pinnedWish = Math.min(policy.pinnedLayers ?? leastPinned, numLayers);
  const keptWish = Math.min(policy.keptLayers ?? 0, numLayers - pinnedWish);
  const prefetchDepth =
    policy.prefetchDepth ?? deepestAffordable((depth) => layOut(depth, pinnedWish, keptWish), allowed);
  const wished = layOut(prefetchDepth, pinnedWish, keptWish);
  assertFits(wished, allowed, request, () => layOut(Math.min(prefetchDepth, 1), leastPinned, 0));

  if (policy.residents === 'tensors') {
    const leftIn = (name: MemoryName, bytes: number) => bytes - wished.pools[name].totalBytes;
    const tensors = pickTensors(request, wished, {
      device: leftIn('device', budgets.deviceBytes),
      host: leftIn('host', budgets.hostBytes),
    });
    const others = { ...request, tensors };
    const { pinnedLayers, keptLayers } = wished;
    return keepsExperts(policy)
      ? withCache(others, wished, allowed)
      : layOutPools(others, { prefetchDepth, pinnedLayers, keptLayers, ...cached });
  }
  if (keepsExperts(policy)) return withCache(request, wished, allowed);
  const pinnedLayers =
    policy.pinnedLayers ??
    (leastPinned === 0
      ? mostThatFit(numLayers, budgets.deviceBytes - wished.pools.device.totalBytes, (n) =>
          pinnedBytes(request, pickPinned(request, n)),
        )
      : // A drafter that computes with them needs more for each.
        largestWhere(numLayers, (n) =>
          fits(layOut(prefetchDepth, Math.max(n, leastPinned), keptWish), allowed),
        ));
  const pinned = pickPinned(request, Math.min(pinnedLayers, numLayers));
  const keptLayers =
    policy.keptLayers ?? mostKept(request, pinned, budgets.hostBytes - wished.pools.host.totalBytes);
  return layOut(prefetchDepth, pinned.size, Math.min(keptLayers, numLayers - pinned.size));
}

/** What is left keeps single experts in place of layers: as many as fit, first on the device. */
function withCache(request: PlanRequest, wished: MemoryPlan, allowed: BudgetsByMemory): MemoryPlan {
  const { policy, target } = request;
  const { prefetchDepth, pinnedLayers, keptLayers } = wished;
  const numExperts = (held: ReadonlyMap<string, unknown>[]) =>
    target.layers.flatMap(({ experts }) => experts).filter(({ id }) => !held.some((all) => all.has(id)))
      .length;
  let { cachedOnDevice, cachedOnHost } = wished;
  const layOut = () =>
    layOutPools(request, { prefetchDepth, pinnedLayers, keptLayers, cachedOnDevice, cachedOnHost });
  const { pinned, kept } = wished.target;
  if (policy.cachedOnDevice === null)
    cachedOnDevice = largestWhere(numExperts([pinned]), (n) => {
      cachedOnDevice = n;
      return fits(layOut(), allowed);
    });
  if (policy.cachedOnHost === null)
    cachedOnHost = largestWhere(numExperts([pinned, kept]), (n) => {
      cachedOnHost = n;
      return fits(layOut(), allowed);
    });
  return layOut();
}

/** Their rings, and the largest tensor that is decoded on its way because no kernel reads it as stored. */
function queueBytes(layouts: PlanRequest['layouts'], formats: Formats): number {
  const { hostExchangeBytes } = formats;
  if (hostExchangeBytes === undefined) return 0;
  let most = 0;
  for (const { group, pieces } of layouts.values()) {
    if (group.kind === 'embedding') continue; // rows of it are decoded, few at a time
    for (const piece of pieces) if (!isKept(formats, piece)) most = Math.max(most, f32.bytes(piece.count));
  }
  return hostExchangeBytes + most;
}

/**
 * How far to read ahead where nobody has said: up to 8 groups, as long as the buffers take no more than a third of
 * any budget. More smooths the lanes' unequal steps, but leaves less room for layers that stay: on the main job 8
 * took 12 % off serial's decode time against 4, and 16 gained nothing more.
 */
function deepestAffordable(layOut: (depth: number) => MemoryPlan, allowed: BudgetsByMemory): number {
  const isAffordable = (depth: number) => {
    const { pools } = layOut(depth);
    return [...allowed].every(([name, budgetBytes]) => {
      const bufferBytes = pools[name].bytesOf(bufferLabel(name));
      return pools[name].totalBytes <= budgetBytes && bufferBytes <= budgetBytes / 3;
    });
  };
  // Each answer is a whole layout: most often there is room for one group or for all.
  if (!isAffordable(2)) return 1;
  return isAffordable(deepest) ? deepest : largestWhere(deepest - 1, isAffordable);
}

const deepest = 8;

/** @throws UserError when there are fewer than the drafter computes with. */
function assertPinned(pinnedLayers: number | null, least: number, { name, layers }: Checkpoint): void {
  if (least > layers.length)
    throw new UserError(`invalid draftLayers: ${least}; ${name} has ${layers.length} layers`);
  if (pinnedLayers !== null && pinnedLayers < least)
    throw new UserError(
      `invalid pinnedLayers: ${pinnedLayers}; the drafter computes with layers of the target that stay on the device: expected at least ${least}, or another drafter`,
    );
}

function fits({ pools }: MemoryPlan, allowed: BudgetsByMemory): boolean {
  return [...allowed].every(([name, budgetBytes]) => pools[name].totalBytes <= budgetBytes);
}

/** @param layOutSmallest what would do, asked where the plan does not */
function assertFits(
  { pools }: MemoryPlan,
  allowed: BudgetsByMemory,
  { target: { layers }, demand: { sequenceTokens }, policy }: PlanRequest,
  layOutSmallest: () => MemoryPlan,
): void {
  const isOneByOne = sequenceTokens.every(({ length }) => length === 1);
  for (const [name, budgetBytes] of allowed) {
    if (pools[name].totalBytes <= budgetBytes) continue;
    const smallest = layOutSmallest();
    const least = smallest.pools[name].totalBytes;
    const remedy =
      least <= budgetBytes
        ? `${lessThan(policy, layers.length)}: the smallest budget for these batches is ${formatMegabytes(least)}`
        : `raise it to at least ${formatMegabytes(least)} (with prefetchDepth ${smallest.prefetchDepth}), or use ${isOneByOne ? 'a shorter prompt or fewer new tokens' : 'smaller batches'}`;
    pools[name].assertFits(budgetBytes, remedy);
  }
}

/** What to ask for less of, among what is asked for. */
function lessThan({ prefetchDepth, pinnedLayers, keptLayers }: OpenPolicy, numLayers: number): string {
  // The wish of a strategy, too, whose word for all is more than any model has.
  if (pinnedLayers !== null && pinnedLayers > numLayers)
    return `all ${numLayers} layers are to stay on the device; raise it, or set pinnedLayers to fewer`;
  const asked = Object.entries({ prefetchDepth, pinnedLayers, keptLayers })
    .filter(([, value]) => value !== null)
    .map(([name]) => name);
  return `lower ${asked.join(' or ')}`;
}

/** As many layers as fit; of those in the page cache all or none. */
function mostKept(request: PlanRequest, pinned: ReadonlySet<number>, leftBytes: number): number {
  const { layers, lockedLayers } = request;
  const others = layers.filter((layer) => !pinned.has(layer));
  const fitting = mostThatFit(others.length, leftBytes, (n) =>
    keptBytes(request, pickKept(request, pinned, n)),
  );
  if (fitting === others.length) return fitting;
  return Math.min(fitting, others.filter((layer) => layer < lockedLayers).length);
}

/** Layers up to `most` whose bytes fit into what is left of a budget; they grow with the layers. */
function mostThatFit(most: number, leftBytes: number, bytesOf: (numLayers: number) => number): number {
  return largestWhere(most, (numLayers) => bytesOf(numLayers) <= leftBytes);
}

/** The largest n up to `most` that `holds` is true of, as of all below it; 0 where there is none. */
function largestWhere(most: number, holds: (n: number) => boolean): number {
  let low = 0;
  let high = most;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
