/** A BullMQ queue of runs, each under its key: what is there already is not added twice. */

import type { Job, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { keyPrefix } from './address.js';

type RunQueue = Queue<string, string>;
export type RunJob = Job<string, string>;

/** So many cross to the server at once. */
const jobsPerBatch = 250;

export class JobQueue {
  readonly #queue: RunQueue;

  private constructor(queue: RunQueue) {
    this.#queue = queue;
  }

  static async open(redis: Redis, name: string): Promise<JobQueue> {
    const { Queue: BullQueue } = await import('bullmq');
    const queue: RunQueue = new BullQueue(name, {
      ...{ connection: redis, prefix: keyPrefix },
      // Nobody listens to events: what has ended is looked up, so that none is missed.
      streams: { events: { maxLen: 100 } },
      defaultJobOptions: { attempts: 1, keepLogs: 0, stackTraceLimit: 1 },
    });
    queue.on('error', () => {}); // the connection's owner says so
    await queue.waitUntilReady();
    return new JobQueue(queue);
  }

  async add(runs: readonly { readonly key: string; readonly text: string }[]): Promise<void> {
    for (let start = 0; start < runs.length; start += jobsPerBatch)
      await this.#queue.addBulk(
        runs
          .slice(start, start + jobsPerBatch)
          .map(({ key, text }) => ({ name: 'run', data: text, opts: { jobId: key } })),
      );
  }

  keysThatAre(...states: ('active' | 'completed' | 'failed' | 'wait')[]): Promise<string[]> {
    return this.#queue.getRanges(states, 0, -1);
  }

  job(key: string): Promise<RunJob | undefined> {
    return this.#queue.getJob(key);
  }

  /** @returns false where a worker is at it */
  async remove(key: string): Promise<boolean> {
    return (await this.#queue.remove(key)) === 1;
  }

  async counts(): Promise<{ readonly waiting: number; readonly running: number }> {
    const { wait = 0, active = 0 } = await this.#queue.getJobCounts('wait', 'active');
    return { waiting: wait, running: active };
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }
}
