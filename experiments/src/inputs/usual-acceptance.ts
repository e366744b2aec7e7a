/** How often each drafter was right on the shipped pair: what to go by where nothing better is known. */

import { type AcceptanceRates, type DrafterName, mostCandidates } from '@specoffload/engine';
import { mean } from 'simple-statistics';

type ByWorkload = Readonly<Record<string, readonly number[]>>;

/**
 * By position, from there on as at the last: the target greedy, 16 prompts of 96 new tokens, of `self` half of the layers.
 * `specoffload bench --acceptance --json` measures it again (`byPosition`).
 */
const measured: Readonly<Record<DrafterName, ByWorkload>> = {
  model: {
    code: [0.76, 0.77, 0.77, 0.78],
    prose: [0.81, 0.82, 0.82, 0.85],
    dialogue: [0.79, 0.82, 0.84, 0.86],
    reference: [0.79, 0.81, 0.82, 0.83],
  },
  'prompt-lookup': {
    code: [0.62, 0.82, 0.88, 0.9],
    prose: [0.51, 0.79, 0.84, 0.78],
    dialogue: [0.53, 0.83, 0.87, 0.89],
    reference: [0.62, 0.82, 0.8, 0.77],
  },
  'suffix-automaton': {
    code: [0.61, 0.85, 0.88, 0.91],
    prose: [0.51, 0.8, 0.84, 0.88],
    dialogue: [0.52, 0.82, 0.86, 0.89],
    reference: [0.64, 0.84, 0.88, 0.91],
  },
  self: {
    code: [0.55, 0.59, 0.55, 0.57],
    prose: [0.48, 0.48, 0.44, 0.43],
    dialogue: [0.4, 0.36, 0.38, 0.31],
    reference: [0.61, 0.63, 0.68, 0.71],
  },
};

/**
 * How often a second choice was the target's token where the first was not, of drafters that always have one; measured by
 * the same command (`secondChoice`).
 */
const secondChoices: Partial<Readonly<Record<DrafterName, Readonly<Record<string, number>>>>> = {
  model: { code: 0.54, prose: 0.63, dialogue: 0.72, reference: 0.47 },
  self: { code: 0.36, prose: 0.3, dialogue: 0.38, reference: 0.37 },
};

/** @param workload a shipped one; of others, and of none, the mean of all */
export function usualAcceptance(drafter: DrafterName = 'model', workload = ''): AcceptanceRates {
  const byWorkload: ByWorkload = measured[drafter];
  const isKnown = Object.hasOwn(byWorkload, workload);
  const rates = isKnown ? byWorkload[workload] : meanOf(Object.values(byWorkload));
  const seconds = secondChoices[drafter];
  const who = drafter === 'model' ? 'its draft' : drafter;
  return {
    kind: 'rates',
    name: `the acceptance of the shipped pair with ${who} on ${isKnown ? workload : 'its workloads'}`,
    byPosition: Array.from(
      { length: mostCandidates },
      (_, position) => rates[position] ?? (rates.at(-1) as number),
    ),
    ...(seconds && { secondChoice: isKnown ? seconds[workload] : mean(Object.values(seconds)) }),
  };
}

function meanOf(all: readonly (readonly number[])[]): readonly number[] {
  return all[0].map((_, position) => mean(all.map((rates) => rates[position])));
}
