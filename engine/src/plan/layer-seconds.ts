/** What one layer takes in a pass of equal frames, lane by lane, attention and FFN each by itself. */

import { followsRouters } from '../schedule/expert-cache.js';
import {
  computesExperts,
  type LayerCosts,
  mixes,
  projectionShare,
  projects,
  projectsAndMixes,
  readsExpertsOverLink,
  readsOverLink,
  scoreFlops,
  scores,
} from '../schedule/layer-costs.js';
import type { OpenPolicy } from '../schedule/policy.js';
import type { PhaseName } from '../trace/types.js';
import type { Popularity } from './popularity.js';
import { type Draft, type LaneSeconds, mostOf, type TaskSeconds } from './task-seconds.js';

/** What a frame asks of the cache in layers of one kind. */
export interface CacheUse {
  /** Keys read, and pairs of a new token and a key it sees. */
  readonly cacheTokens: number;
  readonly scores: number;
  /** Tokens of the cache that cross the link before. */
  readonly fetched: number;
}

/** Sequences that go through a pass together, on average; `count` equal frames. */
export interface FrameWork {
  readonly count: number;
  readonly rows: number;
  readonly headRows: number;
  /** By kind of layer. */
  readonly cache: readonly CacheUse[];
}

/** Stored bytes that kernels read in host memory. */
export interface ReadInPlace {
  /** Of the layer's attention weights; 0 where they are copied. */
  readonly attentionBytes: number;
  /** Of one of its experts' groups, and the share of them that are. */
  readonly expertBytes: number;
  readonly expertShare: number;
}

export interface LayerSituation {
  readonly phase: PhaseName;
  readonly policy: OpenPolicy;
  readonly costs: LayerCosts;
  readonly hiddenBytes: number;
  /** Whether a cache in host memory crosses the link to be used on the device. */
  readonly crosses: boolean;
  readonly popularity: Popularity;
  readonly inPlace: ReadInPlace;
  /** Share of the experts with which the host may compute, where few rows choose them. */
  readonly hostable: number;
}

/** Seconds of a part of the layer, for one frame. */
interface PartSeconds {
  readonly lanes: LaneSeconds;
  /** From its start to its end. */
  readonly chain: number;
  /** Tasks on the device that the target's chain waits for, one after the other. */
  readonly chainTasks: number;
}

/** The same for all frames. */
export interface LayerSeconds extends PartSeconds {
  /** Of the chain, the FFN. */
  readonly ffn: number;
  /** Share of the experts whose weights have to come to the device, and of those that the host computes. */
  readonly usedShare: number;
  readonly hostShare: number;
}

export function layerSeconds(
  tasks: TaskSeconds,
  situation: LayerSituation,
  frames: readonly FrameWork[],
): LayerSeconds {
  if (situation.policy.coalesceExperts === 'yes' && countOf(frames) > 1)
    return coalescedSeconds(tasks, situation, frames);
  const used = expertUse(situation, frames);
  const lanes = tasks.none();
  let [chainTasks, ffnChain, longestChain, longestFfn] = [0, 0, 0, 0];
  for (const [index, frame] of frames.entries()) {
    const { count } = frame;
    const attention = attentionSeconds(tasks, situation, frame, index);
    const ffn = used ? routedSeconds(tasks, situation, frame, used) : ffnSeconds(tasks, situation, frame);
    for (const lane of tasks.lanes) lanes[lane] += count * (attention.lanes[lane] + ffn.lanes[lane]);
    chainTasks += count * (attention.chainTasks + ffn.chainTasks);
    ffnChain += count * ffn.chain;
    longestChain = Math.max(longestChain, attention.chain + ffn.chain);
    longestFfn = Math.max(longestFfn, ffn.chain);
  }
  return {
    lanes,
    chainTasks,
    chain: Math.max(longestChain, mostOf(lanes, tasks.computing)),
    ffn: Math.min(ffnChain, Math.max(longestFfn, tasks.busiestOnDevice(lanes))),
    usedShare: used ? used.device : 1,
    hostShare: used ? used.host : 0,
  };
}

const countOf = (frames: readonly FrameWork[]) => frames.reduce((sum, { count }) => sum + count, 0);

/** Attention frame by frame, then the FFN of all rows at once. */
function coalescedSeconds(
  tasks: TaskSeconds,
  situation: LayerSituation,
  frames: readonly FrameWork[],
): LayerSeconds {
  const used = expertUse(situation, frames);
  const rows = frames.reduce((sum, frame) => sum + frame.count * frame.rows, 0);
  const whole = { ...frames[0], count: 1, rows };
  const ffn = used ? routedSeconds(tasks, situation, whole, used) : ffnSeconds(tasks, situation, whole);
  const lanes = tasks.none();
  let [longest, chainTasks] = [0, ffn.chainTasks];
  for (const [index, frame] of frames.entries()) {
    const attention = attentionSeconds(tasks, situation, frame, index);
    for (const lane of tasks.lanes) lanes[lane] += frame.count * attention.lanes[lane];
    chainTasks += frame.count * attention.chainTasks;
    longest = Math.max(longest, attention.chain);
  }
  const attending = Math.max(longest, mostOf(lanes, tasks.computing));
  for (const lane of tasks.lanes) lanes[lane] += ffn.lanes[lane];
  return {
    lanes,
    chainTasks,
    ffn: ffn.chain,
    usedShare: used ? used.device : 1,
    hostShare: used ? used.host : 0,
    chain: Math.max(attending + ffn.chain, mostOf(lanes, tasks.computing)),
  };
}

function placeOfAttention({ policy, phase }: LayerSituation, frame: number): 'host' | 'device' {
  if (phase === 'prefill') return policy.prefillAttention;
  const split = frame === 0 ? 'device' : 'host';
  return policy.attention === 'split' ? split : policy.attention;
}

function attentionSeconds(
  tasks: TaskSeconds,
  situation: LayerSituation,
  frame: FrameWork,
  index: number,
): PartSeconds {
  const { policy, phase } = situation;
  const place = placeOfAttention(situation, index);
  const isInOne = place === 'device' || (policy.projections === 'host' && phase === 'decode');
  return isInOne
    ? attentionInOne(tasks, situation, frame, place)
    : attentionAcrossLanes(tasks, situation, frame);
}

/** Projections, scores and router in one task, and the cache's way there and back. */
function attentionInOne(
  tasks: TaskSeconds,
  { costs, crosses, inPlace }: LayerSituation,
  { rows, cache }: FrameWork,
  place: 'host' | 'device',
): PartSeconds {
  const lanes = tasks.none();
  const { fetched, ...load } = loadOf(costs, cache[costs.kind]);
  const attend = tasks.compute(lanes, 'attention', place, rows, (work) => {
    scores(work, load);
    projectsAndMixes(work, costs, rows);
    if (place === 'device') readsOverLink(work, inPlace.attentionBytes);
  });
  if (crosses && place === 'device') {
    if (fetched > 0) tasks.cross(lanes, 'fetch', fetched * costs.cacheBytesPerToken);
    tasks.cross(lanes, 'store', rows * costs.cacheBytesPerToken);
  }
  return { lanes, chain: attend + tasks.latencyOf('attention', place), chainTasks: 0 };
}

/** The host scores, where the cache is; the device projects, where the weights are. */
function attentionAcrossLanes(
  tasks: TaskSeconds,
  { costs, inPlace }: LayerSituation,
  { rows, cache }: FrameWork,
): PartSeconds {
  const lanes = tasks.none();
  const share = projectionShare(costs);
  const load = loadOf(costs, cache[costs.kind]);
  const project = tasks.compute(lanes, 'project', 'device', rows, (work) => {
    projects(work, costs, rows);
    readsOverLink(work, share * inPlace.attentionBytes);
  });
  const attend = tasks.compute(lanes, 'attention', 'host', rows, (work) => scores(work, load));
  const mix = tasks.compute(lanes, 'mix', 'device', rows, (work) => {
    mixes(work, costs, rows);
    readsOverLink(work, (1 - share) * inPlace.attentionBytes);
  });
  const latency =
    tasks.latencyOf('project', 'device') +
    tasks.latencyOf('attention', 'host') +
    tasks.latencyOf('mix', 'device') +
    tasks.wakeOf('attention', 'host') +
    tasks.wakeOf('mix', 'device');
  return { lanes, chain: project + attend + mix + latency, chainTasks: 2 };
}

function loadOf({ attention, cacheBytesPerToken }: LayerCosts, use: CacheUse) {
  return {
    cacheBytes: use.cacheTokens * cacheBytesPerToken,
    scoreFlops: scoreFlops(attention, use.scores),
    fetched: use.fetched,
  };
}

/** All experts of the layer that any row chose, or the dense FFN; the host may compute its share of each beside the device. */
function ffnSeconds(tasks: TaskSeconds, situation: LayerSituation, { rows }: FrameWork): PartSeconds {
  const { costs, policy, phase, hiddenBytes } = situation;
  const lanes = tasks.none();
  const used = shareUsed(situation, rows);
  const numGroups = groupsOf(costs) * used;
  const hostShare = phase === 'decode' ? policy.hostShare : 0;
  const computing = (share: number) => (work: Draft) => computesExperts(work, costs, rows / used, share);
  const onDevice = expertsOnDevice(tasks, lanes, situation, rows, computing(1 - hostShare), numGroups);
  const shared =
    hostShare > 0 ? tasks.compute(lanes, 'expert', 'host', rows, computing(hostShare), numGroups) : 0;
  const merges = (work: Draft) => {
    work.bytes = rows * hiddenBytes;
  };
  const merge = hostShare > 0 ? tasks.compute(lanes, 'merge', 'device', rows, merges, numGroups) : 0;
  // Every expert waits for the one before it, so that the host begins with each anew, and the device with what it made.
  const wakes = hostShare > 0 ? tasks.wakeOf('expert', 'host') + tasks.wakeOf('merge', 'device') : 0;
  const latency = numGroups * tasks.latencyOf('expert', 'device');
  const chain = Math.max(onDevice, shared + numGroups * wakes) + merge + latency;
  return { lanes, chain, chainTasks: numGroups };
}

/** The experts that are chosen, where the router's word is waited for. */
function routedSeconds(
  tasks: TaskSeconds,
  situation: LayerSituation,
  { rows }: FrameWork,
  used: ExpertUse,
): PartSeconds {
  const { costs, policy } = situation;
  const lanes = tasks.none();
  const numGroups = groupsOf(costs);
  // Experts that are used get more rows than the average over all experts, which counts the unused ones.
  const fillWith = (rowShare: number) => (work: Draft) => computesExperts(work, costs, rows * rowShare, 1);
  const rowsOfUsed = fillWith(used.deviceRows / Math.max(used.device, 1e-9));
  const onDevice = expertsOnDevice(tasks, lanes, situation, rows, rowsOfUsed, numGroups * used.device);
  const rowsOnHost = fillWith(used.hostRows / used.host);
  const onHost =
    used.host > 0 ? tasks.compute(lanes, 'expert', 'host', rows, rowsOnHost, numGroups * used.host) : 0;
  const computing = followsRouters(policy) ? Math.max(onDevice, onHost) : onDevice + onHost;
  const chain = computing + numGroups * tasks.latencyOf('expert', 'device');
  return { lanes, chain, chainTasks: numGroups };
}

/** Some of them read in host memory, where they are kept. */
function expertsOnDevice(
  tasks: TaskSeconds,
  lanes: LaneSeconds,
  { costs, inPlace: { expertShare, expertBytes } }: LayerSituation,
  rows: number,
  fill: (work: Draft) => void,
  times: number,
): number {
  const seconds = tasks.compute(lanes, 'expert', 'device', rows, fill, times * (1 - expertShare));
  if (expertShare === 0) return seconds;
  const fillInPlace = (work: Draft) => {
    fill(work);
    readsExpertsOverLink(work, costs, expertBytes);
  };
  return seconds + tasks.compute(lanes, 'expert', 'device', rows, fillInPlace, times * expertShare);
}

function groupsOf({ numExperts, expertsPerGroup }: LayerCosts): number {
  return numExperts / expertsPerGroup;
}

/** Shares of the experts, and of all rows, that device and host compute. */
interface ExpertUse {
  readonly device: number;
  readonly deviceRows: number;
  readonly host: number;
  readonly hostRows: number;
}

/** Of the experts, those that any of the rows chose; 1 where they lie in one group. */
function shareUsed({ costs, popularity }: LayerSituation, rows: number): number {
  if (groupsOf(costs) === 1) return 1;
  let used = 0;
  for (const { share, chance } of popularity) used += share * (1 - (1 - chance) ** rows);
  return Math.max(used, 1e-9);
}

/** null where all experts are computed, or lie in one group. */
function expertUse(
  { costs, policy, popularity, hostable }: LayerSituation,
  frames: readonly FrameWork[],
): ExpertUse | null {
  if (policy.experts !== 'routed' || groupsOf(costs) === 1) return null;
  const rows = frames.reduce((sum, frame) => sum + frame.count * frame.rows, 0);
  const mean = costs.expertsPerToken / costs.numExperts;
  const use = { device: 0, deviceRows: 1, host: 0, hostRows: 0 };
  for (const { share, chance: p } of popularity) {
    let chance = (1 - p) ** rows;
    let used = 1 - chance;
    for (let k = 1; k <= Math.min(policy.hostExpertRows, rows); k += 1) {
      chance *= ((rows - k + 1) / k) * (p / (1 - p));
      used -= hostable * chance;
      use.host += share * hostable * chance;
      use.hostRows += (share * hostable * chance * k) / (rows * mean);
    }
    use.device += share * Math.max(0, used);
  }
  use.deviceRows = Math.max(0, 1 - use.hostRows);
  return use;
}
