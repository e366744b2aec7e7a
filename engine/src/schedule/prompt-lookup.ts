/**
 * Prompt lookup: texts repeat themselves, so what followed the latest tokens where they stood before is proposed again.
 * No model, no memory, microseconds on the host; nothing is proposed where the latest token is a new one.
 * Source: Saxena, github.com/apoorvumang/prompt-lookup-decoding.
 */

import { lookUpDrafter } from './look-up-drafter.js';

/** The longest run of latest tokens that is looked for; where it never stood before, shorter ones are. */
const longestMatch = 3;

export const promptLookup = lookUpDrafter({
  name: 'prompt-lookup',
  /** Every token is compared with the latest ones. */
  roundWork: (tokens) => ({ bytes: 4 * tokens, flops: longestMatch * tokens }),
  guess: lookUp,
  open: () => ({
    propose: (sequence, assumed, wanted) => lookUp([...sequence.tokensFrom(0), ...assumed], wanted),
    other(sequence, assumed, token) {
      const place = placeBefore([...sequence.tokensFrom(0), ...assumed], token);
      return place && { id: place.follower, behind: longestMatch - place.count };
    },
  }),
});

/** What followed the latest tokens at the latest place where as many of them as possible stood before. */
function lookUp(tokens: readonly number[], wanted: number): readonly number[] {
  const { end = tokens.length } = placeBefore(tokens, null) ?? {};
  return tokens.slice(end, end + wanted);
}

/** @param except what does not follow there */
function placeBefore(tokens: readonly number[], except: number | null) {
  for (let count = Math.min(longestMatch, tokens.length - 1); count > 0; count -= 1)
    for (let start = tokens.length - count - 1; start >= 0; start -= 1) {
      const [end, follower] = [start + count, tokens[start + count]];
      if (follower !== except && isRepeated(tokens, start, count)) return { end, follower, count };
    }
  return null;
}

/** Whether the last `count` tokens stand at `start`, too. */
function isRepeated(tokens: readonly number[], start: number, count: number): boolean {
  for (let i = 0; i < count; i += 1)
    if (tokens[start + i] !== tokens[tokens.length - count + i]) return false;
  return true;
}
