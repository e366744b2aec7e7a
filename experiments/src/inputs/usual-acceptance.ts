/** How often each drafter was right on the shipped pair: what to go by where nothing better is known. */

import { type AcceptanceRates, type DrafterName, mostCandidates } from '@specoffload/engine';
import { mean } from 'simple-statistics';

type ByWorkload = Readonly<Record<string, readonly number[]>>;

/**
 * By position, from there on as at the last: the target greedy, 6 prompts of 56 new tokens, of `self` half of the layers.
 * `specoffload bench --acceptance` measures it again.
 */
const measured: Readonly<Record<DrafterName, ByWorkload>> = {
  model: {
    code: [0.81, 0.84, 0.88, 0.9],
    prose: [0.83, 0.85, 0.86, 0.89],
    dialogue: [0.85, 0.86, 0.87, 0.87],
    reference: [0.81, 0.84, 0.87, 0.88],
  },
  'prompt-lookup': {
    code: [0.56, 0.66, 0.56, 0.78],
    prose: [0.48, 0.74, 0.81, 0.83],
    dialogue: [0.46, 0.77, 0.83, 0.6],
    reference: [0.61, 0.87, 0.92, 0.75],
  },
  'suffix-automaton': {
    code: [0.56, 0.83, 0.85, 0.88],
    prose: [0.47, 0.74, 0.8, 0.84],
    dialogue: [0.45, 0.77, 0.86, 0.92],
    reference: [0.61, 0.87, 0.91, 0.95],
  },
  self: {
    code: [0.56, 0.67, 0.75, 0.76],
    prose: [0.54, 0.52, 0.55, 0.5],
    dialogue: [0.58, 0.59, 0.59, 0.63],
    reference: [0.65, 0.66, 0.71, 0.77],
  },
};

/** @param workload a shipped one; of others, and of none, the mean of all */
export function usualAcceptance(drafter: DrafterName = 'model', workload = ''): AcceptanceRates {
  const byWorkload: ByWorkload = measured[drafter];
  const isKnown = Object.hasOwn(byWorkload, workload);
  const rates = isKnown ? byWorkload[workload] : meanOf(Object.values(byWorkload));
  const who = drafter === 'model' ? 'its draft' : drafter;
  return {
    kind: 'rates',
    name: `the acceptance of the shipped pair with ${who} on ${isKnown ? workload : 'its workloads'}`,
    byPosition: Array.from(
      { length: mostCandidates },
      (_, position) => rates[position] ?? (rates.at(-1) as number),
    ),
  };
}

function meanOf(all: readonly (readonly number[])[]): readonly number[] {
  return all[0].map((_, position) => mean(all.map((rates) => rates[position])));
}
