/**
 * The threads that predict the points of simulated sweeps. To start them and to have Node compile what they do takes
 * longer than a small sweep, so they wait a while for the next one.
 */

import { join } from 'node:path';
import { Piscina } from 'piscina';
import { experimentsDirectory } from '../paths.js';
import type { PointTask, RunEnd, SweepSetup } from './worker.js';

/** Compiled: threads know nothing of TypeScript. */
const threadPath = join(experimentsDirectory, 'dist', 'sweep', 'thread.cjs');

export interface PredictionPool {
  /** Runs that should be under way at once, so that no thread waits for the disk. */
  readonly width: number;
  run(task: Omit<PointTask, 'setup'>): Promise<RunEnd>;
  /** Lets runs under way end early, as `stopped`. */
  stop(): void;
  close(): Promise<void>;
}

/** While one run of a thread is being stored, the next one is predicted. */
const runsPerThread = 2;

type Threads = Piscina<PointTask, RunEnd>;

/** Of the latest sweep that has ended; they keep no process alive. */
let waiting: { readonly threads: Threads; readonly numThreads: number; readonly end: NodeJS.Timeout } | null =
  null;
const waitingSeconds = 10;

let numSweeps = 0;

export function createPredictionPool(
  shared: Omit<SweepSetup, 'id' | 'stopFlag'>,
  numThreads: number,
): PredictionPool {
  numSweeps += 1;
  const setup: SweepSetup = {
    ...{ ...shared, id: numSweeps },
    stopFlag: new Int32Array(new SharedArrayBuffer(4)),
  };
  const threads = takeThreads(numThreads);
  let hasFailed = false;
  return {
    width: numThreads * runsPerThread,
    run: (task) =>
      threads.run({ ...task, setup }).catch((error) => {
        hasFailed = true;
        throw error;
      }),
    stop: () => {
      Atomics.store(setup.stopFlag, 0, 1);
    },
    // Every run has ended: a sweep awaits them all.
    close: async () => {
      if (hasFailed) await threads.close();
      else keepThreads(threads, numThreads);
    },
  };
}

function takeThreads(numThreads: number): Threads {
  if (waiting?.numThreads === numThreads) {
    const { threads, end } = waiting;
    clearTimeout(end);
    waiting = null;
    return threads;
  }
  return new Piscina<PointTask, RunEnd>({
    ...{ filename: threadPath, concurrentTasksPerWorker: runsPerThread },
    ...{ minThreads: numThreads, maxThreads: numThreads },
    // A run makes some 20 MB of short-lived objects: with room for them most are gone before they are copied.
    resourceLimits: { maxYoungGenerationSizeMb: 64 },
    // The caller's loaders and debug flags must not apply to the threads.
    execArgv: [],
  });
}

/** Ends those that waited before. */
function keepThreads(threads: Threads, numThreads: number): void {
  const end = setTimeout(() => {
    waiting = null;
    void threads.close();
  }, 1000 * waitingSeconds).unref();
  const before = waiting;
  waiting = { threads, numThreads, end };
  if (before === null) return;
  clearTimeout(before.end);
  void before.threads.close();
}
