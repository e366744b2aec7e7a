import {
  loadReferenceWeights,
  openCheckpoint,
  type ReferenceWeights,
  type RouterChoice,
  referenceGreedy,
  referenceLogits,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Golden, goldenDirectory, goldenNames, maxDifference, readGolden } from './golden.js';

const tolerance = 1e-4;

describe.each(goldenNames)('reference on %s', (name) => {
  const golden: Golden = readGolden(name);
  let weights: ReferenceWeights;
  beforeAll(async () => {
    weights = await loadReferenceWeights(await openCheckpoint(goldenDirectory(name)));
  });

  it.each([0, 1, 2, 3])(
    'matches transformers at the last position of prompt %i and continues it greedily',
    (i) => {
      const { ids, last_logits, greedy_ids, greedy_margins } = golden.prompts[i];
      const [logits] = referenceLogits(weights, ids, { positions: 'last' });
      expect(maxDifference(logits!, last_logits)).toBeLessThan(tolerance);
      // It computes every token anew from the first on: of the longest prompt a few are enough.
      const numTokens = ids.length < 40 ? greedy_ids.length : 6;
      const greedy = referenceGreedy(weights, ids, numTokens);
      expect(greedy.ids).toEqual(greedy_ids.slice(0, numTokens));
      expect(maxDifference(greedy.margins, greedy_margins.slice(0, numTokens))).toBeLessThan(tolerance);
    },
  );

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
