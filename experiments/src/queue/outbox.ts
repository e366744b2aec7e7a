/** Where a worker without the sweep's own store keeps a record until it is sent: a store that nobody reads. */

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeTemporaryFolder, maybeReadBytes, UserError } from '@specoffload/input';
import { mostAnswerCharacters, type SentFiles } from './messages.js';

export class Outbox {
  /** As the results of the runs that are to be sent. */
  readonly results: string;

  private constructor(results: string) {
    this.results = results;
  }

  static async open(): Promise<Outbox> {
    return new Outbox(await makeTemporaryFolder('outbox'));
  }

  /** @throws UserError for what is too large to be sent */
  async take(experiment: string, key: string): Promise<SentFiles> {
    const folder = join(this.results, experiment, key);
    const record = await readFile(join(folder, 'run.json'), 'utf8');
    const trace = await maybeReadBytes(join(folder, 'trace.json.gz'), mostAnswerCharacters);
    const tokens = await maybeReadBytes(join(folder, 'tokens.jsonl'), mostAnswerCharacters);
    const files: SentFiles = {
      record,
      trace: trace === null ? null : Buffer.from(trace).toString('base64'),
      tokens: tokens === null ? null : Buffer.from(tokens).toString('utf8'),
    };
    const characters = record.length + (files.trace?.length ?? 0) + (files.tokens?.length ?? 0);
    if (characters > mostAnswerCharacters / 2)
      throw new UserError(
        `its record has ${characters} characters, more than a queue takes; give workers the sweep's own store with --results, on a folder that both see`,
      );
    await rm(folder, { recursive: true, force: true });
    return files;
  }

  async close(): Promise<void> {
    await rm(this.results, { recursive: true, force: true });
  }
}
