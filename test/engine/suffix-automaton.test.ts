/** What a suffix automaton proposes, against looking at every place of random texts. */

import { createRandom, suffixLookup } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { SuffixAutomaton } from '../../engine/dist/schedule/suffix-automaton.js';
import { integer } from './draw.js';

const endsWith = (text: readonly number[], count: number, end: number) =>
  text.slice(text.length - count).every((token, index) => token === text[end - count + 1 + index]);

/** Length of the longest ending of `text` that ends before `before`, too, and all places where it does. */
function longestMatch(text: readonly number[], before: number) {
  for (let count = text.length; count > 0; count -= 1) {
    const ends: number[] = [];
    for (let end = count - 1; end < before; end += 1) if (endsWith(text, count, end)) ends.push(end);
    if (ends.length > 0) return { count, ends };
  }
  return { count: 0, ends: [] };
}

/** What stands behind a place of a text that goes on as it is proposed. */
function behind(text: readonly number[], end: number, wanted: number): number[] {
  const longer = [...text];
  for (let place = end + 1; longer.length < text.length + wanted; place += 1) longer.push(longer[place]);
  return longer.slice(text.length);
}

describe('a suffix automaton', () => {
  it.each([1, 2, 3, 8])('finds the longest ending that stood before, over %i words', (words) => {
    const random = createRandom(1, `texts of ${words}`);
    for (let text = 0; text < 25; text += 1) {
      const tokens = Array.from({ length: 40 }, () => integer(random, 0, words - 1) * 131_071);
      const automaton = new SuffixAutomaton(tokens.length);
      for (let known = 1; known <= tokens.length; known += 1) {
        const prefix = tokens.slice(0, known);
        automaton.append([tokens[known - 1]]);
        const { count, ends } = longestMatch(prefix, known - 1);
        expect(automaton.matchLength).toBe(count);
        const proposed = automaton.continuation(5);
        if (count === 0) expect(proposed).toEqual([]);
        else expect(ends.map((end) => behind(prefix, end, 5))).toContainEqual(proposed);

        const assumed = tokens.slice(known, known + 2);
        const text = [...prefix, ...assumed];
        // Only places that the text itself has, since what is assumed is not taken in.
        const matches = longestMatch(text, known - 1).ends;
        const ahead = automaton.continuation(4, assumed);
        if (matches.length === 0) expect(ahead).toEqual([]);
        else expect(matches.map((end) => behind(text, end, 4))).toContainEqual(ahead);
      }
    }
  });

  it('proposes a loop for ever, and nothing behind a new token', () => {
    expect(suffixLookup.guess([7, 1, 2, 1, 2], 5)).toEqual([1, 2, 1, 2, 1]);
    expect(suffixLookup.guess([1, 2, 1, 2, 9], 5)).toEqual([]);
    expect(suffixLookup.guess([3], 5)).toEqual([]);
  });

  it('forgets the first half of what does not fit, and finds its way in the rest', () => {
    const random = createRandom(1, 'long text');
    const tokens = Array.from({ length: 700 }, () => integer(random, 0, 3));
    const [small, fresh] = [new SuffixAutomaton(100), new SuffixAutomaton(100)];
    small.append(tokens);
    // It forgets whenever the next token would be its 101st, so here it holds the last 100.
    fresh.append(tokens.slice(600));
    expect(small.matchLength).toBe(fresh.matchLength);
    expect(small.matchLength).toBeGreaterThan(1);
  });
});
