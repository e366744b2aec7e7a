/**
 * A policy's time without simulating it: totals per pass and lane from the cost model, and how they overlap. Good for
 * ranking thousands of policies; what is reported comes from the simulator.
 *
 * In seconds, for one round over a batch of which `n` sequences are still there (see lifetimes.ts):
 *
 *   link(round)    = sum of uploads of groups not on the device + cache that crosses;   disk(round) likewise
 *   chain(layer)   = project + host attention + mix + FFN; with several frames at most max(device, host, one frame's)
 *   pass           = max(link, disk, layers x chain + embed + head)       weights come ahead
 *                  = link + layers x chain                                 weights come on demand
 *                  = layers x (max(attention, link per layer) + FFN)       prefetchDepth 0
 *   draft          = sum over draft batches of (first step + (candidates - 1) steps)
 *   serial         = draft + pass, less what link and disk bring ahead into their buffers meanwhile
 *   interleaved    = max(pass, draft + what the pass takes of the device)
 *   ahead          = share that did not hold x draft + max(pass, draft of one more + the pass's device time)
 *   seconds        = prefill + sum over rounds of chance(anyone is there) x round
 *
 * `boundSeconds`: in each phase some lane must do all its work, so no order of tasks is faster than the busiest lane.
 * It is a bound for the average course of acceptance: a draw may be some percent luckier, most with few sequences.
 */

import { largest } from '../extremes.js';
import { type CostModel, createCostModel, type PricedTask } from '../machine/cost-model.js';
import { computeLane, type MachineModel } from '../machine/machine-model.js';
import { countHeads } from '../model/spec.js';
import type { WeightGroup } from '../model/types.js';
import type { Placed } from '../run/prepare.js';
import { draftSizes, headWeightBytes } from '../schedule/draft-round.js';
import { countScores } from '../schedule/feeds.js';
import type { GroupLayout } from '../schedule/group-layout.js';
import { type ModelCosts, modelCosts, scoreFlops } from '../schedule/layer-costs.js';
import type { ModelPlacement } from '../schedule/memory-plan.js';
import { planMicroBatches } from '../schedule/resolve.js';
import { usesDraft } from '../schedule/strategies/index.js';
import type { Acceptance } from '../speculate/acceptance.js';
import type { LaneName, PhaseName, TaskKind } from '../trace/types.js';
import { chanceThatAheadHolds, type LifetimeRound, lifetimes } from './lifetimes.js';

export interface ClosedFormRequest {
  readonly prepared: Placed;
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
  readonly machine: MachineModel;
  readonly acceptance: Acceptance | null;
}

/** The lanes of machines that can be estimated: those of the local one. */
const estimatedLanes = ['disk', 'link', 'host', 'device'] as const;

export type LaneSeconds = Record<(typeof estimatedLanes)[number], number>;

export interface ClosedForm {
  /** Expected. */
  readonly seconds: number;
  /** No order of these tasks takes less. */
  readonly boundSeconds: number;
  readonly newTokens: number;
  readonly phases: Readonly<
    Record<PhaseName, { readonly seconds: number; readonly lanes: Readonly<LaneSeconds> }>
  >;
}

export function closedForm(request: ClosedFormRequest): ClosedForm {
  return new Estimator(request).estimate();
}

/** Sequences that go through a pass together, on average; `count` equal frames. */
interface FrameWork {
  readonly count: number;
  readonly rows: number;
  /** Keys read, and pairs of a new token and a key it sees. */
  readonly cacheTokens: number;
  readonly scores: number;
  /** Tokens of the cache that cross the link before and after. */
  readonly fetched: number;
  readonly headRows: number;
}

/** What a pass asks of the lanes, and how long it takes by itself. */
interface PassCost {
  readonly lanes: LaneSeconds;
  readonly seconds: number;
  /** Device tasks that the target's chain waits for, one after the other. */
  readonly chainTasks: number;
  readonly streams: { readonly link: number; readonly disk: number };
  /** Without waiting for weights. */
  readonly computeSeconds: number;
}

class Estimator {
  readonly #request: ClosedFormRequest;
  readonly #costs: CostModel;
  readonly #target: ModelPlacement;
  readonly #costsOf: ModelCosts;
  readonly #numLayers: number;
  readonly #task: Work = {
    ...{ lane: 'host', kind: 'attention', rows: 0, productRows: 0, bytes: 0, flops: 0 },
    ...{ scoreFlops: 0, cacheBytes: 0, numParts: 1, isPageable: false },
  };
  readonly #lanes: Record<PhaseName, LaneSeconds> = { prefill: noSeconds(), decode: noSeconds() };
  readonly #seconds: Record<PhaseName, number> = { prefill: 0, decode: 0 };
  /** Waves that are like the one being estimated. */
  #times = 1;

  constructor(request: ClosedFormRequest) {
    this.#request = request;
    const { target, draft } = request.prepared.plan;
    this.#target = target;
    this.#costsOf = modelCosts(target);
    this.#numLayers = target.checkpoint.layers.length;
    const headsOf = ({ checkpoint }: ModelPlacement) => countHeads(checkpoint.spec);
    this.#costs = createCostModel(request.machine, headsOf(target), draft ? headsOf(draft) : undefined);
  }

  estimate(): ClosedForm {
    const { prepared, promptLengths, maxNewTokens, acceptance } = this.#request;
    const { policy, waves, plan } = prepared;
    const isRefilled = policy.refill === 'yes' && waves.length > 1;
    const lengthsOf = (wave: readonly (readonly number[])[]) =>
      wave.map((batch) => batch.map((index) => promptLengths[index]));
    const waiting = isRefilled
      ? waves
          .slice(1)
          .flat(2)
          .map((index) => promptLengths[index])
      : [];
    for (const { item: wave, count } of countEqual((isRefilled ? waves.slice(0, 1) : waves).map(lengthsOf))) {
      this.#times = count;
      this.#prefill(wave);
      if (policy.draftPlacement === 'after-prefill' && plan.draft) {
        const upload = this.#time('link', 'upload', { bytes: plan.draft.checkpoint.bytes });
        this.#add('decode', { ...noSeconds(), link: upload }, upload);
      }
      this.#decode(wave, waiting);
    }
    const limits = acceptance?.kind === 'recorded' ? acceptance.sequences.map((runs) => runs.length) : null;
    const newTokens = promptLengths.reduce(
      (sum, _, index) => sum + Math.min(maxNewTokens, limits?.[index] ?? maxNewTokens),
      0,
    );
    const seconds = this.#seconds.prefill + this.#seconds.decode;
    // Weights that came while the phase before was still going on were not waited for.
    const depth = plan.prefetchDepth;
    const ahead = { link: depth + 1, disk: 2 * depth + 1, host: 0, device: 0 };
    const { link, disk } = this.#streams('decode');
    const perLayer = { link: link / this.#numLayers, disk: disk / this.#numLayers };
    const busiest = (phase: PhaseName) =>
      largest(
        estimatedLanes.map((lane) =>
          phase === 'decode' && (lane === 'link' || lane === 'disk')
            ? this.#lanes[phase][lane] - ahead[lane] * perLayer[lane]
            : this.#lanes[phase][lane],
        ),
      );
    const phaseOf = (phase: PhaseName) => ({ seconds: this.#seconds[phase], lanes: this.#lanes[phase] });
    return {
      ...{ seconds, newTokens },
      boundSeconds: Math.min(seconds, busiest('prefill') + busiest('decode')),
      phases: { prefill: phaseOf('prefill'), decode: phaseOf('decode') },
    };
  }

  #prefill(batches: readonly (readonly number[])[]): void {
    const { policy } = this.#request.prepared;
    const members = batches.map((batch) => batch.map((_, index) => index));
    const frames = planMicroBatches(policy, members).map(({ batch, members: indices }): FrameWork => {
      const lengths = indices.map((index) => batches[batch][index]);
      const rows = sum(lengths);
      const { window } = this.#costsOf.layers[0];
      return {
        ...{ count: 1, rows },
        cacheTokens: sum(lengths.map((length) => Math.min(length, window))),
        scores: sum(lengths.map((length) => countScores(0, length, window))),
        fetched: 0,
        headRows: lengths.length,
      };
    });
    const groups = countEqual(frames).map(({ item, count }) => ({ ...item, count }));
    if (policy.prefillOrder === 'layer-major') {
      const { lanes, seconds } = this.#pass('prefill', groups);
      this.#add('prefill', lanes, seconds);
      return;
    }
    for (const group of groups) {
      const { lanes, seconds } = this.#pass('prefill', [{ ...group, count: 1 }]);
      this.#add('prefill', lanes, seconds, group.count);
    }
  }

  #decode(batches: readonly (readonly number[])[], waiting: readonly number[]): void {
    const { maxNewTokens, acceptance, prepared } = this.#request;
    const { policy } = prepared;
    const speculates = usesDraft(policy);
    const limits = acceptance?.kind === 'recorded' ? acceptance.sequences.map((runs) => runs.length) : null;
    const limit = limits
      ? Math.max(1, Math.min(maxNewTokens, Math.round(sum(limits) / limits.length)))
      : maxNewTokens;
    const size = batches[0].length;
    const rounds = lifetimes({
      candidates: speculates ? policy.candidates : 0,
      maxNewTokens: limit,
      acceptance,
      goesOn: policy.ending === 'slowest' && speculates,
      together: size,
    });
    if (rounds.length === 0) return;
    const prompts = batches.flat();
    const promptTokens = sum(prompts) / prompts.length;
    const holds =
      policy.speculation === 'ahead' && acceptance ? chanceThatAheadHolds(acceptance, policy.candidates) : 0;
    // Refilled places are always taken until nobody waits any more; then the last ones run out.
    const meanRounds = rounds.reduce((total, { alive }) => total + alive, 0);
    const steadyRounds = (waiting.length / prompts.length) * meanRounds;
    const mean = averageRound(rounds);
    const stretches = splitRounds(rounds);
    for (const { item: batch, count } of countEqual(batches)) {
      const cost = (round: LifetimeRound, n: number, joining: number, isFirst: boolean) =>
        this.#round({ round, sequences: n, promptTokens, joining, isFirst, holds });
      if (steadyRounds > 0) {
        const joining = Math.min(batch.length / meanRounds, policy.prefillBatch);
        const { lanes, seconds } = cost(mean, batch.length, joining, false);
        this.#add('decode', lanes, seconds, count * steadyRounds);
      }
      const chanceOf = ({ alive }: LifetimeRound) =>
        policy.ending === 'slowest' && speculates ? alive : 1 - (1 - alive) ** batch.length;
      for (const [index, stretch] of stretches.entries()) {
        const chance = sum(stretch.map(chanceOf));
        if (chance < 1e-3) break;
        const middle = stretch[stretch.length >> 1];
        const { lanes, seconds } = cost(
          scaleRound(middle, 1 / chanceOf(middle)),
          batch.length,
          0,
          index === 0,
        );
        this.#add('decode', lanes, seconds, count * chance);
      }
    }
    // The first batch's first proposals overlap with nothing.
    if (policy.speculation === 'interleaved' && batches.length > 1)
      this.#seconds.decode += this.#times * this.#draft(rounds[0], size, promptTokens, true, 0).seconds;
  }

  /** Proposing for and verifying one batch. */
  #round(options: {
    readonly round: LifetimeRound;
    readonly sequences: number;
    readonly promptTokens: number;
    readonly joining: number;
    readonly isFirst: boolean;
    readonly holds: number;
  }): { lanes: LaneSeconds; seconds: number } {
    const { round, sequences, promptTokens, joining, isFirst, holds } = options;
    const { policy, waves } = this.#request.prepared;
    const { machine } = this.#request;
    const pass = this.#pass('decode', this.#verifyFrames(round, sequences, promptTokens, joining));
    const lanes = { ...pass.lanes };
    let realign = 0;
    if (policy.ending === 'slowest' && usesDraft(policy)) {
      realign = this.#time('host', 'realign', { rows: sequences * this.#numLayers });
      lanes.host += realign;
    }
    if (!usesDraft(policy)) return { lanes, seconds: pass.seconds };
    const draft = this.#draft(round, sequences, promptTokens, isFirst, 0);
    const waits = (draftSeconds: number, longestStep: number) =>
      computeLane(machine, 'device').interruptsDraft
        ? 0
        : Math.min(draftSeconds, (pass.chainTasks * longestStep) / 2);
    if (policy.speculation === 'interleaved' && waves[0].length > 1) {
      lanes.device += draft.seconds;
      const verify =
        Math.max(
          pass.streams.link,
          pass.streams.disk,
          pass.computeSeconds + waits(draft.seconds, draft.longestStep),
          pass.seconds,
        ) + realign;
      return { lanes, seconds: Math.max(verify, draft.seconds + pass.lanes.device) };
    }
    if (policy.speculation === 'ahead') {
      const again = isFirst ? 1 : 1 - holds;
      const ahead = this.#draft(round, sequences, promptTokens, false, 1);
      lanes.device += again * draft.seconds + ahead.seconds;
      const before = again * draft.seconds;
      const verify =
        this.#behind(pass, before) +
        Math.max(0, waits(ahead.seconds, ahead.longestStep) - (pass.seconds - pass.computeSeconds));
      return { lanes, seconds: before + Math.max(verify, ahead.seconds + pass.lanes.device) + realign };
    }
    lanes.device += draft.seconds;
    return { lanes, seconds: draft.seconds + this.#behind(pass, draft.seconds) + realign };
  }

  /** A pass after a stretch in which link and disk could fill their buffers. */
  #behind({ streams, computeSeconds, seconds }: PassCost, idleSeconds: number): number {
    const numLayers = this.#numLayers;
    const { policy, plan } = this.#request.prepared;
    const depth = plan.prefetchDepth;
    if (depth === 0 || policy.streaming === 'on-demand') return seconds;
    const link = streams.link - Math.min(idleSeconds, (streams.link / numLayers) * (depth + 1));
    const disk = streams.disk - Math.min(idleSeconds, (streams.disk / numLayers) * (2 * depth + 1));
    return Math.max(link, disk, computeSeconds, seconds - idleSeconds);
  }

  #verifyFrames(round: LifetimeRound, sequences: number, promptTokens: number, joining: number): FrameWork[] {
    const { policy } = this.#request.prepared;
    const alive = Math.max(1, round.alive * sequences);
    const perSequence = round.alive > 0 ? round.rows / round.alive : 1;
    const { window } = this.#costsOf.layers[0];
    const cached = promptTokens + (round.alive > 0 ? round.tokens : 0) - 1;
    const numFrames = Math.max(1, Math.ceil(alive / policy.microBatch - 1e-9));
    const n = alive / numFrames;
    const seen = Math.min(cached + perSequence, window);
    const joiners = joining / numFrames;
    const frame = {
      rows: n * perSequence + joiners * promptTokens,
      cacheTokens: n * seen,
      scores:
        n * perSequence * Math.min(cached + (perSequence + 1) / 2, window) +
        joiners * countScores(0, promptTokens, window),
      fetched: n * Math.min(cached, window - 1),
      headRows: n * perSequence,
    };
    if (policy.attention !== 'split' || numFrames === 1) return [{ ...frame, count: numFrames }];
    return [
      { ...frame, count: 1 },
      { ...frame, count: numFrames - 1 },
    ];
  }

  /** A forward pass of the target. */
  #pass(phase: PhaseName, frames: readonly FrameWork[]): PassCost {
    const { policy, plan } = this.#request.prepared;
    const numLayers = this.#numLayers;
    const layer = this.#layer(phase, frames);
    const streams = this.#streams(phase);
    const link = streams.link + numLayers * layer.crossing;
    const disk = streams.disk * layer.usedShare;
    const linkBusy = streams.link * layer.usedShare + numLayers * layer.crossing;
    let ends = 0;
    for (const { count, rows, headRows } of frames) {
      const embed = this.#time('device', 'embed', {
        rows,
        productRows: rows,
        bytes: rows * this.#hiddenBytes,
      });
      const { headElements } = this.#costsOf;
      const head = this.#time('device', 'head', {
        ...{ rows: headRows, productRows: headRows },
        bytes: headElements * this.#weightBytes,
        flops: 2 * headRows * headElements,
      });
      ends += count * (embed + head);
    }
    const device = numLayers * layer.device + ends;
    const host = numLayers * layer.host;
    const compute = numLayers * layer.chain + ends;
    const isOnDemand = policy.streaming === 'on-demand';
    const waitsForRouter = policy.experts === 'routed';
    let seconds: number;
    if (isOnDemand) seconds = linkBusy + disk + compute;
    else if (waitsForRouter)
      seconds = Math.max(linkBusy + numLayers * (layer.chain - layer.ffn), disk) + ends;
    else if (plan.prefetchDepth === 0)
      seconds = numLayers * (Math.max(layer.chain - layer.ffn, link / numLayers) + layer.ffn) + ends;
    else seconds = Math.max(link, disk, compute) + (link > compute ? layer.chain : 0);
    return {
      lanes: { disk, link: linkBusy, host, device },
      seconds: Math.max(seconds, disk, linkBusy, host, device),
      chainTasks: numLayers * layer.chainTasks,
      streams: { link, disk },
      computeSeconds: compute,
    };
  }

  /** One layer for all frames. */
  #layer(phase: PhaseName, frames: readonly FrameWork[]) {
    const { policy, plan } = this.#request.prepared;
    const { attention, numExperts, expertsPerToken } = this.#costsOf.layers[0];
    const { projectionElements: projection, outputElements: output } = this.#costsOf.layers[0];
    const { expertElements: expert, cacheBytesPerToken: cacheBytes } = this.#costsOf.layers[0];
    const weightBytes = this.#weightBytes;
    const { layers } = this.#target.checkpoint;
    const numGroups = layers[0].experts.length;
    const perGroup = numExperts / numGroups;
    const hostShare = phase === 'decode' ? policy.hostShare : 0;
    const decodeLane = (index: number) =>
      policy.attention === 'split' ? (index === 0 ? 'device' : 'host') : policy.attention;
    const totalRows = sum(frames.map(({ count, rows }) => count * rows));
    const used = policy.experts === 'routed' ? this.#expertUse(totalRows) : null;

    let device = 0;
    let host = 0;
    let longestChain = 0;
    let longestFfn = 0;
    let ffnTotal = 0;
    let crossing = 0;
    let chainTasks = 0;
    for (const [index, frame] of frames.entries()) {
      const { count, rows, cacheTokens, scores, fetched } = frame;
      const lane = phase === 'prefill' ? policy.prefillAttention : decodeLane(index);
      const scoring = { cacheBytes: cacheTokens * cacheBytes, scoreFlops: scoreFlops(attention, scores) };
      const rowsOf = { rows, productRows: rows };
      let chain = 0;
      if (lane === 'device' || (policy.projections === 'host' && phase === 'decode')) {
        const attend = this.#time(lane, 'attention', {
          ...{ ...rowsOf, ...scoring },
          bytes: (projection + output) * weightBytes,
          flops: 2 * rows * (projection + output),
        });
        if (lane === 'device') device += count * attend;
        else host += count * attend;
        chain += attend + this.#latency(lane, 'attention');
        if (lane === 'device' && plan.cacheSlots !== null && policy.attention !== 'split') {
          if (fetched > 0) crossing += count * this.#time('link', 'fetch', { bytes: fetched * cacheBytes });
          crossing += count * this.#time('link', 'store', { bytes: rows * cacheBytes });
        }
      } else {
        const project = this.#time('device', 'project', {
          ...rowsOf,
          bytes: projection * weightBytes,
          flops: 2 * rows * projection,
        });
        const attend = this.#time('host', 'attention', { ...rowsOf, ...scoring });
        const mix = this.#time('device', 'mix', {
          ...rowsOf,
          bytes: output * weightBytes,
          flops: 2 * rows * output,
        });
        device += count * (project + mix);
        host += count * attend;
        chain +=
          project +
          attend +
          mix +
          this.#latency('device', 'project') +
          this.#latency('host', 'attention') +
          this.#latency('device', 'mix');
        chainTasks += 2 * count;
      }
      const productRows = (rows * expertsPerToken) / numExperts;
      const work = (share: number, rowShare: number) => ({
        rows: productRows * perGroup * rowShare,
        productRows: productRows * rowShare,
        numParts: perGroup,
        bytes: share * expert * perGroup * weightBytes,
        flops: share * 2 * productRows * perGroup * expert * rowShare,
      });
      let ffn: number;
      if (used && numGroups > 1) {
        // The rows of the experts that are used are more than the average over all of them.
        const onDevice = numGroups * used.device;
        const scale = used.deviceRows / Math.max(used.device, 1e-9);
        ffn = onDevice * this.#time('device', 'expert', work(1, scale));
        device += count * ffn;
        if (used.host > 0) {
          const onHost =
            numGroups * used.host * this.#time('host', 'expert', work(1, used.hostRows / used.host));
          host += count * onHost;
          ffn += onHost;
        }
      } else {
        const each = this.#time('device', 'expert', work(1 - hostShare, 1));
        ffn = numGroups * each;
        device += count * ffn;
        if (hostShare > 0) {
          const shared = numGroups * this.#time('host', 'expert', work(hostShare, 1));
          const merge = numGroups * this.#time('device', 'merge', { rows, bytes: rows * this.#hiddenBytes });
          host += count * shared;
          device += count * merge;
          ffn = Math.max(ffn, shared) + merge;
        }
      }
      ffn += numGroups * this.#latency('device', 'expert');
      chain += ffn;
      ffnTotal += count * ffn;
      chainTasks += count * numGroups;
      longestChain = Math.max(longestChain, chain);
      longestFfn = Math.max(longestFfn, ffn);
    }
    return {
      ...{ device, host, crossing, chainTasks },
      chain: Math.max(longestChain, device, host),
      ffn: Math.min(ffnTotal, Math.max(longestFfn, device)),
      usedShare: used && numGroups > 1 ? used.device : 1,
    };
  }

  /** Shares of the experts (and of all rows) that device and host compute, with `experts: routed`. */
  #expertUse(rows: number) {
    const { hostExpertRows } = this.#request.prepared.policy;
    const { numExperts, expertsPerToken } = this.#costsOf.layers[0];
    const p = expertsPerToken / numExperts;
    let chance = (1 - p) ** rows;
    let host = 0;
    let hostRows = 0;
    const unused = chance;
    for (let k = 1; k <= Math.min(hostExpertRows, rows); k += 1) {
      chance *= ((rows - k + 1) / k) * (p / (1 - p));
      host += chance;
      hostRows += (chance * k) / (rows * p);
    }
    return { device: Math.max(0, 1 - unused - host), deviceRows: Math.max(0, 1 - hostRows), host, hostRows };
  }

  /** Proposing for a whole batch; `extra` 1 when it proposes behind candidates under verification. */
  #draft(
    round: LifetimeRound,
    sequences: number,
    promptTokens: number,
    isFirst: boolean,
    extra: 0 | 1,
  ): { seconds: number; longestStep: number } {
    const { plan, policy } = this.#request.prepared;
    const { draft } = plan;
    if (!draft || round.wanting.length === 0) return { seconds: 0, longestStep: 0 };
    const sizes = draftSizes(draft);
    const [kind] = sizes.kinds;
    const { window } = kind;
    const known = promptTokens + round.tokens;
    const { draftCache, draftWindow, draftBatch } = policy;
    // A kept cache lacks the target's own token, and the last candidate where all were accepted.
    const missing = extra === 1 ? 1 : 1.3;
    const fedFirst =
      draftCache === 'window'
        ? Math.min(known, draftWindow)
        : draftCache === 'recompute' || isFirst
          ? known
          : missing;
    const cachedFirst = known - fedFirst;
    const steps = extra === 1 ? [round.wanting[0], ...round.wanting] : round.wanting;
    const wantingFirst = steps[0] * sequences;
    const numChunks = Math.max(1, Math.ceil(wantingFirst / draftBatch - 1e-9));
    let seconds = 0;
    let longestStep = 0;
    for (const [step, share] of steps.entries()) {
      const n = (share * sequences) / numChunks;
      if (n <= 0) continue;
      const count = step === 0 ? fedFirst : 1;
      const cached = step === 0 ? cachedFirst : known + step - 1;
      const rows = n * count;
      const time = this.#time('device', 'draft', {
        ...{ rows, productRows: rows },
        bytes: sizes.elements * sizes.weightBytes,
        flops: 2 * rows * sizes.elements,
        cacheBytes: n * Math.min(cached + count, window) * kind.cacheBytes,
        scoreFlops: n * countScores(cached, count, window) * kind.scoreFlops,
      });
      longestStep = Math.max(longestStep, time);
      seconds += time + this.#latency('device', 'draft');
    }
    return { seconds: numChunks * seconds, longestStep };
  }

  readonly #streamsOf: Partial<Record<PhaseName, { link: number; disk: number }>> = {};

  /** Weights that one pass brings. */
  #streams(phase: PhaseName): { link: number; disk: number } {
    const known = this.#streamsOf[phase];
    if (known) return known;
    const { policy } = this.#request.prepared;
    const { pinned, kept, layouts, checkpoint } = this.#target;
    const numLayers = this.#numLayers;
    const hostShare = phase === 'decode' ? policy.hostShare : 0;
    let link = 0;
    let disk = 0;
    const bring = (group: WeightGroup) => {
      if (pinned.has(group.id)) return;
      const share = group.kind === 'expert' ? 1 - hostShare : 1;
      const isPageable = group.layer >= policy.pageLocked * numLayers;
      link += this.#time('link', 'upload', { bytes: group.storedBytes * share, isPageable });
      const { stagedBytes } = layouts.get(group.id) as GroupLayout;
      if (!kept.has(group.id)) disk += this.#time('disk', 'load', { bytes: stagedBytes, isPageable });
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

  get #hiddenBytes(): number {
    return this.#costsOf.hiddenBytes;
  }

  get #weightBytes(): number {
    return headWeightBytes(this.#target.layouts);
  }

  #time(lane: LaneName, kind: TaskKind, work: Partial<Work>): number {
    // One task for all: this is asked millions of times.
    const task = this.#task;
    task.lane = lane;
    task.kind = kind;
    task.rows = work.rows ?? 0;
    task.productRows = work.productRows ?? 0;
    task.bytes = work.bytes ?? 0;
    task.flops = work.flops ?? 0;
    task.scoreFlops = work.scoreFlops ?? 0;
    task.cacheBytes = work.cacheBytes ?? 0;
    task.numParts = work.numParts ?? 1;
    task.isPageable = work.isPageable ?? false;
    return this.#costs.secondsOf(task);
  }

  #latency(lane: LaneName, kind: TaskKind): number {
    this.#task.lane = lane;
    this.#task.kind = kind;
    return this.#costs.latencyOf(this.#task);
  }

  #add(phase: PhaseName, lanes: Readonly<LaneSeconds>, seconds: number, times = 1): void {
    this.#seconds[phase] += this.#times * times * seconds;
    for (const lane of estimatedLanes) this.#lanes[phase][lane] += this.#times * times * lanes[lane];
  }
}

type Work = { -readonly [Field in Exclude<keyof PricedTask, 'actualRows'>]: PricedTask[Field] };

function noSeconds(): LaneSeconds {
  return { disk: 0, link: 0, host: 0, device: 0 };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Most stretches of rounds that are looked at one by one. */
const mostStretches = 12;

/** The first round, which is unlike the others, and then so many at once that they are few. */
function splitRounds(rounds: readonly LifetimeRound[]): LifetimeRound[][] {
  const length = Math.ceil((rounds.length - 1) / (mostStretches - 1));
  const stretches = [rounds.slice(0, 1)];
  for (let start = 1; start < rounds.length; start += length)
    stretches.push(rounds.slice(start, start + length));
  return stretches;
}

/** Items that are the same number of the same numbers, each once. */
function countEqual<T>(items: readonly T[]): { readonly item: T; readonly count: number }[] {
  const counted = new Map<string, { item: T; count: number }>();
  for (const item of items) {
    const key = JSON.stringify(item);
    const known = counted.get(key);
    if (known) known.count += 1;
    else counted.set(key, { item, count: 1 });
  }
  return [...counted.values()];
}

/** The round's shares given that somebody is there. */
function scaleRound(round: LifetimeRound, factor: number): LifetimeRound {
  const { alive, unfinished, rows, tokens, wanting } = round;
  return {
    ...{ alive: alive * factor, unfinished: unfinished * factor, rows: rows * factor },
    tokens: alive > 0 ? tokens : 0,
    wanting: wanting.map((share) => share * factor),
  };
}

/** A place that always has somebody in it. */
function averageRound(rounds: readonly LifetimeRound[]): LifetimeRound {
  const total = sum(rounds.map(({ alive }) => alive));
  const average = (pick: (round: LifetimeRound) => number) => sum(rounds.map(pick)) / total;
  return {
    ...{ alive: 1, unfinished: 1 },
    rows: average(({ rows }) => rows),
    tokens: average(({ tokens, alive }) => tokens * alive),
    wanting: rounds[0].wanting.map((_, step) => average(({ wanting }) => wanting[step])),
  };
}
