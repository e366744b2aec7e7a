/** What a record says of weights that a predicted run has in crossbars. */

import type { CrossbarReport } from '@specoffload/engine';
import { is, type Schema } from '@specoffload/input';
import { count } from './words.js';

const { amount, described, orMissing, orNull } = is;

export const crossbarRecord = described(
  orMissing(
    is.picked({
      layers: described(count, '', 'of the target, of which they hold something'),
      bytes: described(count, 'B', 'weights in crossbars'),
      writeSeconds: described(amount, 's', 'writing those, once; not in seconds'),
      writeJoules: orNull(described(amount, 'J', 'likewise; not in joules; null: nobody says')),
    }),
  ) satisfies Schema<CrossbarReport | undefined>,
  '',
  'left out where nothing is in crossbars',
);
