/** Whether all runs of the same texts wrote the same tokens, whatever their strategy: speculation may never change them. */

import { f32Arithmetic } from '@specoffload/engine';
import { compareSequences, describeDifference, type Written } from '../job/compare.js';
import { contentsOf, type MeasuredRecord, readTokens } from '../store/index.js';

export interface Agreement {
  /** Runs that were compared with another one of the same texts. */
  readonly compared: number;
  /** Runs that parted from the others where rounding decides. */
  readonly ties: number;
  /** Runs that wrote something else, a sentence each. There must be none. */
  readonly errors: readonly string[];
}

export interface AgreeingRun {
  readonly record: MeasuredRecord;
  readonly folder: string;
}

/** Compares runs with the first one of the same target, packed or not, prompts and length. */
export class AgreementCheck {
  readonly #references = new Map<string, AgreeingRun>();
  #compared = 0;
  #ties = 0;
  readonly #errors: string[] = [];

  /** @throws UserError when the tokens of one of them cannot be read */
  async add(run: AgreeingRun): Promise<void> {
    const { model, workload, result, spec } = run.record;
    // What the rejection rule writes depends on the order of the rounds, and so does what noise does.
    if (spec?.sampling?.rule === 'rejection' || spec?.productNoise) return;
    const { digest, maxNewTokens, stopAtEos } = workload;
    const asked = { digest, maxNewTokens, stopAtEos, ...drawnWith(run.record) };
    const texts = JSON.stringify([contentsOf(model.target), asked]);
    const reference = this.#references.get(texts);
    if (!reference) {
      this.#references.set(texts, run);
      return;
    }
    if (result.outputDigest === reference.record.result.outputDigest) {
      this.#compared += 1;
      return;
    }
    const [expected, actual] = [await readWritten(reference), await readWritten(run)];
    this.#compared += 1;
    const { differences, numErrors } = compareSequences(expected, actual);
    if (numErrors === 0) this.#ties += 1;
    else {
      const worst = differences.find(({ tie }) => tie === null)!;
      this.#errors.push(
        `${run.record.strategy} (${run.record.key}) wrote other tokens than ${reference.record.strategy} (${reference.record.key}): ${describeDifference(worst)}`,
      );
    }
  }

  get result(): Agreement {
    return { compared: this.#compared, ties: this.#ties, errors: this.#errors };
  }
}

/** What decides, beside the logits, which tokens a run writes; runs that draw do so with their seed. */
function drawnWith({ spec, seed }: MeasuredRecord) {
  const { sampling = null, stops = [] } = spec ?? {};
  return { sampling, stops, seed: sampling ? seed : null };
}

async function readWritten({ folder, record }: AgreeingRun): Promise<Written> {
  const { arithmetic = f32Arithmetic } = record.result;
  const lines = await readTokens(folder);
  const sequences = lines.map(({ ids, margins, routerMargins, stopReason }) => ({
    ...{ ids, margins, stopReason },
    routerMargins: routerMargins ?? ids.map(() => Number.POSITIVE_INFINITY),
  }));
  return { sequences, arithmetic };
}
