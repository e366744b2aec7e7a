/** Fields of a policy about proposing, in the order in which they are settled: see `policy-fields.ts`. */

import { mostCandidates } from '../speculate/acceptance.js';
import { choice, count } from './declare-field.js';

export const draftCache = { about: 'draft', option: "the draft's cache" } as const;

export const proposingFields = {
  candidates: count([1, mostCandidates], {
    about: 'draft',
    option: 'candidates',
    meaning: 'tokens proposed per sequence and round',
    default: 4,
    axis: ['candidates'],
  }),
  alternates: count([0, mostCandidates], {
    about: 'draft',
    option: 'alternates',
    meaning:
      "the drafter's second choices, in the places where it is least sure, that are verified beside the candidates of a sequence and round: where the target chooses one, its next token is known, too",
    default: 0,
    atMost: ({ candidates }) => candidates,
    axis: ['alternates'],
  }),
  alternateTokens: count([1, mostCandidates], {
    about: 'draft',
    option: 'alternates',
    meaning:
      'tokens of each alternate: behind the second choice a draft model goes on, in a branch of its own, behind all candidates of its step',
    default: 1,
    atMost: ({ candidates }) => candidates,
    axis: ['alternates'],
  }),
  adaptCandidates: choice({
    about: 'draft',
    option: 'candidates',
    meaning: 'how many of `candidates` a round proposes',
    words: {
      no: 'all of them',
      yes: 'from none to all, for each batch whatever brings the most tokens per second by the times and the acceptance that the run has seen',
    },
    default: 'no',
    axis: ['adaptCandidates'],
  }),
  joinBatches: choice({
    about: 'batches',
    option: 'batches that join',
    meaning: 'what becomes of two batches in flight when those of both that have not ended would fit in one',
    words: {
      no: 'each goes on in passes of its own',
      yes: 'they go on as one: one pass over the weights verifies all, behind a draft that has few to propose for',
    },
    default: 'no',
    axis: ['joinBatches'],
  }),
  outcomes: count([1, 64], {
    about: 'draft',
    option: 'outcomes prepared while verifying',
    meaning:
      "outcomes of a sequence's verification (candidates that stand, and the target's own token), the likeliest first, that a draft model with a kept cache prepares for with speculation ahead, until the pass ends, 4 in the strategy ahead; 1: that all stand, however long it takes",
    default: 1,
    axis: ['outcomes'],
  }),
  draftCache: choice({
    ...draftCache,
    meaning: "what becomes of the draft's KV cache between rounds",
    words: {
      recompute: 'the whole context is prefilled again every round',
      resident: 'it is kept',
      window: 'a window of the context is prefilled again every round',
    },
    default: 'resident',
    axis: ['draftCache'],
  }),
  draftWindow: count([1, 1_048_576], {
    ...draftCache,
    meaning: 'latest tokens that a draft with draftCache window sees',
    default: 64,
    axis: ['draftCache'],
  }),
};
