/** How often each drafter was right on the shipped pair: what to go by where nothing better is known. */

import { type AcceptanceRates, type DrafterName, mostCandidates } from '@specoffload/engine';
import { mean } from 'simple-statistics';

/** Of new tokens of a sequence: later on texts repeat themselves, and more stands. */
interface ByLength<Measure> {
  readonly 32: Measure;
  readonly 96: Measure;
}

type ByWorkload<Measure> = Readonly<Record<string, ByLength<Measure>>>;

/**
 * By position, from there on as at the last, in the rounds of runs: the target greedy, 16 prompts, 8 candidates, of `self`
 * half of the layers. `specoffload bench --acceptance --json` measures it again (`byPosition`).
 */
const measured: Readonly<Record<DrafterName, ByWorkload<readonly number[]>>> = {
  model: {
    code: { 32: [0.63, 0.7, 0.79, 0.76], 96: [0.72, 0.79, 0.79, 0.76] },
    prose: { 32: [0.75, 0.69, 0.74, 0.8], 96: [0.81, 0.79, 0.77, 0.84] },
    dialogue: { 32: [0.73, 0.77, 0.85, 0.8], 96: [0.71, 0.78, 0.8, 0.85] },
    reference: { 32: [0.67, 0.69, 0.71, 0.74], 96: [0.74, 0.77, 0.82, 0.82] },
  },
  'prompt-lookup': {
    code: { 32: [0.2, 0.67, 0.63, 0.76], 96: [0.34, 0.71, 0.79, 0.84] },
    prose: { 32: [0.15, 0.39, 0.67, 0.82], 96: [0.28, 0.68, 0.8, 0.8] },
    dialogue: { 32: [0.15, 0.6, 0.61, 0.82], 96: [0.25, 0.75, 0.8, 0.88] },
    reference: { 32: [0.22, 0.65, 0.58, 0.59], 96: [0.39, 0.79, 0.69, 0.81] },
  },
  'suffix-automaton': {
    code: { 32: [0.2, 0.67, 0.62, 0.81], 96: [0.33, 0.77, 0.76, 0.9] },
    prose: { 32: [0.14, 0.44, 0.61, 0.85], 96: [0.26, 0.69, 0.74, 0.88] },
    dialogue: { 32: [0.15, 0.6, 0.61, 0.82], 96: [0.26, 0.74, 0.77, 0.87] },
    reference: { 32: [0.21, 0.63, 0.56, 0.73], 96: [0.37, 0.75, 0.76, 0.89] },
  },
  self: {
    code: { 32: [0.47, 0.53, 0.45, 0.53], 96: [0.52, 0.65, 0.53, 0.57] },
    prose: { 32: [0.44, 0.55, 0.44, 0.44], 96: [0.48, 0.54, 0.45, 0.4] },
    dialogue: { 32: [0.41, 0.4, 0.47, 0.33], 96: [0.43, 0.34, 0.38, 0.32] },
    reference: { 32: [0.51, 0.5, 0.5, 0.66], 96: [0.58, 0.58, 0.63, 0.69] },
  },
};

/**
 * How often a second choice was the target's token where the first was not, of drafters that always have one; measured by
 * the same command (`secondChoice`).
 */
const secondChoices: Partial<Readonly<Record<DrafterName, ByWorkload<number>>>> = {
  model: {
    code: { 32: 0.47, 96: 0.54 },
    prose: { 32: 0.64, 96: 0.62 },
    dialogue: { 32: 0.72, 96: 0.72 },
    reference: { 32: 0.4, 96: 0.46 },
  },
  self: {
    code: { 32: 0.34, 96: 0.36 },
    prose: { 32: 0.27, 96: 0.3 },
    dialogue: { 32: 0.37, 96: 0.38 },
    reference: { 32: 0.34, 96: 0.37 },
  },
};

/**
 * @param workload a shipped one; of others, and of none, the mean of all
 * @param newTokens of each sequence: between the lengths that were measured, between what was found there
 */
export function usualAcceptance(
  drafter: DrafterName = 'model',
  workload = '',
  newTokens = 96,
): AcceptanceRates {
  const rates = measured[drafter];
  const seconds = secondChoices[drafter];
  const isKnown = Object.hasOwn(rates, workload);
  const names = isKnown ? [workload] : Object.keys(rates);
  const later = Math.min(1, Math.max(0, (newTokens - 32) / (96 - 32)));
  const meanOf = (of: (name: string) => ByLength<number>) =>
    mean(names.map((name) => of(name)[32] + later * (of(name)[96] - of(name)[32])));
  const rateAt = (position: number) =>
    meanOf((name) => ({
      32: rates[name][32][position] ?? rates[name][32].at(-1),
      96: rates[name][96][position] ?? rates[name][96].at(-1),
    }));
  const who = drafter === 'model' ? 'its draft' : drafter;
  return {
    kind: 'rates',
    name: `the acceptance of the shipped pair with ${who} on ${isKnown ? workload : 'its workloads'}`,
    byPosition: Array.from({ length: mostCandidates }, (_, position) => rateAt(position)),
    ...(seconds && { secondChoice: meanOf((name) => seconds[name]) }),
  };
}
