/** What one layer takes in a pass of equal frames, lane by lane, attention and FFN each by itself. */

import { largest } from '../extremes.js';
import {
  computesExperts,
  type LayerCosts,
  mixes,
  projects,
  projectsAndMixes,
  scoreFlops,
  scores,
} from '../schedule/layer-costs.js';
import type { OpenPolicy } from '../schedule/policy.js';
import type { PhaseName } from '../trace/types.js';
import type { TaskSeconds } from './task-seconds.js';

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

export interface LayerSituation {
  readonly phase: PhaseName;
  readonly policy: OpenPolicy;
  readonly costs: LayerCosts;
  readonly hiddenBytes: number;
  /** Whether a cache in host memory crosses the link to be used on the device. */
  readonly crosses: boolean;
}

/** Seconds of a part of the layer. */
interface PartSeconds {
  /** All frames. */
  readonly device: number;
  readonly host: number;
  readonly link: number;
  /** One frame, from its start to its end. */
  readonly chain: number;
  /** Tasks of all frames on the device that the target's chain waits for, one after the other. */
  readonly chainTasks: number;
}

export interface LayerSeconds extends PartSeconds {
  /** Of the chain, the FFN. */
  readonly ffn: number;
  /** Share of the experts whose weights have to come. */
  readonly usedShare: number;
}

export function layerSeconds(
  tasks: TaskSeconds,
  situation: LayerSituation,
  frames: readonly FrameWork[],
): LayerSeconds {
  const used = expertUse(situation, frames);
  const parts = frames.map((frame, index) => ({
    count: frame.count,
    attention: attentionSeconds(tasks, situation, frame, index),
    ffn: used ? routedSeconds(tasks, situation, frame, used) : ffnSeconds(tasks, situation, frame),
  }));
  const total = (pick: (part: (typeof parts)[number]) => number) =>
    parts.reduce((sum, part) => sum + pick(part), 0);
  const device = total(({ attention, ffn }) => attention.device + ffn.device);
  const host = total(({ attention, ffn }) => attention.host + ffn.host);
  const longestFfn = largest(parts.map(({ ffn }) => ffn.chain));
  return {
    ...{ device, host, link: total(({ attention }) => attention.link) },
    chainTasks: total(({ attention, ffn }) => attention.chainTasks + ffn.chainTasks),
    chain: Math.max(largest(parts.map(({ attention, ffn }) => attention.chain + ffn.chain)), device, host),
    ffn: Math.min(
      total(({ count, ffn }) => count * ffn.chain),
      Math.max(longestFfn, device),
    ),
    usedShare: used ? used.device : 1,
  };
}

function laneOfAttention({ policy, phase }: LayerSituation, frame: number): 'host' | 'device' {
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
  const lane = laneOfAttention(situation, index);
  const isInOne = lane === 'device' || (policy.projections === 'host' && phase === 'decode');
  return isInOne
    ? attentionInOne(tasks, situation, frame, lane)
    : attentionAcrossLanes(tasks, situation, frame);
}

/** Projections, scores and router in one task, and the cache's way there and back. */
function attentionInOne(
  tasks: TaskSeconds,
  { costs, crosses }: LayerSituation,
  { count, rows, cache }: FrameWork,
  lane: 'host' | 'device',
): PartSeconds {
  const { fetched, ...load } = loadOf(costs, cache[costs.kind]);
  const attend = tasks.of(lane, 'attention', rows, (work) => {
    scores(work, load);
    projectsAndMixes(work, costs, rows);
  });
  const fetch =
    crosses && fetched > 0 ? tasks.moving('link', 'fetch', fetched * costs.cacheBytesPerToken) : 0;
  const store = crosses ? tasks.moving('link', 'store', rows * costs.cacheBytesPerToken) : 0;
  return {
    device: lane === 'device' ? count * attend : 0,
    host: lane === 'host' ? count * attend : 0,
    link: lane === 'device' ? count * fetch + count * store : 0,
    chain: attend + tasks.latencyOf(lane, 'attention'),
    chainTasks: 0,
  };
}

/** The host scores, where the cache is; the device projects, where the weights are. */
function attentionAcrossLanes(
  tasks: TaskSeconds,
  { costs }: LayerSituation,
  { count, rows, cache }: FrameWork,
): PartSeconds {
  const load = loadOf(costs, cache[costs.kind]);
  const project = tasks.of('device', 'project', rows, (work) => projects(work, costs, rows));
  const attend = tasks.of('host', 'attention', rows, (work) => scores(work, load));
  const mix = tasks.of('device', 'mix', rows, (work) => mixes(work, costs, rows));
  const latency =
    tasks.latencyOf('device', 'project') +
    tasks.latencyOf('host', 'attention') +
    tasks.latencyOf('device', 'mix');
  return {
    device: count * (project + mix),
    host: count * attend,
    link: 0,
    chain: project + attend + mix + latency,
    chainTasks: 2 * count,
  };
}

function loadOf({ attention, cacheBytesPerToken }: LayerCosts, use: CacheUse) {
  return {
    cacheBytes: use.cacheTokens * cacheBytesPerToken,
    scoreFlops: scoreFlops(attention, use.scores),
    fetched: use.fetched,
  };
}

/** All experts of the layer, or the dense FFN; the host may compute its share of each beside the device. */
function ffnSeconds(
  tasks: TaskSeconds,
  { costs, policy, phase, hiddenBytes }: LayerSituation,
  { count, rows }: FrameWork,
): PartSeconds {
  const numGroups = groupsOf(costs);
  const hostShare = phase === 'decode' ? policy.hostShare : 0;
  const computing = (lane: 'host' | 'device', share: number) =>
    numGroups * tasks.of(lane, 'expert', rows, (work) => computesExperts(work, costs, rows, share));
  const onDevice = computing('device', 1 - hostShare);
  const shared = hostShare > 0 ? computing('host', hostShare) : 0;
  const merge = hostShare > 0 ? numGroups * tasks.moving('device', 'merge', rows * hiddenBytes, rows) : 0;
  return {
    device: count * onDevice + count * merge,
    host: count * shared,
    link: 0,
    chain: Math.max(onDevice, shared) + merge + numGroups * tasks.latencyOf('device', 'expert'),
    chainTasks: count * numGroups,
  };
}

/** The experts that are chosen, where the router's word is waited for. */
function routedSeconds(
  tasks: TaskSeconds,
  { costs }: LayerSituation,
  { count, rows }: FrameWork,
  used: ExpertUse,
): PartSeconds {
  const numGroups = groupsOf(costs);
  // Experts that are used get more rows than the average over all experts, which counts the unused ones.
  const computing = (lane: 'host' | 'device', rowShare: number) =>
    tasks.of(lane, 'expert', rows, (work) => computesExperts(work, costs, rows * rowShare, 1));
  const onDevice =
    numGroups * used.device * computing('device', used.deviceRows / Math.max(used.device, 1e-9));
  const onHost = used.host > 0 ? numGroups * used.host * computing('host', used.hostRows / used.host) : 0;
  return {
    device: count * onDevice,
    host: count * onHost,
    link: 0,
    chain: onDevice + onHost + numGroups * tasks.latencyOf('device', 'expert'),
    chainTasks: count * numGroups,
  };
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

/** null where all experts are computed, or lie in one group. */
function expertUse({ costs, policy }: LayerSituation, frames: readonly FrameWork[]): ExpertUse | null {
  if (policy.experts !== 'routed' || groupsOf(costs) === 1) return null;
  const rows = frames.reduce((sum, frame) => sum + frame.count * frame.rows, 0);
  const p = costs.expertsPerToken / costs.numExperts;
  let chance = (1 - p) ** rows;
  let host = 0;
  let hostRows = 0;
  const unused = chance;
  for (let k = 1; k <= Math.min(policy.hostExpertRows, rows); k += 1) {
    chance *= ((rows - k + 1) / k) * (p / (1 - p));
    host += chance;
    hostRows += (chance * k) / (rows * p);
  }
  return { device: Math.max(0, 1 - unused - host), deviceRows: Math.max(0, 1 - hostRows), host, hostRows };
}
