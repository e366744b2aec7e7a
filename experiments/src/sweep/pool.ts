/** The threads that predict the points of a simulated sweep. */

import { join } from 'node:path';
import { Piscina } from 'piscina';
import { projectDirectory } from '../paths.js';
import type { PointTask, RunEnd, WorkerSetup } from './worker.js';

/** Compiled: threads know nothing of TypeScript. */
const threadPath = join(projectDirectory, 'experiments', 'dist', 'sweep', 'thread.cjs');

export interface PredictionPool {
  /** Runs that should be under way at once, so that no thread waits for the disk. */
  readonly width: number;
  run(task: PointTask): Promise<RunEnd>;
  /** Lets runs under way end early, as `stopped`. */
  stop(): void;
  close(): Promise<void>;
}

/** While one run of a thread is being stored, the next one is predicted. */
const runsPerThread = 2;

export function createPredictionPool(
  setup: Omit<WorkerSetup, 'stopFlag'>,
  numThreads: number,
): PredictionPool {
  const stopFlag = new Int32Array(new SharedArrayBuffer(4));
  const workerData: WorkerSetup = { ...setup, stopFlag };
  const pool = new Piscina<PointTask, RunEnd>({
    ...{ filename: threadPath, workerData, concurrentTasksPerWorker: runsPerThread },
    ...{ minThreads: numThreads, maxThreads: numThreads },
    // A run makes some 20 MB of short-lived objects: with room for them most are gone before they are copied.
    resourceLimits: { maxYoungGenerationSizeMb: 64 },
    // The caller's loaders and debug flags are not for them.
    execArgv: [],
  });
  return {
    width: numThreads * runsPerThread,
    run: (task) => pool.run(task),
    stop: () => {
      Atomics.store(stopFlag, 0, 1);
    },
    close: () => pool.close(),
  };
}
