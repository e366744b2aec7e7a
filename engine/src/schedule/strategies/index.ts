import type { StrategyName } from '../policy.js';
import { accelerate } from './accelerate.js';
import { apex } from './apex.js';
import { deepspeed } from './deepspeed.js';
import { fiddler } from './fiddler.js';
import { flexgen } from './flexgen.js';
import { hetegen } from './hetegen.js';
import { none } from './none.js';
import { serial } from './serial.js';
import { specoffload } from './specoffload.js';
import type { Strategy } from './strategy.js';

export * from './decode.js';
export * from './strategy.js';

/** Every strategy, by name. */
export const strategies: Readonly<Record<StrategyName, Strategy>> = {
  none,
  serial,
  specoffload,
  accelerate,
  deepspeed,
  flexgen,
  fiddler,
  hetegen,
  apex,
};
