import type { PolicyInput, StrategyName } from '../policy.js';
import { accelerate } from './accelerate.js';
import { apex } from './apex.js';
import { deepspeed } from './deepspeed.js';
import { fiddler } from './fiddler.js';
import { flexgen } from './flexgen.js';
import { hetegen } from './hetegen.js';
import { none } from './none.js';
import { serial } from './serial.js';
import { specoffload } from './specoffload.js';
import { type Strategy, usesDraft } from './strategy.js';

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

/**
 * Whether a run needs a draft: what its policy says, else what its strategy is. Everything else about drafts follows
 * from it: a run that does not speculate opens none, asks for no acceptance, and its record and key name none.
 */
export function speculates(strategy: StrategyName, { speculation }: PolicyInput): boolean {
  return usesDraft({ speculation: speculation ?? strategies[strategy].defaults.speculation });
}
