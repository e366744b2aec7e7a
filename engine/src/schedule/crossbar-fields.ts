/** Fields of weights that are multiplied where they lie. */

import { choice, count } from './declare-field.js';

const multipliedInMemory = { about: 'places', option: 'weights are multiplied in crossbars' } as const;

export const crossbarFields = {
  crossbars: choice({
    ...multipliedInMemory,
    meaning:
      "which weights are written into the machine's crossbars before the run and multiplied there; a prediction only",
    words: {
      none: 'none',
      attention: "projections of the target's attention, with their norms and the router",
      experts: 'its experts, or FFNs',
      layers: 'both',
      head: 'its head',
      draft: 'the draft model, whose cache stays on the device',
    },
    default: 'none',
    axis: { notSearched: 'a machine with crossbars is asked for each of them: `sweep in-memory`' },
  }),
  crossbarLayers: count([0, 4096], {
    ...multipliedInMemory,
    meaning:
      'layers of the target that crossbars hold those weights of, at even distances; 0: as many as fit',
    default: 0,
    axis: { notSearched: 'more is never slower' },
  }),
};
