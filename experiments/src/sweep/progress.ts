/** Where a sweep stands, as structured events: for a terminal's line, a notebook's bar, or a test. */

import { formatCount, formatSeconds, plural } from '../terminal/format.js';

/** Of a queue that many machines share, whoever asked for what waits there. */
export interface QueueState {
  /** Runs that nobody has taken yet. */
  readonly waiting: number;
  readonly running: number;
  readonly workers: number;
}

export interface SweepProgress {
  /** Runs that have their record, those from earlier sessions included. */
  readonly done: number;
  /** Runs of the whole sweep; refused and pruned points' are taken away as they become known. */
  readonly total: number;
  readonly failed: number;
  /** Points that no run can serve. */
  readonly refused: number;
  /** Runs under way. */
  readonly running: number;
  readonly elapsedSeconds: number;
  /** null until there is something to judge by. */
  readonly remainingSeconds: number | null;
  /** The run that began last, in words; null before the first. */
  readonly current: string | null;
  /** Where not this process runs all itself. */
  readonly queue?: QueueState;
}

/** Runs that must have ended before their mean says something. */
const fewRuns = 4;

export class Progress {
  readonly #onProgress: (progress: SweepProgress) => void;
  readonly #nowSeconds: () => number;
  readonly #startSeconds: number;
  #total: number;
  #done: number;
  #ended = 0;
  #failed = 0;
  #refused: number;
  #running = 0;
  #current: string | null = null;
  #queue: QueueState | undefined;
  /** Of one run, before any has ended; null where nobody has an idea. */
  readonly #expectedSeconds: number | null;

  constructor(
    counts: {
      readonly total: number;
      readonly done: number;
      readonly refused: number;
      /** Of all runs that are left; null where nobody has an idea. */
      readonly remainingSeconds: number | null;
    },
    onProgress: (progress: SweepProgress) => void,
    nowSeconds: () => number = () => performance.now() / 1000,
  ) {
    this.#total = counts.total;
    this.#done = counts.done;
    this.#refused = counts.refused;
    const { total, done, remainingSeconds } = counts;
    this.#expectedSeconds = remainingSeconds === null ? null : remainingSeconds / Math.max(1, total - done);
    this.#onProgress = onProgress;
    this.#nowSeconds = nowSeconds;
    this.#startSeconds = nowSeconds();
  }

  begin(current: string): void {
    this.#running += 1;
    this.#current = current;
    this.#tell();
  }

  /** @param runsLess that will not be asked for any more. */
  end(how: 'done' | 'failed' | 'refused' | 'stopped', runsLess = 0): void {
    this.#running -= 1;
    this.#ended += 1;
    if (how === 'done') this.#done += 1;
    if (how === 'failed') this.#failed += 1;
    if (how === 'refused') this.#refused += 1;
    this.#total -= runsLess;
    this.#tell();
  }

  drop(runs: number): void {
    this.#total -= runs;
    this.#tell();
  }

  /** What nobody asks for any more. */
  dropRest(): void {
    this.drop(this.#total - this.#done - this.#failed);
  }

  /** Somebody else did it meanwhile. */
  find(): void {
    this.#done += 1;
    this.#tell();
  }

  /** Where the runs are meanwhile. */
  place(queue: QueueState): void {
    this.#queue = queue;
    this.#tell();
  }

  get now(): SweepProgress {
    const elapsedSeconds = this.#nowSeconds() - this.#startSeconds;
    return {
      ...{ done: this.#done, total: this.#total, failed: this.#failed, refused: this.#refused },
      ...{
        running: this.#running,
        elapsedSeconds,
        current: this.#current,
        ...(this.#queue && { queue: this.#queue }),
      },
      remainingSeconds: this.#remaining(elapsedSeconds),
    };
  }

  #remaining(elapsedSeconds: number): number | null {
    const left = this.#total - this.#done - this.#failed;
    if (left <= 0) return 0;
    if (this.#ended >= Math.min(fewRuns, left)) return (elapsedSeconds / this.#ended) * left;
    return this.#expectedSeconds === null ? null : Math.max(0, this.#expectedSeconds * left);
  }

  #tell(): void {
    this.#onProgress(this.now);
  }
}

/** `candidates: 120 of 500 runs, 12 s, 38 s left; candidates 4, decodeBatch 64`. */
export function describeSweepProgress(title: string, progress: SweepProgress): string {
  const { done, total, failed, refused, elapsedSeconds, remainingSeconds, current, queue } = progress;
  const left =
    remainingSeconds === null || remainingSeconds === 0 ? '' : `, ${formatSeconds(remainingSeconds)} left`;
  const bad = [
    ...(failed > 0 ? [`${formatCount(failed)} failed`] : []),
    ...(refused > 0 ? [`${formatCount(refused)} refused`] : []),
  ];
  return (
    `${title}: ${[`${formatCount(done)} of ${formatCount(total)} runs`, ...bad].join(', ')}, ` +
    `${formatSeconds(elapsedSeconds)}${left}${queue === undefined ? '' : `; ${describeQueue(queue)}`}${current === null ? '' : `; ${current}`}`
  );
}

function describeQueue({ waiting, running, workers }: QueueState): string {
  return `${plural(workers, 'worker')}, ${formatCount(running)} running, ${formatCount(waiting)} waiting`;
}
