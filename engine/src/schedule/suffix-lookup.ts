/**
 * Suffix lookup: what followed the longest ending of a text that stood before, however long, is proposed again. Each
 * sequence keeps a suffix automaton, which takes in every token once.
 */

import type { Sequence } from '../speculate/sequence.js';
import { lookUpDrafter } from './look-up-drafter.js';
import { automatonBytesPerToken, SuffixAutomaton } from './suffix-automaton.js';

/** Of a longer text, the beginning is forgotten. */
const mostTokens = 1 << 17;

/** New tokens of a sequence in a round: bytes and steps for those that known ones have brought about. */
const newShare = 1 / 64;

export const suffixLookup = lookUpDrafter({
  name: 'suffix-automaton',
  bytesPerToken: automatonBytesPerToken,
  roundWork: (tokens) => ({ bytes: automatonBytesPerToken * newShare * tokens, flops: tokens }),
  guess(text, wanted) {
    const automaton = new SuffixAutomaton(Math.min(text.length, mostTokens));
    automaton.append(text);
    return automaton.continuation(wanted);
  },
  open() {
    const known = new WeakMap<Sequence, { readonly automaton: SuffixAutomaton; numTaken: number }>();
    const automatonOf = (sequence: Sequence) => {
      const { prompt, maxNewTokens, length } = sequence;
      const capacity = Math.min(prompt.length + maxNewTokens, mostTokens);
      const own = known.get(sequence) ?? { automaton: new SuffixAutomaton(capacity), numTaken: 0 };
      known.set(sequence, own);
      own.automaton.append(sequence.tokensFrom(own.numTaken));
      own.numTaken = length;
      return own.automaton;
    };
    return {
      propose: (sequence, assumed, wanted) => automatonOf(sequence).continuation(wanted, assumed),
      other(sequence, assumed, token) {
        const other = automatonOf(sequence).other(assumed, token);
        return other && { id: other.id, behind: Math.log(other.longest / other.length) };
      },
    };
  },
});
