/** What the store holds of an experiment's runs. */

import { join } from 'node:path';
import { UserError } from '@specoffload/input';
import { defaultMetric, measure } from '../definitions/metrics.js';
import { openRun, scanRuns } from '../store/index.js';
import type { SweepRequest } from './options.js';

/** By key: what a run reached; null where it has no such number. */
export class KnownRuns extends Map<string, number | null> {
  readonly #request: SweepRequest;

  constructor(request: SweepRequest) {
    super();
    this.#request = request;
  }

  get #metric(): string {
    return this.#request.definition.metric ?? defaultMetric;
  }

  /** What cannot be read is named, and counts as missing: it is run again. */
  async readAll(): Promise<void> {
    const { results, definition, output, signal } = this.#request;
    const { name: experiment } = definition;
    for await (const { record } of scanRuns({ results, experiment, onWarning: output.note, signal }))
      this.set(record.key, measure(record, this.#metric));
  }

  /** A run that another process stored. */
  readOne(key: string): void {
    const { results, definition, output } = this.#request;
    try {
      this.set(key, measure(openRun(join(results, definition.name, key)).record, this.#metric));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      output.note(error.message);
      this.set(key, null);
    }
  }
}
