import {
  loadReferenceWeights,
  openCheckpoint,
  type ReferenceWeights,
  type RouterChoice,
  referenceGreedy,
  referenceLogits,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../oracle.js';
import { type Golden, goldenDirectory, goldenNames, maxDifference, readGolden } from './golden.js';

const tolerance = 1e-4;

describe.each(goldenNames)('reference on %s', (name) => {
  const golden: Golden = readGolden(name);
  let weights: ReferenceWeights;
  beforeAll(async () => {
    weights = await loadReferenceWeights(await openCheckpoint(goldenDirectory(name)));
  });

  it.each([0, 1, 2, 3])(
    'matches transformers at the last position of prompt %i and at each new token',
    (i) => {
      const { ids, last_logits, greedy_ids, greedy_margins } = golden.prompts[i];
      // No position sees those behind it, so one pass over the whole text has what each new token was chosen by.
      const judged = judge(weights, ids, greedy_ids);
      expect(maxDifference(judged[0]!.logits, last_logits)).toBeLessThan(tolerance);
      expect(judged.map(({ best }) => best)).toEqual(greedy_ids);
      const margins = judged.map(({ margin }) => margin);
      expect(maxDifference(margins, greedy_margins)).toBeLessThan(tolerance);
    },
  );

  it('continues greedily, every token anew from the first on', () => {
    const [{ ids, greedy_ids, greedy_margins }] = golden.prompts;
    const greedy = referenceGreedy(weights, ids, greedy_ids.length);
    expect(greedy.ids).toEqual(greedy_ids);
    expect(maxDifference(greedy.margins, greedy_margins)).toBeLessThan(tolerance);
  });

  it.skipIf(!golden.all_positions)('matches at every position', () => {
    const { prompt, logits } = golden.all_positions as NonNullable<Golden['all_positions']>;
    const actual = referenceLogits(weights, golden.prompts[prompt].ids);
    expect(actual.length).toBe(logits.length);
    for (const [position, expected] of logits.entries()) {
      expect(maxDifference(actual[position], expected), `position ${position}`).toBeLessThan(tolerance);
    }
  });

  const router = golden.router;
  if (router === undefined) return;
  it('routes every token to the same experts with the same weights', () => {
    const { prompt, layers } = router;
    const choices: RouterChoice[] = [];
    referenceLogits(weights, golden.prompts[prompt].ids, { onRoute: (choice) => choices.push(choice) });
    expect(choices.length).toBe(layers.length * golden.prompts[prompt].ids.length);
    for (const { layer, position, experts, weights: shares, logits } of choices) {
      expect(experts).toEqual(layers[layer].experts[position]);
      expect(maxDifference(shares, layers[layer].weights[position])).toBeLessThan(tolerance);
      expect(maxDifference(logits, layers[layer].logits[position])).toBeLessThan(tolerance);
    }
  });
});

it('refuses token ids outside the vocabulary', async () => {
  const weights = await loadReferenceWeights(await openCheckpoint(goldenDirectory('mistral-full')));
  expect(() => referenceLogits(weights, [199])).toThrow(
    'invalid token id: 199; expected an integer from 0 to 198',
  );
});
