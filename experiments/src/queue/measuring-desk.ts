/** Measures points of a queue, alone on this machine: under the lock of all that measure, and no predictions beside. */

import { createMeasurementRunner } from '../sweep/measurements.js';
import type { PointRunner } from '../sweep/runner.js';
import { Shelf } from '../sweep/shelf.js';
import type { RunEnd } from '../sweep/worker.js';
import type { Output } from '../terminal/output.js';
import type { PointMessage } from './messages.js';

/** So long after its last run a sweep still has the machine: the next one needs no warm-ups. */
const keptMs = 2000;

export class MeasuringDesk {
  readonly #output: Output;
  readonly #signal: AbortSignal;
  readonly #lockPath: string | undefined;
  readonly #quiet: (isQuiet: boolean) => Promise<void>;
  #runner: PointRunner | null = null;
  #session = '';
  #release: NodeJS.Timeout | undefined;
  #closed: Promise<void> = Promise.resolve();

  /**
   * @param lockPath of all that measure here
   * @param quiet called before this machine is measured on, and when it is free again
   */
  constructor(
    output: Output,
    signal: AbortSignal,
    lockPath: string | undefined,
    quiet: (isQuiet: boolean) => Promise<void>,
  ) {
    this.#output = output;
    this.#lockPath = lockPath;
    this.#signal = signal;
    this.#quiet = quiet;
  }

  async run(message: PointMessage, results: string): Promise<RunEnd> {
    clearTimeout(this.#release);
    try {
      const runner = await this.#runnerOf(message, results);
      return await runner.run(message.location, message.turn);
    } catch (error) {
      if (this.#signal.aborted) return { end: 'stopped' };
      throw error;
    } finally {
      this.#release = setTimeout(() => void this.close(), keptMs);
    }
  }

  async #runnerOf(
    { session, location, metric, warmups }: PointMessage,
    results: string,
  ): Promise<PointRunner> {
    if (this.#runner !== null && this.#session === session) return this.#runner;
    await this.close();
    const { experiment } = location.point;
    const request = {
      ...{ results, warmups, output: this.#output, signal: this.#signal },
      ...(this.#lockPath === undefined ? {} : { lockPath: this.#lockPath }),
      definition: { name: experiment, metric },
    };
    await this.#quiet(true);
    const runner = await createMeasurementRunner(request, new Shelf(this.#output, this.#signal));
    this.#runner = runner;
    this.#session = session;
    try {
      await runner.prepare(location.point);
    } catch (error) {
      await this.close(); // nobody may measure without the lock
      throw error;
    }
    return runner;
  }

  /** One after the other: who comes next finds the machine free, and makes it quiet again. */
  close(): Promise<void> {
    clearTimeout(this.#release);
    this.#closed = this.#closed.then(() => this.#end());
    return this.#closed;
  }

  async #end(): Promise<void> {
    const runner = this.#runner;
    this.#runner = null;
    if (runner === null) return;
    await runner.close();
    await this.#quiet(false);
  }
}
