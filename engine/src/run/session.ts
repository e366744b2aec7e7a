/** A run in progress: the moves of prefill, proposing and verifying, turned into task graphs and awaited. */

import { largest } from '../extremes.js';
import { isImagined } from '../machine/formats.js';
import { givenShares, type HostShares, meanShares, type SharesByKind } from '../schedule/balance.js';
import { joinBatches, partsOf, prefillPasses } from '../schedule/batch-parts.js';
import type { Drafter, Drafting } from '../schedule/drafter.js';
import { followsRouters } from '../schedule/expert-cache.js';
import { assignBlocks, type Frame } from '../schedule/feeds.js';
import type { MemoryPlan } from '../schedule/memory-plan.js';
import type { HeadResult, MixResult } from '../schedule/ops.js';
import type { OpenPolicy } from '../schedule/policy.js';
import { realignTask } from '../schedule/realign-task.js';
import { draftTasks, residentTasks } from '../schedule/resident-tasks.js';
import { numOnDevice } from '../schedule/resolve.js';
import type { Rounds } from '../schedule/strategies/strategy.js';
import { usesDraft } from '../schedule/strategies/strategy.js';
import { TargetPass } from '../schedule/target-pass.js';
import type { Task } from '../schedule/task.js';
import { WeightStream } from '../schedule/weight-stream.js';
import { TaskIds } from '../schedule/work.js';
import type { CandidateChooser } from '../speculate/candidate-choice.js';
import type { ExpertReport } from '../speculate/expert-counter.js';
import { RoutingCounter, type RoutingReport } from '../speculate/routing-counter.js';
import type { Sampling } from '../speculate/sampling.js';
import type { Sequence, SequenceEnds } from '../speculate/sequence.js';
import type { AcceptanceCounter, AheadReport } from '../speculate/statistics.js';
import type { PhaseName } from '../trace/types.js';
import { Ahead } from './ahead.js';
import type { Dispatcher } from './dispatcher.js';
import { Keeper } from './keeper.js';
import { measureShares } from './measure-shares.js';
import { type SplitSteps, Splitter } from './split-steps.js';
import { endTogether, takePlaces } from './take-places.js';

export interface SessionOptions {
  readonly plan: MemoryPlan;
  readonly policy: OpenPolicy;
  /** Null where nobody proposes. */
  readonly drafter: Drafter | null;
  readonly dispatcher: Dispatcher;
  /** How tokens are drawn; null: the most likely are chosen. */
  readonly sampling: Sampling | null;
  readonly ends: SequenceEnds;
  /** New tokens that every sequence is asked for; with `ending: slowest` the sequences themselves may go beyond. */
  readonly maxNewTokens: number;
  /** Sequences that take the places of finished ones, in this order. */
  readonly waiting: Sequence[];
  /** Whether to add costs that the released code has and this engine has not. */
  readonly isVirtual: boolean;
  /** Whether the device lets urgent work in between the pieces of a draft step. @default false */
  readonly interruptsDraft?: boolean;
  /** What the host computes of each group. @default the policy's, measured where it says so */
  readonly hostShares?: HostShares | undefined;
  /** How many candidates a round proposes. @default always the policy's */
  readonly chooser?: CandidateChooser | null;
  readonly onPass: (phase: PhaseName, passes: number) => void;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #ids = new TaskIds();
  readonly #stream: WeightStream;
  readonly #drafting: Drafting | null;
  readonly #keeper: Keeper;
  readonly #routing: RoutingCounter;
  #hostShares: HostShares;
  readonly #splitter: Splitter | null;
  #passes = 0;
  /** Those that have begun: more than have ended where a pass goes on beside others. */
  #begun = 0;
  /** Whether the next pass's weights may come while a pass is under way. */
  #streamsAhead = true;
  /** The round of proposing ahead that is under way; it reads the candidates, which must not change until it has ended. */
  #proposingAhead: Promise<void> = Promise.resolve();
  readonly #ahead = new Ahead();

  constructor(options: SessionOptions) {
    this.#options = options;
    const { layers } = options.plan.target.checkpoint.spec;
    this.#routing = new RoutingCounter(layers.map(({ ffn }) => ffn.expertsPerToken));
    const { drafter, plan, policy, sampling, interruptsDraft: isCoarse = false } = options;
    this.#drafting =
      drafter?.begin({
        ...{ placement: plan.draft, policy, routes: plan.routes, ids: this.#ids, sampling, isCoarse },
      }) ?? null;
    this.#keeper = new Keeper({
      ...{ sampling, ends: options.ends, chooser: options.chooser ?? null },
      forget: (sequence, length) => this.#drafting?.forget(sequence, length),
      onOutcome: (sequence, accepted, taken) => this.#ahead.count(sequence, accepted, taken),
    });
    this.#splitter = this.#createSplitter();
    this.#hostShares = options.hostShares ?? givenShares(policy);
    const slotOf = (id: number) => options.dispatcher.slotOf(id);
    const shares: HostShares = (group) => this.#hostShares(group);
    this.#stream = new WeightStream(plan, policy, this.#ids, slotOf, shares);
  }

  get acceptance(): AcceptanceCounter {
    return this.#keeper.acceptance;
  }

  /** What was prepared while verifying; null where nothing was. */
  get ahead(): AheadReport | null {
    return this.#ahead.report();
  }

  /** Of decoding; a prediction counts nothing, as it draws what is chosen. */
  get routing(): RoutingReport | null {
    return this.#routing.report();
  }

  /** What keeping experts saved; null where none is kept. */
  get experts(): ExpertReport | null {
    return this.#stream.experts;
  }

  /** What was balanced; null where the policy gives a share. */
  get hostShares(): SharesByKind | null {
    const { plan, policy } = this.#options;
    return policy.balance === 'given' ? null : meanShares(plan.target, this.#hostShares);
  }

  /** How the parts of a split batch overlapped, step by step; null where they waited for each other. */
  get splitSteps(): readonly SplitSteps[] | null {
    return this.#splitter?.steps ?? null;
  }

  /** Target passes so far. */
  get passes(): number {
    return this.#passes;
  }

  /** Brings everything that stays in memory to its place, and measures the balance of what does not. */
  async placeResidents(): Promise<void> {
    const { plan, policy, dispatcher } = this.#options;
    const slotOf = (id: number) => dispatcher.slotOf(id);
    await this.#place(residentTasks(plan, policy, this.#ids, slotOf));
    if (policy.balance === 'given') return;
    this.#hostShares = await measureShares({ plan, policy, dispatcher, ids: this.#ids, slotOf });
  }

  /** Brings a draft to the device that comes after prefill; all at once, since nothing else is under way. */
  async bringDraft(): Promise<void> {
    const { plan, policy, dispatcher } = this.#options;
    if (policy.draftPlacement === 'start') return;
    if (isImagined(plan.target.formats)) await this.#runToEnd(this.#drafting?.bring(this.#passes) ?? []);
    else {
      await this.#place(draftTasks(plan, this.#ids, (id) => dispatcher.slotOf(id), this.#passes));
      this.#stream.forgetStaged();
    }
  }

  async #place(tasks: readonly Task[]): Promise<void> {
    const { dispatcher } = this.#options;
    dispatcher.add(tasks);
    await Promise.all(tasks.map(({ id }) => dispatcher.settled(id)));
  }

  /** Gives every sequence of a wave its room in the caches. */
  assignCaches(batches: readonly (readonly Sequence[])[]): void {
    const sequences = batches.flat();
    const onDevice = batches.flatMap((batch) => batch.slice(0, this.#numOnDevice()));
    assignBlocks(
      sequences.filter((sequence) => !onDevice.includes(sequence)),
      'targetBlock',
    );
    assignBlocks(onDevice, 'targetBlock', true);
    this.#options.chooser?.beginWave();
    this.#drafting?.admit(sequences);
  }

  /** Sends what the cache does not hold of a wave's prompts through the target; every sequence gets its first new token. */
  async prefill(batches: readonly Sequence[][]): Promise<void> {
    const { policy, waiting, maxNewTokens } = this.#options;
    const passes = prefillPasses(policy, batches, this.#numOnDevice());
    for (const frames of passes) {
      this.#streamsAhead = frames !== passes.at(-1) || !this.#isDraftLate();
      const results = await this.#targetPass('prefill', frames);
      for (const [index, frame] of frames.entries()) this.#keeper.keepPrompts(frame, results[index]);
      this.#options.onPass('prefill', this.#passes);
    }
    this.#streamsAhead = true;
    for (const sequences of batches) {
      endTogether(policy, sequences, maxNewTokens);
      takePlaces(sequences, waiting, policy.prefillBatch);
    }
  }

  /** A draft comes through the buffers of the stream, which then must not be taken by weights that come after it. */
  #isDraftLate(): boolean {
    const { plan } = this.#options;
    return plan.target.firstDecodeFrame > 0 && !isImagined(plan.target.formats);
  }

  /** The target's logits after each prompt of a wave; leaves the sequences as they are. */
  async promptLogits(batches: readonly (readonly Sequence[])[]): Promise<Map<number, Float32Array>> {
    const logits = new Map<number, Float32Array>();
    const { vocabSize } = this.#options.plan.target.checkpoint.spec;
    for (const frames of prefillPasses(this.#options.policy, batches, this.#numOnDevice())) {
      const results = await this.#targetPass('prefill', frames, { wantsLogits: true });
      for (const [index, { feeds }] of frames.entries())
        for (const [row, { sequence }] of feeds.entries())
          logits.set(
            sequence.index,
            (results[index].logits as Float32Array).slice(row * vocabSize, (row + 1) * vocabSize),
          );
      this.#options.onPass('prefill', this.#passes);
    }
    return logits;
  }

  /** The moves of a strategy over one wave. */
  rounds(batches: readonly Sequence[][]): Rounds {
    return {
      batches,
      propose: (batch) => this.#propose(batch, batches[batch]),
      proposeAhead: (batch) => {
        this.#proposingAhead = this.#drafting?.prepare
          ? this.#prepare(batch, batches[batch])
          : this.#propose(batch, batches[batch], true);
        return this.#proposingAhead;
      },
      verify: (batch) => this.#verify(batch, batches[batch]),
      join: () => joinBatches(this.#options.policy, batches, this.#options.waiting),
    };
  }

  #numOnDevice(): number {
    const { policy, plan } = this.#options;
    return numOnDevice(policy, plan.target.formats);
  }

  async #propose(batch: number, sequences: readonly Sequence[], isAhead = false): Promise<void> {
    if (!this.#drafting) throw new Error('there is nobody to propose');
    // What has been proposed ahead and still holds need not be proposed again.
    const wanting = sequences.filter(
      ({ isFinished, candidates }) => !isFinished && (isAhead || candidates.length === 0),
    );
    const candidates = this.#chooseCandidates(batch, sequences, isAhead);
    if (candidates > 0) {
      const round = { pass: this.#passes, batch, sequences: wanting, isAhead, candidates };
      const parts = this.#drafting.proposeInParts?.(round) ?? [this.#drafting.propose(round)];
      for (const tasks of parts) await this.#runToEnd(tasks);
    }
    if (!isAhead) this.#options.chooser?.endProposing(batch);
  }

  #prepare(batch: number, sequences: readonly Sequence[]): Promise<void> {
    const candidates = this.#chooseCandidates(batch, sequences, true);
    const round = { pass: this.#passes, batch, sequences, candidates };
    return this.#ahead.prepare(this.#drafting, round, (tasks) => this.#runToEnd(tasks));
  }

  #chooseCandidates(batch: number, sequences: readonly Sequence[], isAhead: boolean): number {
    const { chooser, policy } = this.#options;
    if (!chooser) return policy.candidates;
    const unfinished = sequences.filter(({ isFinished }) => !isFinished);
    if (isAhead || unfinished.length === 0) return chooser.given(batch);
    return chooser.choose(
      batch,
      unfinished.map(({ remaining }) => remaining),
    );
  }

  async #verify(batch: number, sequences: Sequence[]): Promise<void> {
    const { chooser, policy } = this.#options;
    const unfinished = sequences.filter(({ isFinished }) => !isFinished);
    if (unfinished.length === 0) return;
    const { device, host } = partsOf(policy, batch, sequences);
    if (this.#splitter) await this.#splitter.step({ device, host: this.#splitter.isHostBusy ? [] : host });
    else {
      const mostVerified = largest(unfinished.map(({ candidates }) => candidates.length));
      const frames = [...device, ...host];
      const results = await this.#targetPass('decode', frames);
      this.#ahead.end();
      chooser?.endRound(batch, unfinished.length, mostVerified);
      await this.#proposingAhead;
      this.#keeper.keepAll(frames, results);
    }
    await this.#endRound(batch, sequences);
    this.#options.onPass('decode', this.#passes);
  }

  /** Null where the parts of a split batch wait for each other, or there are none. */
  #createSplitter(): Splitter | null {
    const { policy, plan, dispatcher } = this.#options;
    if (policy.overlap === 'sub-batches') return null;
    return new Splitter({
      ...{ policy, routes: plan.routes, numLayers: plan.target.checkpoint.layers.length, dispatcher },
      pass: async (frames, firstFrame) => {
        const pass = this.#begun;
        this.#keeper.keepAll(frames, await this.#targetPass('decode', frames, { firstFrame }));
        return pass;
      },
    });
  }

  /** Until the last of the tasks has ended. */
  async #runToEnd(tasks: readonly Task[]): Promise<void> {
    const { dispatcher } = this.#options;
    const last = tasks.at(-1);
    if (!last) return;
    dispatcher.add(tasks);
    await dispatcher.settled(last.id);
  }

  /** What the policy makes of a batch after its verification: who ends, who takes a place, what it costs. */
  async #endRound(batch: number, sequences: Sequence[]): Promise<void> {
    const { policy, plan, waiting, maxNewTokens, isVirtual } = this.#options;
    endTogether(policy, sequences, maxNewTokens);
    if (policy.ending === 'slowest' && isVirtual && usesDraft(policy)) {
      const rows = sequences.length * plan.target.checkpoint.layers.length;
      await this.#runToEnd([realignTask(plan.routes, this.#ids, this.#passes, batch, rows)]);
    }
    takePlaces(sequences, waiting, policy.prefillBatch);
  }

  async #targetPass(
    phase: PhaseName,
    frames: readonly Frame[],
    { wantsLogits = false, firstFrame = 0 } = {},
  ): Promise<HeadResult[]> {
    const { plan, policy, dispatcher, sampling, isVirtual } = this.#options;
    const pass = this.#begun;
    this.#begun += 1;
    // The next pass's weights are asked for now: as they need slots, they only follow right behind this pass's.
    dispatcher.add(this.#stream.tasksUpTo(this.#streamsAhead ? pass + 1 : pass, phase));
    const graph = new TargetPass({
      ...{ plan, policy, pass, phase, frames, firstFrame, wantsLogits, sampling },
      ...{ stream: this.#stream, ids: this.#ids },
      onRouted: isVirtual ? undefined : (layer, result) => this.#noteRouting(phase, layer, result),
    });
    for (const { tasks, last } of graph.parts()) {
      dispatcher.add(tasks);
      await Promise.all(last.map((id) => dispatcher.settled(id)));
    }
    this.#stream.forget(pass);
    this.#passes += 1;
    return graph.results as HeadResult[];
  }

  #noteRouting(phase: PhaseName, layer: number, { rowsPerExpert, foreseen }: MixResult): void {
    if (phase === 'decode') this.#routing.count(layer, rowsPerExpert);
    if (followsRouters(this.#options.policy)) this.#routing.trace(layer, rowsPerExpert, foreseen);
  }
}
