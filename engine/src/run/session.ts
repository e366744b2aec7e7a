/** A run in progress: the moves of prefill, proposing and verifying, turned into task graphs and awaited. */

import { largest } from '../extremes.js';
import type { Drafter, Drafting } from '../schedule/drafter.js';
import { assignBlocks, type Frame, feedOf, lastRows, verifiedRows } from '../schedule/feeds.js';
import type { MemoryPlan } from '../schedule/memory-plan.js';
import type { HeadResult } from '../schedule/ops.js';
import type { OpenPolicy } from '../schedule/policy.js';
import { planMicroBatches } from '../schedule/resolve.js';
import type { Rounds } from '../schedule/strategies/strategy.js';
import { usesDraft } from '../schedule/strategies/strategy.js';
import { buildTargetPass } from '../schedule/target-pass.js';
import { createTask, type Task, type TaskHead } from '../schedule/task.js';
import { residentTasks, WeightStream } from '../schedule/weight-stream.js';
import { TaskIds } from '../schedule/work.js';
import { acceptDrawn, countAccepted } from '../speculate/accept.js';
import type { CandidateChooser } from '../speculate/candidate-choice.js';
import { noiseKey, uniformOf } from '../speculate/noise.js';
import type { Sampling } from '../speculate/sampling.js';
import type { Sequence, SequenceEnds, TargetChoice } from '../speculate/sequence.js';
import { AcceptanceCounter } from '../speculate/statistics.js';
import type { PhaseName } from '../trace/types.js';
import type { Dispatcher } from './dispatcher.js';

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
  /** How many candidates a round proposes. @default always the policy's */
  readonly chooser?: CandidateChooser | null;
  readonly onPass: (phase: PhaseName, passes: number) => void;
}

export class Session {
  readonly acceptance = new AcceptanceCounter();
  readonly #options: SessionOptions;
  readonly #ids = new TaskIds();
  readonly #stream: WeightStream;
  readonly #drafting: Drafting | null;
  #passes = 0;
  /** The round of proposing ahead that is under way; it reads the candidates, which must not change until it has ended. */
  #proposingAhead: Promise<void> = Promise.resolve();

  constructor(options: SessionOptions) {
    this.#options = options;
    const { drafter, plan, policy, sampling, interruptsDraft: isCoarse = false } = options;
    this.#drafting =
      drafter?.begin({
        ...{ placement: plan.draft, policy, routes: plan.routes, ids: this.#ids, sampling, isCoarse },
      }) ?? null;
    this.#stream = new WeightStream(options.plan, options.policy, this.#ids, (id) =>
      options.dispatcher.slotOf(id),
    );
  }

  /** Target passes so far. */
  get passes(): number {
    return this.#passes;
  }

  /** Brings everything that stays in memory to its place. */
  async placeResidents(): Promise<void> {
    const { plan, dispatcher } = this.#options;
    const tasks = residentTasks(plan, this.#ids, (id) => dispatcher.slotOf(id));
    dispatcher.add(tasks);
    await Promise.all(tasks.map(({ id }) => dispatcher.settled(id)));
  }

  /** Brings the draft to the device, where it was not before; all at once, since nothing else is under way. */
  async bringDraft(): Promise<void> {
    await this.#runToEnd(this.#drafting?.bring(this.#passes) ?? []);
  }

  /** Gives every sequence of a wave its room in the caches. */
  assignCaches(sequences: readonly Sequence[]): void {
    assignBlocks(sequences, 'targetBlock');
    this.#options.chooser?.beginWave();
    this.#drafting?.admit(sequences);
  }

  /** Sends what the cache does not hold of a wave's prompts through the target; every sequence gets its first new token. */
  async prefill(batches: readonly (readonly Sequence[])[]): Promise<void> {
    for (const frames of this.#prefillPasses(batches)) {
      const results = await this.#targetPass('prefill', frames);
      for (const [index, frame] of frames.entries()) this.#acceptPrompts(frame, results[index]);
      this.#options.onPass('prefill', this.#passes);
    }
    for (const sequences of batches) this.#endTogether(sequences);
  }

  /** The target's logits after each prompt of a wave; leaves the sequences as they are. */
  async promptLogits(batches: readonly (readonly Sequence[])[]): Promise<Map<number, Float32Array>> {
    const logits = new Map<number, Float32Array>();
    const { vocabSize } = this.#options.plan.target.checkpoint.spec;
    for (const frames of this.#prefillPasses(batches)) {
      const results = await this.#targetPass('prefill', frames, true);
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
        this.#proposingAhead = this.#propose(batch, batches[batch], true);
        return this.#proposingAhead;
      },
      verify: (batch) => this.#verify(batch, batches[batch]),
    };
  }

  /** Layer-major prefill sends all micro-batches through in one pass, batch-major each in a pass of its own. */
  #prefillPasses(batches: readonly (readonly Sequence[])[]): Frame[][] {
    const { policy } = this.#options;
    const members = batches.map((batch) => batch.map((_, index) => index));
    const frames = planMicroBatches(policy, members).map(({ batch, members: indices }): Frame => {
      const feeds = indices.map((index) => feedOf(batches[batch][index], batches[batch][index].targetCached));
      return { batch, feeds, headRows: lastRows(feeds) };
    });
    return policy.prefillOrder === 'layer-major' ? [frames] : frames.map((frame) => [frame]);
  }

  async #propose(batch: number, sequences: readonly Sequence[], isAhead = false): Promise<void> {
    if (!this.#drafting) throw new Error('there is nobody to propose');
    // What has been proposed ahead and still holds need not be proposed again.
    const wanting = sequences.filter(
      ({ isFinished, candidates }) => !isFinished && (isAhead || candidates.length === 0),
    );
    const candidates = this.#chooseCandidates(batch, sequences, isAhead);
    if (candidates > 0)
      await this.#runToEnd(
        this.#drafting.propose({ pass: this.#passes, batch, sequences: wanting, isAhead, candidates }),
      );
    if (!isAhead) this.#options.chooser?.endProposing(batch);
  }

  #chooseCandidates(batch: number, sequences: readonly Sequence[], isAhead: boolean): number {
    const { chooser, policy } = this.#options;
    if (!chooser) return policy.candidates;
    if (isAhead) return chooser.given(batch);
    return chooser.choose(batch, largest(sequences.map(({ remaining }) => remaining)));
  }

  async #verify(batch: number, sequences: Sequence[]): Promise<void> {
    const { microBatch } = this.#options.policy;
    const feeds = sequences
      .filter(({ isFinished }) => !isFinished)
      .map((sequence) => feedOf(sequence, sequence.targetCached));
    if (feeds.length === 0) return;
    const frames: Frame[] = [];
    for (let start = 0; start < feeds.length; start += microBatch) {
      const together = feeds.slice(start, start + microBatch);
      frames.push({ batch, feeds: together, headRows: verifiedRows(together) });
    }
    const mostVerified = largest(feeds.map(({ sequence }) => sequence.candidates.length));
    const results = await this.#targetPass('decode', frames);
    this.#options.chooser?.endRound(batch, feeds.length, mostVerified);
    await this.#proposingAhead;
    for (const [frame, result] of results.entries()) this.#acceptFrame(frames[frame], result);
    await this.#endRound(batch, sequences);
    this.#options.onPass('decode', this.#passes);
  }

  /** Keeps the first new token of every prompt. */
  #acceptPrompts({ feeds, headRows }: Frame, result: HeadResult): void {
    for (const [feed, { sequence, count }] of feeds.entries()) {
      sequence.targetCached = sequence.length;
      const row = headRows[feed];
      const last = choiceAt(result, feed, row);
      // The first choice depends on the whole prompt, and so on the closest routing decision in any of its rows.
      const margins = result.routerMargins.subarray(row + 1 - count, row + 1);
      const routerMargin = margins.reduce((least, margin) => Math.min(least, margin), last.routerMargin);
      const choice = routerMargin < last.routerMargin ? { ...last, routerMargin } : last;
      sequence.append([choice], this.#options.ends);
    }
  }

  #acceptFrame({ batch, feeds, headRows }: Frame, result: HeadResult): void {
    const { chooser } = this.#options;
    let first = 0;
    for (const { sequence } of feeds) {
      const { length } = sequence.candidates;
      const wanted = chooser && Math.min(chooser.given(batch), sequence.remaining - 1);
      const accepted = this.#accept(sequence, result, headRows, first);
      chooser?.judge(wanted as number, length, accepted);
      first += length + 1;
    }
  }

  /**
   * Keeps what the target confirms of a sequence's candidates and its own token, and cuts both caches back to it.
   * @param first the first of the sequence's wanted rows
   * @returns how many candidates stand
   */
  #accept(sequence: Sequence, result: HeadResult, headRows: Int32Array, first: number): number {
    const { candidates, nextCandidates } = sequence;
    const { accepted, replacement } = this.#judge(sequence, result, first);
    const choices = new Array<TargetChoice>(accepted + 1);
    for (let index = 0; index <= accepted; index += 1)
      choices[index] = choiceAt(result, first + index, headRows[first + index]);
    if (result.shares && this.#options.sampling?.rule === 'rejection')
      for (const [index, choice] of choices.entries()) {
        const id = index < accepted ? candidates[index] : (replacement ?? choice.id);
        choices[index] = { ...choice, id };
      }
    const before = sequence.choices.length;
    sequence.append(choices, this.#options.ends);
    // What was proposed ahead holds if everything before it does, the target's own token included.
    const holds = accepted === candidates.length && nextCandidates[0] === choices[accepted].id;
    const wanted = 1 + Math.max(0, sequence.remaining - 1);
    sequence.candidates = holds ? nextCandidates.slice(1, wanted) : nothing;
    sequence.candidateShares = holds ? (sequence.nextCandidateShares?.slice(1, wanted) ?? null) : null;
    sequence.nextCandidates = nothing;
    sequence.nextCandidateShares = null;
    // The last token is the target's own and has not been fed to either model yet.
    sequence.targetCached = sequence.length - 1;
    if (!holds) this.#drafting?.forget(sequence, sequence.length - 1);
    this.acceptance.count(candidates.length, accepted, sequence.choices.length - before);
    return accepted;
  }

  /** How many of the candidates stand; under the rejection rule, what replaces the first that does not. */
  #judge(sequence: Sequence, { ids, shares }: HeadResult, first: number) {
    const { candidates, candidateShares: draft, noise } = sequence;
    const { sampling } = this.#options;
    if (!shares || sampling?.rule !== 'rejection')
      return { accepted: countAccepted(candidates, ids, first), replacement: null };
    const coins = (place: number) => {
      const [one, other] = noiseKey(sampling.seed, noise, sequence.length + place, 'coins');
      return [uniformOf(one), uniformOf(other)] as const;
    };
    return acceptDrawn({ candidates, draft, target: shares, first, coins });
  }

  /** Until the last of the tasks has ended. */
  async #runToEnd(tasks: readonly Task[]): Promise<void> {
    const { dispatcher } = this.#options;
    const last = tasks.at(-1);
    if (!last) return;
    dispatcher.add(tasks);
    await dispatcher.settled(last.id);
  }

  /** With `ending: slowest`, ends a batch's sequences once all of them are there. */
  #endTogether(sequences: readonly Sequence[]): void {
    const { policy, maxNewTokens } = this.#options;
    const isThere = ({ choices, isFinished }: Sequence) => isFinished || choices.length >= maxNewTokens;
    if (policy.ending === 'slowest' && sequences.every(isThere))
      for (const sequence of sequences) sequence.end();
  }

  /** What the policy makes of a batch after its verification: who ends, who takes a place, what it costs. */
  async #endRound(batch: number, sequences: Sequence[]): Promise<void> {
    const { policy, plan, waiting, isVirtual } = this.#options;
    this.#endTogether(sequences);
    if (policy.ending === 'slowest' && isVirtual && usesDraft(policy)) {
      const rows = sequences.length * plan.target.checkpoint.layers.length;
      await this.#runToEnd([this.#realignTask(batch, rows)]);
    }
    if (waiting.length === 0) return;
    let joining = 0;
    for (const [place, { isFinished, targetBlock }] of sequences.entries()) {
      if (!isFinished || joining === policy.prefillBatch) continue;
      const next = waiting.shift();
      if (!next) return;
      next.targetBlock = targetBlock;
      sequences[place] = next;
      joining += 1;
    }
  }

  async #targetPass(phase: PhaseName, frames: readonly Frame[], wantsLogits = false): Promise<HeadResult[]> {
    const { plan, policy, dispatcher, sampling } = this.#options;
    const pass = this.#passes;
    // The next pass's weights are asked for now: as they need slots, they only follow right behind this pass's.
    dispatcher.add(this.#stream.tasksUpTo(pass + 1, phase));
    const graph = buildTargetPass({
      ...{ plan, policy, pass, phase, frames, wantsLogits, sampling },
      ...{ stream: this.#stream, ids: this.#ids },
    });
    dispatcher.add(graph.tasks);
    await Promise.all(graph.heads.map((id) => dispatcher.settled(id)));
    this.#stream.forget(pass);
    this.#passes += 1;
    return graph.results as HeadResult[];
  }

  /**
   * The released code shifts every sequence's cache, layer by layer, after each round. Source: SpecOffload (arXiv
   * 2505.10259), github.com/MobiSense/SpecOffload-public at b8b68c9.
   */
  #realignTask(batch: number, rows: number): Task {
    const head: TaskHead = {
      id: this.#ids.next(),
      lane: this.#options.plan.routes.computing('realign', 'host'),
      kind: 'realign',
      name: `realign batch ${batch}`,
      phase: 'decode',
      ...{ pass: this.#passes, batch, priority: this.#passes, rows },
    };
    return createTask(head, { after: [], createOp: () => ({ kind: 'imagined' }) });
  }
}

const nothing: readonly number[] = [];

/** What the target chooses in a prediction, where nothing is computed. */
const imagined: TargetChoice = {
  id: 0,
  margin: Number.POSITIVE_INFINITY,
  routerMargin: Number.POSITIVE_INFINITY,
};

function choiceAt({ ids, margins, routerMargins }: HeadResult, index: number, row: number): TargetChoice {
  // A prediction computes no choices; one shared object saves it tens of thousands of equal ones.
  if (margins.length === 0) return imagined;
  return { id: ids[index], margin: margins[index], routerMargin: routerMargins[row] };
}
