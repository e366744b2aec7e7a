/** A worker: takes points from a queue as long as it is wanted, and hands back what it cannot finish. */

import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '@specoffload/input';
import type { Worker as BullWorker, Job } from 'bullmq';
import { whoMeasures } from '../sweep/machine-lock.js';
import type { RunEnd } from '../sweep/worker.js';
import type { Output } from '../terminal/output.js';
import { connect, hangUp, keyPrefix, unlessAway } from './address.js';
import { digestOfMachine, type MachineClass, nameOfClass, queueNameOf } from './machine-class.js';
import { MeasuringDesk } from './measuring-desk.js';
import { type Answer, type PointMessage, readPoint, writeAnswer } from './messages.js';
import { Outbox } from './outbox.js';
import { PredictionDesk } from './prediction-desk.js';
import { announce } from './presence.js';
import { maybeMark } from './store-mark.js';

export interface ServeOptions {
  readonly queue: string;
  /** Used where it is the sweep's own; else records are sent whole. */
  readonly results: string;
  /** Threads that predict. */
  readonly parallel: number;
  /** null: measures nothing. */
  readonly label: string | null;
  /** A worker that is gone for so long loses its points to others. @default 15 s */
  readonly leaseMs?: number;
  /** Of whoever measures on this machine. @default one for all its users */
  readonly lockPath?: string;
  /** Leaves after so many seconds without work. */
  readonly maxIdleSeconds: number;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly onProgress: (tally: Tally) => void;
}

export interface Tally {
  readonly running: number;
  readonly predicted: number;
  readonly measured: number;
  readonly failed: number;
  /** Begun, and left to others. */
  readonly givenBack: number;
}

const usualLeaseMs = 15_000;
const looksPerLease = 3;
/** A point that ended so many workers is given up. */
const mostStalls = 3;
/** A machine where nothing can be opened would fail everybody's points. */
const mostForeign = 5;

/** @throws UserError when nothing that comes can be run here, or the store takes no more; the signal's reason when it aborts */
export async function serve(options: ServeOptions): Promise<Tally> {
  const worker = await Served.open(options);
  try {
    return await worker.untilDone();
  } finally {
    await worker.close();
  }
}

type Kind = PointMessage['kind'];

class Served {
  readonly #options: ServeOptions;
  readonly #predictions: PredictionDesk;
  readonly #measurements: MeasuringDesk;
  readonly #outbox: Outbox;
  readonly #leaving = new AbortController();
  readonly #tally = { running: 0, predicted: 0, measured: 0, failed: 0, givenBack: 0 };
  readonly #workers: BullWorker<string, string>[] = [];
  readonly #closers: (() => unknown)[] = [];
  #numForeign = 0;
  #mark: string | null = null;
  #latestMs = performance.now();
  #isMeasuring = false;
  #isHandingBack = false;

  private constructor(options: ServeOptions, predictions: PredictionDesk, outbox: Outbox) {
    this.#options = options;
    this.#predictions = predictions;
    this.#outbox = outbox;
    const signal = AbortSignal.any([options.signal, this.#leaving.signal]);
    this.#measurements = new MeasuringDesk(options.output, signal, options.lockPath, (isQuiet) =>
      this.#beQuiet(isQuiet),
    );
  }

  static async open(options: ServeOptions): Promise<Served> {
    const { queue, output, label, parallel, leaseMs = usualLeaseMs } = options;
    const redis = await connect(queue, (isBack) =>
      output.note(
        isBack ? 'worker: the queue answers again' : 'worker: the queue does not answer; waiting for it',
      ),
    );
    const own = new Served(options, await PredictionDesk.open(parallel), await Outbox.open());
    const machineClass: MachineClass | null =
      label === null ? null : { label, machine: await digestOfMachine() };
    const { Worker } = await import('bullmq');
    const open = (kind: Kind, name: string, concurrency: number) => {
      const worker = new Worker<string, string>(name, (job, token) => own.#work(kind, job, token!), {
        ...{ connection: redis, prefix: keyPrefix, concurrency },
        ...{
          lockDuration: leaseMs,
          stalledInterval: Math.ceil(leaseMs / looksPerLease),
          maxStalledCount: mostStalls,
        },
        runRetryDelay: 1000,
      });
      // Who loses the connection says so above; a lease that was lost is somebody else's now.
      worker.on('error', ({ message }) => {
        if (!/ECONN|connection|lock/i.test(message)) output.note(`worker: ${message.slice(0, 300)}`);
      });
      own.#workers.push(worker);
    };
    // While one run of a thread is being stored, the next one is predicted.
    open('simulated', queueNameOf(null), 2 * parallel);
    if (machineClass !== null) open('measured', queueNameOf(machineClass), 1);
    const leave = await announce(redis, { parallel, machineClass });
    own.#closers.push(
      () => unlessAway(leave()),
      () => hangUp(redis),
    );
    output.note(
      `worker: predicts ${parallel} points at a time${machineClass === null ? '' : `, measures as ${nameOfClass(machineClass)}`}`,
    );
    return own;
  }

  async untilDone(): Promise<Tally> {
    const { signal, maxIdleSeconds } = this.#options;
    const { signal: leaving } = this.#leaving;
    while (!signal.aborted && !leaving.aborted) {
      const idleMs = this.#tally.running > 0 ? 0 : performance.now() - this.#latestMs;
      if (idleMs >= 1000 * maxIdleSeconds) break;
      await this.#yieldToMeasurements();
      await delay(500, undefined, { signal: AbortSignal.any([signal, leaving]) }).catch(() => {});
    }
    await this.#handBack();
    signal.throwIfAborted();
    leaving.throwIfAborted();
    return this.#tally;
  }

  /** What is under way ends early, and waits in the queue again. */
  async #handBack(): Promise<void> {
    this.#isHandingBack = true;
    const closing = this.#workers.map((worker) => worker.close());
    this.#predictions.stop();
    await unlessAway(Promise.all(closing), usualLeaseMs);
  }

  async close(): Promise<void> {
    await this.#measurements.close();
    await this.#predictions.close();
    await this.#outbox.close();
    for (const close of this.#closers) await close();
  }

  async #work(kind: Kind, job: Job<string, string>, token: string): Promise<string> {
    this.#tally.running += 1;
    try {
      const message = readPoint(job.data);
      if (message.location.key !== job.id || message.kind !== kind)
        throw new UserError('a point of the queue is in the wrong place');
      const isShared = await this.#sees(message.store);
      const results = isShared ? this.#options.results : this.#outbox.results;
      const desk = kind === 'measured' ? this.#measurements : this.#predictions;
      const end = await desk.run(message, results);
      const answer = await this.#answer(end, message, isShared);
      if (answer === null) return await this.#giveBack(job, token);
      this.#tally[kind === 'measured' ? 'measured' : 'predicted'] += 1;
      return writeAnswer(answer);
    } finally {
      this.#tally.running -= 1;
      this.#latestMs = performance.now();
      this.#options.onProgress(this.#tally);
    }
  }

  /** Whether a sweep's store is the one here. Looked up again where it was not: it may have got its mark since. */
  async #sees(store: string): Promise<boolean> {
    if (this.#mark !== store) this.#mark = await maybeMark(this.#options.results);
    return this.#mark === store;
  }

  /** null for what others have to do. @throws Error for an attempt that failed */
  async #answer(end: RunEnd, { location }: PointMessage, isShared: boolean): Promise<Answer | null> {
    switch (end.end) {
      case 'stored':
      case 'known': {
        this.#numForeign = 0;
        const isDisturbed = end.end === 'stored' && end.isDisturbed === true;
        if (isShared) return end.end === 'known' ? end : { end: 'stored', isDisturbed, value: end.value };
        const files = await this.#outbox.take(location.point.experiment, location.key);
        return { end: 'sent', isDisturbed, files };
      }
      case 'refused':
        return end;
      case 'failed':
        this.#tally.failed += 1;
        if (end.isForeign) await this.#countForeign(end.message);
        throw new Error(end.message);
      case 'unstorable':
        this.#leaving.abort(new UserError(end.reason));
        return null;
      case 'stopped':
        return null;
    }
  }

  /** Rests, so that others take what fails here; leaves when nothing else comes. */
  async #countForeign(message: string): Promise<void> {
    this.#numForeign += 1;
    if (this.#numForeign >= mostForeign)
      this.#leaving.abort(
        new UserError(
          `${this.#numForeign} points in a row cannot be run on this machine, the last one: ${message}`,
        ),
      );
    const { signal } = this.#leaving;
    await delay(100 * 2 ** this.#numForeign, undefined, { signal }).catch(() => {});
  }

  async #giveBack(job: Job<string, string>, token: string): Promise<never> {
    const { WaitingError } = await import('bullmq');
    this.#tally.givenBack += 1;
    await job.moveToWait(token);
    throw new WaitingError();
  }

  async #beQuiet(isQuiet: boolean): Promise<void> {
    this.#isMeasuring = isQuiet;
    await this.#pausePredictions(isQuiet);
  }

  /** Whoever measures on this machine, in whatever process, is alone there. */
  async #yieldToMeasurements(): Promise<void> {
    if (this.#isMeasuring) return;
    const pid = await whoMeasures(this.#options.lockPath);
    const mustWait = pid !== null && pid !== process.pid;
    if (mustWait && !this.#workers[0]!.isPaused())
      this.#options.output.note(
        `worker: process ${pid} is measuring on this machine; predictions wait for its end`,
      );
    await this.#pausePredictions(mustWait);
  }

  async #pausePredictions(isPaused: boolean): Promise<void> {
    const [predicting] = this.#workers;
    if (this.#isHandingBack) return;
    if (isPaused && !predicting!.isPaused()) await predicting!.pause();
    else if (!isPaused && predicting!.isPaused()) await predicting!.resume();
  }
}
