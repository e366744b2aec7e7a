/** Fields of work that host and device share at the same time: FFNs, as HeteGen does, and attention, as APEX does. */

import { choice, count, share } from './declare-field.js';

export const places = { about: 'places', option: 'places of attention, projections and caches' } as const;
export const hostExperts = 'host computes a share of the FFNs';

export const sharingFields = {
  hostShare: share({
    about: 'places',
    option: hostExperts,
    meaning:
      "share of every FFN's neurons that the host computes instead of sending them; not of FFNs with biases or a norm behind them",
    default: 0,
    axis: ['hostShare'],
  }),
  balance: choice({
    about: 'places',
    option: hostExperts,
    meaning: 'what decides how much of a layer the host computes instead of sending it, as HeteGen does',
    words: {
      given: '`hostShare`, of every FFN',
      measured:
        'of every kind of layer the times that it takes on the host and on the link, each measured alone: both shall end together',
      printed: "the same by HeteGen's printed equation on three rates, whatever the kind of layer",
    },
    default: 'given',
    axis: { notSearched: '`hostShare` is searched in its place' },
  }),
  overlap: choice({
    ...places,
    meaning: 'how host and device overlap where the attention is split',
    words: {
      'sub-batches': 'both parts pass the layers together and wait for each other at the end of every pass',
      asynchronous:
        "the device's part goes on, pass after pass, while the host's is under way; all layers stay on the device",
      'by-rule':
        "before every step one of both, or the device's part alone, by APEX's rule on the times seen so far",
    },
    default: 'sub-batches',
    axis: { notSearched: 'by-rule finds it while it runs' },
  }),
  leastOnHost: count([1, 4096], {
    ...places,
    meaning:
      "sequences of the host's part below which it waits while the device has others, unless overlap is sub-batches",
    default: 1,
    axis: { notSearched: 'what starting the host costs is in its times' },
  }),
};
