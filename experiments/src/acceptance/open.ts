/** An acceptance as people name one: a rate, rates by position, or a recorded file. */

import { type Acceptance, mostCandidates, parseAcceptance, UserError } from '@specoffload/engine';
import { maybeReadJson, parseNumber } from '@specoffload/input';
import { UsageError } from '../terminal/errors.js';

/** Of a file that records what a draft got right of ten thousand sequences of a thousand tokens. */
const mostAcceptanceBytes = 1 << 26;

/**
 * @param which a rate, rates by position separated by commas, or an acceptance file.
 * @throws UsageError for a rate out of range, UserError for a broken file.
 */
export async function openAcceptance(flag: string, which: string): Promise<Acceptance> {
  const written = which.split(',');
  const byPosition = written.flatMap((text) => parseNumber(text.trim()) ?? []);
  // One number among commas is enough to tell a slip in a list of rates from the name of a file.
  if (byPosition.length > 0 || /^[\s,.]*$/.test(which)) {
    const isComplete = byPosition.length === written.length && byPosition.length <= mostCandidates;
    if (!(isComplete && byPosition.every((rate) => 0 <= rate && rate <= 1)))
      throw new UsageError(
        `invalid ${flag}: ${which}; expected a rate from 0 to 1 such as 0.7, or one per position: 0.8,0.7,0.6`,
      );
    return { kind: 'rates', name: which, byPosition };
  }
  const json = await maybeReadJson(
    which,
    mostAcceptanceBytes,
    {},
    'expected an acceptance file with kind rates or recorded',
  );
  if (json !== null) return parseAcceptance(json, which);
  throw new UserError(
    `cannot read the acceptance ${which}; expected a rate such as 0.7, rates such as 0.8,0.7,0.6, or an acceptance file`,
  );
}
