/** A recorded trace in numbers: how often the target agrees, position by position and over all. */

import { type AcceptanceRates, type AcceptanceTrace, secondChoiceOf, UserError } from '@specoffload/engine';

/**
 * Candidates tried and kept, by position (0-based), as records count them: over all beginnings of all texts that as
 * many tokens follow as candidates were tried, so that the end of a text is not taken for a disagreement.
 * @throws UserError when the texts are too short for that.
 */
export function countPositions(trace: AcceptanceTrace): { proposed: number; accepted: number }[] {
  const runs = wholeRuns(trace);
  return Array.from({ length: trace.candidates }, (_, position) => ({
    proposed: runs.length,
    accepted: runs.filter((run) => run > position).length,
  }));
}

/** The chance that a candidate stands once those before it do, by position; 0 where none ever got so far. */
export function ratesByPosition(trace: AcceptanceTrace): AcceptanceRates {
  const counts = countPositions(trace);
  const byPosition = counts.map(({ proposed, accepted }, position) => {
    const tried = position === 0 ? proposed : counts[position - 1].accepted;
    return tried === 0 ? 0 : accepted / tried;
  });
  const second = trace.ranks ? { secondChoice: secondChoiceOf(trace) } : {};
  return { kind: 'rates', name: trace.name, byPosition, ...second };
}

/** One rate for all positions: of the candidates whose predecessors stood, those that stood too. */
export function singleRate(trace: AcceptanceTrace): number {
  const runs = wholeRuns(trace);
  const accepted = runs.reduce((sum, run) => sum + run, 0);
  const refused = runs.filter((run) => run < trace.candidates).length;
  return accepted / (accepted + refused);
}

/** How far the draft goes along, from every beginning that enough tokens follow. */
function wholeRuns({ name, candidates, sequences }: AcceptanceTrace): number[] {
  const runs = sequences.flatMap((own) => own.slice(0, Math.max(0, own.length - candidates + 1)));
  if (runs.length === 0)
    throw new UserError(
      `the acceptance ${name} has no text of ${candidates} new tokens; record longer texts, or fewer candidates`,
    );
  return runs;
}
