/** What a notebook's cell has in place of a terminal. */

import type { RunProgress } from '@specoffload/engine';
import type { ProgressState } from '@specoffload/kernel';
import type { SweepProgress } from '../sweep/index.js';
import type { Output } from '../terminal/output.js';

/** Sentences go below the cell; work under way is shown by the cell's own progress bar. */
export const cellOutput: Output = {
  say: (line) => console.log(line),
  note: (line) => console.log(line),
  stream: (text) => process.stdout.write(text),
  document: () => {},
  follow: () => ({ update: () => {}, end: () => {} }),
};

/** A run's progress for a bar: in new tokens. */
export function runState(title: string, { phase, newTokens, maxNewTokens }: RunProgress): ProgressState {
  return { done: newTokens, total: maxNewTokens, note: `${title}, ${phase}` };
}

/**
 * Several runs' progress for one bar, from the first to the last: in new tokens of all together.
 * @param titles of the runs in their order, all of the same texts
 */
export function runsState(
  titles: readonly string[],
): (title: string, progress: RunProgress) => ProgressState {
  return (title, progress) => {
    const place = titles.indexOf(title);
    const { done, total, note } = runState(`${title} (${place + 1} of ${titles.length})`, progress);
    return { done: place * total + done, total: titles.length * total, ...(note !== undefined && { note }) };
  };
}

/** A sweep's progress for a bar: in runs. */
export function sweepState({ done, total, current }: SweepProgress): ProgressState {
  return { done, total, ...(current === null ? {} : { note: current }) };
}

/** Quick runs are another experiment than those that a notebook shows: where nobody says otherwise they have a store of their own. */
export function storeOf({ quick, results }: { readonly quick: boolean; readonly results: string }): string {
  return quick && results === '../results' ? '../results/quick' : results;
}
