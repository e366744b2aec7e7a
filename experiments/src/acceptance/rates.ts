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

/**
 * The same in the rounds that a run of so many new tokens would make, one behind the other. They begin where a candidate
 * fell, and texts that go on for longer repeat themselves: from any place of a long text more candidates stand.
 * @param newTokens of each sequence. @default all
 * @param places positions that are told apart: the last one stands for all from there on. @default all
 */
export function ratesInRounds(
  trace: AcceptanceTrace,
  newTokens = trace.newTokens,
  places = trace.candidates,
): AcceptanceRates {
  const { name, candidates, sequences, ranks } = trace;
  const tried = new Array<number>(places).fill(0);
  const kept = new Array<number>(places).fill(0);
  const count = (counts: number[], upTo: number) => {
    for (let place = 0; place < upTo; place += 1) counts[Math.min(place, places - 1)] += 1;
  };
  const fallen = { all: 0, seconds: 0 };
  for (const [sequence, runs] of sequences.entries()) {
    const end = Math.min(newTokens, runs.length);
    // The first token comes with the prompt.
    for (let at = 1; at < end; ) {
      const most = Math.min(candidates, end - at);
      const run = Math.min(runs[at], most);
      count(tried, Math.min(run + 1, most));
      count(kept, run);
      if (run < most) {
        fallen.all += 1;
        if (ranks?.[sequence]?.[at + run] === 1) fallen.seconds += 1;
      }
      at += run + 1;
    }
  }
  const byPosition = tried.map((times, place) => (times === 0 ? 0 : kept[place] / times));
  const second = ranks && fallen.all > 0 ? { secondChoice: fallen.seconds / fallen.all } : {};
  return { kind: 'rates', name, byPosition, ...second };
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
