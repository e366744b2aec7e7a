/** A run in progress: the moves of prefill, proposing and verifying, turned into task graphs and awaited. */

import { assignBlocks, buildDraftRound, lastRows } from '../schedule/draft-round.js';
import type { HeadResult } from '../schedule/ops.js';
import type { MemoryPlan } from '../schedule/placement.js';
import { type OpenPolicy, planMicroBatches } from '../schedule/resolve.js';
import type { Rounds } from '../schedule/strategies/strategy.js';
import { buildTargetPass, type Feed, type Frame } from '../schedule/target-pass.js';
import { residentTasks, WeightStream } from '../schedule/weight-stream.js';
import { TaskIds } from '../schedule/work.js';
import { acceptGreedy } from '../speculate/accept.js';
import type { Sequence, TargetChoice } from '../speculate/sequence.js';
import { AcceptanceCounter } from '../speculate/statistics.js';
import type { PhaseName } from '../trace/types.js';
import type { Dispatcher } from './dispatcher.js';

export interface SessionOptions {
  readonly plan: MemoryPlan;
  readonly policy: OpenPolicy;
  readonly dispatcher: Dispatcher;
  readonly eosTokenIds: ReadonlySet<number>;
  readonly onPass: (phase: PhaseName, passes: number) => void;
}

export class Session {
  readonly acceptance = new AcceptanceCounter();
  readonly #options: SessionOptions;
  readonly #ids = new TaskIds();
  readonly #stream: WeightStream;
  #passes = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#stream = new WeightStream(options.plan, this.#ids, (id) => options.dispatcher.slotOf(id));
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

  /** Gives every sequence of a wave its room in the caches. */
  assignCaches(sequences: readonly Sequence[]): void {
    const { plan, policy } = this.#options;
    assignBlocks(plan.target.checkpoint.config, sequences, 'targetBlock');
    if (plan.draft && policy.draftCache === 'resident')
      assignBlocks(plan.draft.checkpoint.config, sequences, 'draftBlock');
  }

  /** Sends all prompts of a wave through the target; every sequence gets its first new token. */
  async prefill(batches: readonly (readonly Sequence[])[]): Promise<void> {
    for (const frames of this.#prefillPasses(batches)) {
      const results = await this.#targetPass('prefill', frames);
      for (const [index, { feeds, headRows }] of frames.entries())
        for (const [feed, { sequence, ids }] of feeds.entries()) {
          sequence.targetCached = ids.length;
          // The first choice rests on the whole prompt, so on its narrowest routing.
          const rows = results[index].routerMargins.subarray(
            headRows[feed] + 1 - ids.length,
            headRows[feed] + 1,
          );
          const choice = { ...choiceAt(results[index], feed), routerMargin: Math.min(...rows) };
          sequence.append([choice], this.#options.eosTokenIds);
        }
      this.#options.onPass('prefill', this.#passes);
    }
  }

  /** The target's logits after each prompt of a wave; leaves the sequences as they are. */
  async promptLogits(batches: readonly (readonly Sequence[])[]): Promise<Map<number, Float32Array>> {
    const logits = new Map<number, Float32Array>();
    const { vocabSize } = this.#options.plan.target.checkpoint.config;
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
  rounds(batches: readonly (readonly Sequence[])[]): Rounds {
    return {
      batches,
      propose: (batch) => this.#propose(batch, batches[batch]),
      verify: (batch) => this.#verify(batch, batches[batch]),
    };
  }

  /** Layer-major prefill sends all micro-batches through in one pass, batch-major each in a pass of its own. */
  #prefillPasses(batches: readonly (readonly Sequence[])[]): Frame[][] {
    const { policy } = this.#options;
    const members = batches.map((batch) => batch.map((_, index) => index));
    const frames = planMicroBatches(policy, members).map(({ batch, members: indices }): Frame => {
      const feeds = indices.map((index): Feed => {
        const sequence = batches[batch][index];
        return { sequence, ids: sequence.prompt, cached: 0 };
      });
      return { batch, feeds, headRows: lastRows(feeds) };
    });
    return policy.prefillOrder === 'layer-major' ? [frames] : frames.map((frame) => [frame]);
  }

  async #propose(batch: number, sequences: readonly Sequence[]): Promise<void> {
    const { plan, policy, dispatcher } = this.#options;
    if (!plan.draft) throw new Error('there is no draft to propose');
    const unfinished = sequences.filter(({ isFinished }) => !isFinished);
    const tasks = buildDraftRound(plan.draft, policy, this.#ids, this.#passes, batch, unfinished);
    dispatcher.add(tasks);
    await Promise.all(tasks.map(({ id }) => dispatcher.settled(id)));
  }

  async #verify(batch: number, sequences: readonly Sequence[]): Promise<void> {
    const feeds = sequences
      .filter(({ isFinished }) => !isFinished)
      .map((sequence): Feed => {
        const cached = sequence.targetCached;
        return { sequence, cached, ids: [...sequence.tokensFrom(cached), ...sequence.candidates] };
      });
    if (feeds.length === 0) return;
    const numRows = feeds.reduce((sum, { ids }) => sum + ids.length, 0);
    const headRows = Int32Array.from({ length: numRows }, (_, row) => row);
    const [result] = await this.#targetPass('decode', [{ batch, feeds, headRows }]);
    let row = 0;
    for (const { sequence, ids } of feeds) {
      this.#accept(
        sequence,
        ids.map((_, i) => choiceAt(result, row + i)),
      );
      row += ids.length;
    }
    this.#options.onPass('decode', this.#passes);
  }

  /** Keeps what the target confirms of a sequence's candidates, and cuts both caches back to it. */
  #accept(sequence: Sequence, choices: readonly TargetChoice[]): void {
    const { candidates } = sequence;
    const accepted = acceptGreedy(
      candidates,
      choices.map(({ id }) => id),
    );
    const before = sequence.choices.length;
    sequence.append(choices.slice(0, accepted + 1), this.#options.eosTokenIds);
    sequence.candidates = [];
    // The last token is the target's own and has not been fed to either model yet.
    sequence.targetCached = sequence.length - 1;
    sequence.draftCached = Math.min(sequence.draftCached, sequence.length - 1);
    this.acceptance.count(candidates.length, accepted, sequence.choices.length - before);
  }

  async #targetPass(phase: PhaseName, frames: readonly Frame[], wantsLogits = false): Promise<HeadResult[]> {
    const { plan, dispatcher } = this.#options;
    const pass = this.#passes;
    // The next pass's weights too: they wait for slots, and so follow right behind this pass's.
    dispatcher.add(this.#stream.tasksUpTo(pass + 1, phase));
    const graph = buildTargetPass(plan.target, this.#stream, this.#ids, pass, phase, frames, wantsLogits);
    dispatcher.add(graph.tasks);
    await Promise.all(graph.heads.map((id) => dispatcher.settled(id)));
    this.#stream.forget(pass);
    this.#passes += 1;
    return graph.results as HeadResult[];
  }
}

function choiceAt({ ids, margins, routerMargins }: HeadResult, row: number): TargetChoice {
  return { id: ids[row], margin: margins[row], routerMargin: routerMargins[row] };
}
