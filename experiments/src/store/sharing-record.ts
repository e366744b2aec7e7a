/** What a record says of work that host and device share. */

import { type RunOutcome, splitDecisions } from '@specoffload/engine';
import { is, type Schema } from '@specoffload/input';
import { count, fraction } from './words.js';

const { described, listOf, oneOf, orMissing } = is;

/** Fields of a run's outcome. */
export const sharingRecord = {
  hostShares: described(
    orMissing(
      is.picked({
        attention: described(fraction, '0 to 1', "of attention's projections"),
        expert: described(fraction, '0 to 1', 'of FFNs'),
      }),
    ),
    '',
    'what the host computed of layers that did not stay on the device, where the run balanced it; left out elsewhere',
  ) satisfies Schema<RunOutcome['hostShares']>,
  splitSteps: described(
    orMissing(listOf(is.picked({ decision: oneOf(splitDecisions), steps: count }))),
    '',
    'what was decided for consecutive steps of a batch whose attention is split; left out where its parts waited for each other',
  ),
};
