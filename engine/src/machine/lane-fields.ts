/** Parts of a lane in a machine file: what it draws, and weights that did not just come. */

import { is, type Schema } from '@specoffload/input';
import { constant, wattsByHertz } from './machine-constants.js';
import type { ColdWeights } from './machine-model.js';
import type { LaneClock, LanePower } from './power.js';

/** What the field means, for docs/machine.schema.json. */
export const about = <Of extends Schema>(meaning: string, schema: Of): Of =>
  is.described(schema, '', meaning);

const idleWatts = about('with nothing to do', constant('watts'));
const busyWatts = about('at work', constant('watts'));
export const whatItDraws = 'what it draws; left out: not counted';
export const computePower: Schema<LanePower> = is.named(
  'computePower',
  is.onlyFields({ idleWatts, busyWatts }),
);
export const transferPower: Schema<LanePower> = is.named(
  'transferPower',
  is.onlyFields({
    ...{ idleWatts: is.orElse(idleWatts, 0), busyWatts: is.orElse(busyWatts, 0) },
    joulesPerByte: about('besides, for each byte moved', is.orMissing(constant('joulesPerByte'))),
  }),
);

export const clock: Schema<LaneClock> = is.named(
  'clock',
  is.onlyFields({
    hertz: about('frequency at which the lane has its rates and its busy power', constant('hertz')),
    exponent: about(
      'what work draws beyond idling grows with the frequency to this power; left out: 3',
      is.orElse(constant('exponent'), 3),
    ),
    busyWatts: about('in place of that law, what is drawn at several', is.orMissing(wattsByHertz)),
  }),
);

export const cold: Schema<ColdWeights> = is.named(
  'cold',
  is.onlyFields({
    secondsPerByte: about('besides', constant('secondsPerByte')),
    afterSeconds: about('how long ago the others came at most', constant('gapSeconds')),
  }),
);
