/**
 * A policy's time without simulating it: totals per pass and lane from the cost model, and how they overlap. Good for
 * ranking thousands of policies; what is reported comes from the simulator.
 *
 * In seconds, for one round over a batch of which `n` sequences are still there (see lifetimes.ts):
 *
 *   lane(round)    = sum of what its hop takes for groups not on the device + cache that crosses
 *   chain(layer)   = project + host attention + mix + FFN; with several frames at most max(device, host, one frame's)
 *   pass           = max(lanes that move, layers x chain + embed + head)   weights come ahead
 *                  = lanes that bring weights + layers x chain             weights come on demand
 *                  = layers x (max(attention, arrival per layer) + FFN)    prefetchDepth 0
 *                  = layers x (attention + max(FFN, experts' arrival))     routed: see routed-seconds.ts
 *   draft          = sum over draft batches of (first step + (candidates - 1) steps)
 *   serial         = draft + pass, less what comes ahead into the buffers meanwhile
 *   interleaved    = max(pass, draft + what the pass takes of the draft's lane)
 *   ahead          = share that did not hold x draft + max(pass, draft of one more + what the pass takes of its lane);
 *                    for several outcomes as many drafts of one more as the pass leaves time for
 *   seconds        = prefill + sum over rounds of chance(anyone is there) x round
 *
 * `boundSeconds`: in each phase some lane must do all its work, so no order of tasks is faster than the busiest lane.
 * It is a bound for the average course of acceptance: a draw may be some percent luckier, most with few sequences.
 */

import { sum } from '../extremes.js';
import { createCostModel, modelFactsOf } from '../machine/cost-model.js';
import { computeLane, type MachineModel } from '../machine/machine-model.js';
import type { Placed } from '../run/prepare.js';
import { countScores } from '../schedule/feeds.js';
import type { ModelPlacement } from '../schedule/memory-plan.js';
import { wayOfDraft } from '../schedule/model-drafter.js';
import { branches, leadersWanted } from '../schedule/outcomes.js';
import { mostProposed, planMicroBatches } from '../schedule/resolve.js';
import { usesDraft } from '../schedule/strategies/index.js';
import type { Acceptance } from '../speculate/acceptance.js';
import type { RoutingReport } from '../speculate/routing-counter.js';
import type { LaneName } from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import { type DraftSeconds, type DraftSituation, draftSeconds } from './draft-seconds.js';
import type { FrameWork } from './layer-seconds.js';
import { chancesThatPrepared, chanceThatAheadHolds, type LifetimeRound, lifetimes } from './lifetimes.js';
import { Passes, type PassSeconds } from './pass-seconds.js';
import { averageRound, countEqual, scaleRound, splitRounds } from './stretches.js';
import { type LaneSeconds, mostOf, TaskSeconds } from './task-seconds.js';

export interface ClosedFormRequest {
  readonly prepared: Placed;
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
  readonly machine: MachineModel;
  readonly acceptance: Acceptance | null;
  /** How often each expert was chosen, as a run of the target has recorded it. */
  readonly routing?: Pick<RoutingReport, 'rowsByExpert'> | undefined;
}

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

/** A round over one batch. */
interface RoundSituation extends Omit<DraftSituation, 'isAhead'> {
  /** Sequences that take the places of finished ones, with all of their prompts. */
  readonly joining: number;
  /** Chance that what was proposed ahead stands, by outcomes that were prepared for. */
  readonly holds: (prepared: number) => number;
}

class Estimator {
  readonly #request: ClosedFormRequest;
  readonly #tasks: TaskSeconds;
  readonly #passes: Passes;
  readonly #lanes: Record<PhaseName, LaneSeconds>;
  readonly #draftLane: LaneName;
  readonly #seconds: Record<PhaseName, number> = { prefill: 0, decode: 0 };
  /** Waves that are like the one being estimated. */
  #times = 1;

  constructor(request: ClosedFormRequest) {
    this.#request = request;
    const { target, draft } = request.prepared.plan;
    const factsOf = ({ checkpoint }: ModelPlacement) => modelFactsOf(checkpoint, request.machine.formats);
    const costs = createCostModel(request.machine, factsOf(target), draft ? factsOf(draft) : undefined);
    this.#tasks = new TaskSeconds(costs, request.machine.lanes);
    this.#lanes = { prefill: this.#tasks.none(), decode: this.#tasks.none() };
    const { drafter, plan, policy } = request.prepared;
    this.#draftLane = drafter?.laneIn(plan.routes, policy) ?? plan.routes.drafting.lane;
    this.#passes = new Passes(request.prepared, this.#tasks, request.routing);
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
        const { lane } = wayOfDraft(plan.routes);
        const { bytes } = plan.draft.checkpoint;
        const upload = this.#tasks.of(lane, 'upload', 0, (work) => {
          work.bytes = bytes;
        });
        this.#add('decode', { ...this.#tasks.none(), [lane]: upload }, upload);
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
    const { lanes: weights } = this.#passes.weights('decode');
    const later = { ...this.#lanes.decode };
    for (const lane of this.#tasks.moving)
      later[lane] -= this.#passes.groupsAhead[lane] * (weights[lane] / this.#passes.numLayers);
    const { lanes } = this.#tasks;
    const busiest = mostOf(this.#lanes.prefill, lanes) + mostOf(later, lanes);
    const phaseOf = (phase: PhaseName) => ({ seconds: this.#seconds[phase], lanes: this.#lanes[phase] });
    return {
      seconds,
      newTokens,
      boundSeconds: Math.min(seconds, busiest),
      phases: { prefill: phaseOf('prefill'), decode: phaseOf('decode') },
    };
  }

  #prefill(batches: readonly (readonly number[])[]): void {
    const { policy } = this.#request.prepared;
    const members = batches.map((batch) => batch.map((_, index) => index));
    const frames = planMicroBatches(policy, members).map(({ batch, members: indices }): FrameWork => {
      const lengths = indices.map((index) => batches[batch][index]);
      return {
        count: 1,
        rows: sum(lengths),
        headRows: lengths.length,
        cache: this.#passes.costs.kinds.map(({ costs: { window } }) => ({
          cacheTokens: sum(lengths.map((length) => Math.min(length, window))),
          scores: sum(lengths.map((length) => countScores(0, length, window))),
          fetched: 0,
        })),
      };
    });
    const groups = countEqual(frames).map(({ item, count }) => ({ ...item, count }));
    if (policy.prefillOrder === 'layer-major') {
      const { lanes, seconds } = this.#passes.pass('prefill', groups);
      this.#add('prefill', lanes, seconds);
      return;
    }
    for (const group of groups) {
      const { lanes, seconds } = this.#passes.pass('prefill', [{ ...group, count: 1 }]);
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
      ...mostProposed(policy),
      maxNewTokens: limit,
      acceptance,
      goesOn: policy.ending === 'slowest' && speculates,
      together: size,
    });
    if (rounds.length === 0) return;
    const prompts = batches.flat();
    const promptTokens = sum(prompts) / prompts.length;
    const holds = this.#holds();
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
    // Nothing is verified yet while the first batch's first candidates are proposed.
    if (policy.speculation === 'interleaved' && batches.length > 1)
      this.#seconds.decode +=
        this.#times *
        this.#draft({ round: rounds[0], sequences: size, promptTokens, isFirst: true, isAhead: false })
          .seconds;
  }

  /** Proposing for and verifying one batch. */
  #round(options: RoundSituation): { lanes: LaneSeconds; seconds: number } {
    const { sequences, isFirst, holds } = options;
    const { policy, waves } = this.#request.prepared;
    const draftLane = this.#draftLane;
    const pass = this.#passes.pass('decode', this.#verifyFrames(options));
    const lanes = { ...pass.lanes };
    let realign = 0;
    if (policy.ending === 'slowest' && usesDraft(policy)) {
      const rows = sequences * this.#passes.numLayers;
      realign = this.#tasks.compute(lanes, 'realign', 'host', rows, () => {});
    }
    if (!usesDraft(policy)) return { lanes, seconds: pass.seconds };
    const draft = this.#draft({ ...options, isAhead: false });
    const isInTheWay =
      pass.lanes[draftLane] > 0 && !computeLane(this.#request.machine, draftLane).interruptsDraft;
    const waits = (draftSeconds: number, longestStep: number) =>
      isInTheWay ? Math.min(draftSeconds, (pass.chainTasks * longestStep) / 2) : 0;
    if (policy.speculation === 'interleaved' && waves[0].length > 1) {
      lanes[draftLane] += draft.seconds;
      const verify =
        Math.max(
          mostOf(pass.lanes, this.#tasks.moving),
          pass.computeSeconds + waits(draft.seconds, draft.longestStep),
          pass.seconds,
        ) + realign;
      return { lanes, seconds: Math.max(verify, draft.seconds + pass.lanes[draftLane]) };
    }
    if (policy.speculation === 'ahead') {
      const one = this.#draft({ ...options, isFirst: false, isAhead: true });
      const prepared = branches(policy) ? this.#prepared(pass, one.seconds) : 1;
      const ahead = { ...one, seconds: prepared * one.seconds };
      const before = (isFirst ? 1 : 1 - holds(prepared)) * draft.seconds;
      lanes[draftLane] += before + ahead.seconds;
      const verify =
        this.#behind(pass, before) +
        Math.max(0, waits(ahead.seconds, ahead.longestStep) - (pass.seconds - pass.computeSeconds));
      return { lanes, seconds: before + Math.max(verify, ahead.seconds + pass.lanes[draftLane]) + realign };
    }
    lanes[draftLane] += draft.seconds;
    return { lanes, seconds: draft.seconds + this.#behind(pass, draft.seconds) + realign };
  }

  /** Outcomes of each sequence that a draft prepares for before a pass is through, having looked a token further first. */
  #prepared({ seconds, lanes }: PassSeconds, oneSeconds: number): number {
    const { candidates, outcomes } = this.#request.prepared.policy;
    const idle = seconds - lanes[this.#draftLane] - oneSeconds / (candidates + 1);
    return Math.min(outcomes, Math.max(0, idle / Math.max(oneSeconds, 1e-12)));
  }

  /** Between whole numbers of outcomes, between their chances. */
  #holds(): RoundSituation['holds'] {
    const { acceptance, prepared } = this.#request;
    const { policy } = prepared;
    if (policy.speculation !== 'ahead' || !acceptance) return () => 0;
    const { candidates } = policy;
    if (!branches(policy)) {
      const chance = chanceThatAheadHolds(acceptance, candidates);
      return () => chance;
    }
    const chances = chancesThatPrepared(acceptance, candidates, policy.outcomes, leadersWanted(policy));
    return (numPrepared) => {
      const whole = Math.floor(numPrepared);
      const [low, high] = [chances[whole], chances[Math.min(whole + 1, chances.length - 1)]];
      return low + (numPrepared - whole) * (high - low);
    };
  }

  /** A pass after a stretch in which the lanes that bring weights could fill their buffers. */
  #behind({ lanes, computeSeconds, seconds }: PassSeconds, idleSeconds: number): number {
    const { policy, plan } = this.#request.prepared;
    // Nobody knows yet which experts the routers will choose.
    if (plan.prefetchDepth === 0 || policy.streaming === 'on-demand' || policy.experts === 'routed')
      return seconds;
    let left = 0;
    for (const lane of this.#tasks.moving) {
      const ahead = lanes[lane] * this.#passes.shareAhead(lane);
      left = Math.max(left, lanes[lane] - Math.min(idleSeconds, ahead));
    }
    return Math.max(left, computeSeconds, seconds - idleSeconds);
  }

  #verifyFrames({ round, sequences, promptTokens, joining }: RoundSituation): FrameWork[] {
    const { policy } = this.#request.prepared;
    const alive = Math.max(1, round.alive * sequences);
    const perSequence = round.alive > 0 ? round.rows / round.alive : 1;
    const cached = promptTokens + (round.alive > 0 ? round.tokens : 0) - 1;
    const numFrames = Math.max(1, Math.ceil(alive / policy.microBatch - 1e-9));
    const n = alive / numFrames;
    const joiners = joining / numFrames;
    const frame = {
      rows: n * perSequence + joiners * promptTokens,
      headRows: n * perSequence,
      cache: this.#passes.costs.kinds.map(({ costs: { window } }) => ({
        cacheTokens: n * Math.min(cached + perSequence, window),
        scores:
          n * perSequence * Math.min(cached + (perSequence + 1) / 2, window) +
          joiners * countScores(0, promptTokens, window),
        fetched: n * Math.min(cached, window - 1),
      })),
    };
    if (policy.attention !== 'split' || numFrames === 1) return [{ ...frame, count: numFrames }];
    return [
      { ...frame, count: 1 },
      { ...frame, count: numFrames - 1 },
    ];
  }

  #draft(situation: DraftSituation): DraftSeconds {
    return draftSeconds(this.#tasks, this.#request.prepared, situation);
  }

  #add(phase: PhaseName, lanes: Readonly<LaneSeconds>, seconds: number, times = 1): void {
    this.#seconds[phase] += this.#times * times * seconds;
    for (const lane of this.#tasks.lanes) this.#lanes[phase][lane] += this.#times * times * lanes[lane];
  }
}
