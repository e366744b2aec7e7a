/** What a record says of a run whose products were disturbed. */

import { type Checked, is } from '@specoffload/input';
import { count, fraction } from './words.js';

const { amount, described, orMissing, orNull } = is;

export type NoiseEffectRecord = NonNullable<Checked<typeof noiseRecord>>;

export const noiseRecord = described(
  orMissing(
    is.picked({
      sequences: described(count, '', 'that were compared with those of the same run without noise'),
      sameSequences: described(count, '', 'of those, that are the same'),
      tokensBefore: described(amount, 'tokens', 'of a sequence, on average, before the first other one'),
      sameTokens: described(fraction, '0 to 1', 'of the tokens without noise, those in the same place'),
      acceptanceRate: orNull(described(fraction, '0 to 1', 'without noise; null where nothing was proposed')),
    }),
  ),
  '',
  "left out where no product was disturbed; times are this machine's, of no crossbars",
);
