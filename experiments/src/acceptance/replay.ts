/**
 * Rounds of speculation played again from a recorded trace: which candidates stand follows from the text alone, so
 * that one recording tells what any number of candidates up to its longest stretch would have brought.
 */

import { type AcceptanceTrace, UserError } from '@specoffload/engine';

/** One sequence's rounds. */
export interface ReplayedSequence {
  readonly rounds: number;
  /** Brought by the rounds: all new tokens but the first, which comes from prefill. */
  readonly tokens: number;
  readonly tokensPerRound: number;
}

/**
 * `replayRounds(trace, 4)`: sequence by sequence, those with a single new token left out.
 * @throws UserError when the trace tried fewer candidates.
 */
export function replayRounds(
  { name, candidates: longest, sequences }: AcceptanceTrace,
  candidates: number,
): ReplayedSequence[] {
  if (!(Number.isInteger(candidates) && 0 <= candidates && candidates <= longest))
    throw new UserError(
      `invalid candidates: ${candidates}; expected a whole number from 0 to ${longest}, which is what ${name} recorded`,
    );
  return sequences.filter((runs) => runs.length > 1).map((runs) => replay(runs, candidates));
}

/** @param runs by number of new tokens that there are: how many candidates from there on stand. */
function replay(runs: readonly number[], candidates: number): ReplayedSequence {
  let rounds = 0;
  let have = 1; // prefill's token
  while (have < runs.length) {
    const left = runs.length - have;
    have += 1 + Math.min(runs[have], candidates, left - 1);
    rounds += 1;
  }
  const tokens = runs.length - 1;
  return { rounds, tokens, tokensPerRound: tokens / rounds };
}

/** All sequences together: tokens over rounds, not the mean of their ratios. */
export function tokensPerRound(replayed: readonly ReplayedSequence[]): number {
  const sum = (field: 'tokens' | 'rounds') =>
    replayed.reduce((total, sequence) => total + sequence[field], 0);
  return sum('tokens') / sum('rounds');
}
