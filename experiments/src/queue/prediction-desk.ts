/** Predicts points of a queue on this process's threads, those of several sweeps beside each other. */

import { collectProvenance, type ProvenanceRecord } from '../store/index.js';
import { createPredictionPool, type PredictionPool } from '../sweep/pool.js';
import type { RunEnd } from '../sweep/worker.js';
import type { PointMessage } from './messages.js';

interface Sweep {
  readonly pool: PredictionPool;
  numActive: number;
}

export class PredictionDesk {
  readonly #numThreads: number;
  readonly #provenance: ProvenanceRecord;
  /** By session and store; those that have nothing to do end when another one comes. */
  readonly #sweeps = new Map<string, Sweep>();

  private constructor(numThreads: number, provenance: ProvenanceRecord) {
    this.#numThreads = numThreads;
    this.#provenance = provenance;
  }

  static async open(numThreads: number): Promise<PredictionDesk> {
    return new PredictionDesk(numThreads, await collectProvenance());
  }

  async run(message: PointMessage, results: string): Promise<RunEnd> {
    const sweep = await this.#sweepOf(message, results);
    sweep.numActive += 1;
    try {
      return await sweep.pool.run({ location: message.location, turn: message.turn });
    } finally {
      sweep.numActive -= 1;
    }
  }

  async #sweepOf(message: PointMessage, results: string): Promise<Sweep> {
    const { session, metric, keepsTraces, location } = message;
    const { experiment } = location.point;
    const id = JSON.stringify([session, results, experiment, metric, keepsTraces]);
    const known = this.#sweeps.get(id);
    if (known) return known;
    const idle = [...this.#sweeps].filter(([, { numActive }]) => numActive === 0);
    for (const [other] of idle) this.#sweeps.delete(other);
    const setup = { results, experiment, metric, keepsTraces, provenance: this.#provenance };
    const sweep: Sweep = { pool: createPredictionPool(setup, this.#numThreads), numActive: 0 };
    this.#sweeps.set(id, sweep);
    await Promise.all(idle.map(([, { pool }]) => pool.close()));
    return sweep;
  }

  /** Lets runs under way end early. */
  stop(): void {
    for (const { pool } of this.#sweeps.values()) pool.stop();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sweeps.values()].map(({ pool }) => pool.close()));
  }
}
