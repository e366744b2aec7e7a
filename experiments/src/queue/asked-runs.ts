/** The runs that a sweep has asked a queue for: sent, looked up when they have ended, tried again, given up. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf, UserError } from '@specoffload/input';
import { isStored } from '../store/index.js';
import type { SweepRequest } from '../sweep/options.js';
import type { RunEnd } from '../sweep/worker.js';
import { unlessAway } from './address.js';
import type { JobQueue, RunJob } from './job-queue.js';
import { type PointMessage, readAnswer } from './messages.js';
import { receiveRecord } from './receive.js';

/** A run fails for good when so many attempts did. */
const mostAttempts = 4;
const firstRestMs = 250;
/** Between two looks: short where a search waits for its only run, longer where many come at once. */
const leastPauseMs = 20;
const mostPauseMs = 400;
const bulkPauseMs = 150;
const fewRuns = 8;
/** So often it is looked up whether the server has lost anything, as one without a journal does. */
const lostEveryMs = 4000;
/** A network file system shows what another machine has written after so long at the latest. */
const mostHiddenMs = 10_000;

interface AskedRun {
  readonly message: PointMessage;
  readonly text: string;
  readonly resolve: (end: RunEnd) => void;
  isSent: boolean;
  /** Nobody looks at it before: by this process's own clock, as all that is timed here. */
  restsUntilMs: number;
  /** The failed attempt after which it rests, or has rested. */
  restedAfter: number;
  /** Since when its record should be there, and is not. */
  hiddenSinceMs: number | null;
}

const nowMs = () => performance.now();

export class AskedRuns {
  readonly #queue: JobQueue;
  readonly #request: SweepRequest;
  /** By key. */
  readonly #asked = new Map<string, AskedRun>();
  /** Their ends are with the sweep; what the queue still has of them goes. */
  readonly #settled = new Set<string>();
  /** Set aside in an earlier session: this one tries them once more. */
  #failedBefore = new Set<string>();
  #isWithdrawn = false;
  #isClosed = false;
  #lookedForLostMs = nowMs();
  #loop: Promise<void> = Promise.resolve();

  constructor(queue: JobQueue, request: SweepRequest) {
    this.#queue = queue;
    this.#request = request;
  }

  async start(): Promise<void> {
    this.#failedBefore = new Set(await this.#queue.keysThatAre('failed'));
    this.#loop = this.#work();
  }

  ask(message: PointMessage, text: string): Promise<RunEnd> {
    if (this.#isWithdrawn) return Promise.resolve({ end: 'stopped' });
    return new Promise((resolve) => {
      this.#asked.set(message.location.key, {
        ...{ message, text, resolve },
        ...{ isSent: false, restsUntilMs: 0, restedAfter: 0, hiddenSinceMs: null },
      });
    });
  }

  /**
   * Takes back what nobody has begun.
   * @param isFinal leaves what is under way to the workers: its records will be found by the next sweep
   */
  async withdraw({ isFinal }: { readonly isFinal: boolean }): Promise<void> {
    this.#isWithdrawn = true;
    for (const [key, run] of this.#asked) if (!run.isSent) this.#settle(key, { end: 'stopped' });
    await unlessAway(this.#takeBack());
    if (isFinal) for (const key of this.#asked.keys()) this.#settle(key, { end: 'stopped' });
  }

  async #takeBack(): Promise<void> {
    const waiting = await this.#queue.keysThatAre('wait', 'failed');
    await Promise.all(
      waiting
        .filter((key) => this.#asked.has(key))
        .map(async (key) => {
          if (await this.#queue.remove(key)) this.#settle(key, { end: 'stopped' });
        }),
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await unlessAway(this.#loop);
    await unlessAway(this.#queue.close());
  }

  #settle(key: string, end: RunEnd): void {
    const run = this.#asked.get(key);
    this.#asked.delete(key);
    if (end.end !== 'stopped') this.#settled.add(key);
    run?.resolve(end);
  }

  async #work(): Promise<void> {
    let pauseMs = leastPauseMs;
    while (!this.#isClosed) {
      const hasEnded = await this.#turn().catch(() => false); // the server is away: nothing is lost
      const least = this.#asked.size > fewRuns ? bulkPauseMs : leastPauseMs;
      pauseMs = hasEnded ? least : Math.min(Math.max(least, 1.3 * pauseMs), mostPauseMs);
      await delay(pauseMs);
    }
  }

  /** @returns whether any run has ended */
  async #turn(): Promise<boolean> {
    await this.#send();
    const before = this.#asked.size;
    await this.#collect(await this.#queue.keysThatAre('completed'), (key, run) => this.#receive(key, run));
    await this.#collect(await this.#queue.keysThatAre('failed'), (key, run) => this.#tryAgain(key, run));
    if (nowMs() - this.#lookedForLostMs >= lostEveryMs) await this.#findLost();
    return this.#asked.size < before;
  }

  async #send(): Promise<void> {
    const fresh = [...this.#asked].filter(
      ([, { isSent, restsUntilMs }]) => !isSent && restsUntilMs <= nowMs(),
    );
    await this.#queue.add(fresh.map(([key, { text }]) => ({ key, text })));
    for (const [, run] of fresh) run.isSent = true;
  }

  async #collect(
    keys: readonly string[],
    work: (key: string, run: AskedRun) => Promise<void>,
  ): Promise<void> {
    await Promise.all(
      keys.map(async (key) => {
        const run = this.#asked.get(key);
        if (run) {
          if (run.restsUntilMs <= nowMs()) await work(key, run);
        } else if (this.#settled.has(key)) await this.#queue.remove(key);
      }),
    );
  }

  /** Its end becomes the sweep's, and the queue forgets it. */
  async #receive(key: string, run: AskedRun): Promise<void> {
    const job = await this.#queue.job(key);
    if (!job) return;
    const end = await this.#endOf(job, run).catch((error): RunEnd => {
      return { end: 'failed', message: reasonOf(error) };
    });
    if (end === null) return;
    this.#settle(key, end);
    await this.#queue.remove(key);
  }

  async #endOf(job: RunJob, run: AskedRun): Promise<RunEnd | null> {
    const { results, definition } = this.#request;
    const answer = readAnswer(job.returnvalue);
    switch (answer.end) {
      case 'refused':
        return answer;
      case 'sent':
        return receiveRecord(results, run.message, answer);
      case 'stored':
      case 'known':
        // It got its name when it was whole: to read thousands again would take longer than some take to run.
        if (existsSync(join(results, definition.name, job.id!, 'run.json'))) return answer;
        run.hiddenSinceMs ??= nowMs();
        if (nowMs() - run.hiddenSinceMs < mostHiddenMs) return null;
        throw new UserError('a worker says that it is stored, but it is not there');
    }
  }

  /** After a rest that doubles; a run that ends its workers, or was tried often enough, is set aside with its error. */
  async #tryAgain(key: string, run: AskedRun): Promise<void> {
    const job = await this.#queue.job(key);
    if (!job) return;
    if (this.#failedBefore.delete(key)) {
      await this.#queue.remove(key);
      run.isSent = false;
      return;
    }
    if (this.#isWithdrawn) return this.#settle(key, { end: 'stopped' });
    const reason = String(job.failedReason).slice(0, 2000);
    if (/stalled more than/.test(reason))
      return this.#settle(key, {
        end: 'failed',
        message: 'its workers died or lost the queue while they ran it',
      });
    if (job.attemptsMade >= mostAttempts)
      return this.#settle(key, { end: 'failed', message: `${reason} (in ${job.attemptsMade} attempts)` });
    if (run.restedAfter === job.attemptsMade) return job.retry('failed');
    run.restedAfter = job.attemptsMade;
    run.restsUntilMs = nowMs() + firstRestMs * 2 ** (job.attemptsMade - 1);
  }

  /** Sends again what the queue has no more, unless it is stored: by another sweep that has fetched it first. */
  async #findLost(): Promise<void> {
    const { results, definition } = this.#request;
    const sent = [...this.#asked].filter(([, { isSent }]) => isSent);
    const there = new Set(await this.#queue.keysThatAre('wait', 'active', 'completed', 'failed'));
    for (const [key, run] of sent) {
      if (there.has(key)) continue;
      if (isStored(join(results, definition.name, key))) this.#settle(key, { end: 'known' });
      else run.isSent = false;
    }
    this.#lookedForLostMs = nowMs();
  }
}
