import { quote, UserError } from '@specoffload/input';
import type { PolicyInput } from '../policy.js';
import { accelerate } from './accelerate.js';
import { ahead } from './ahead.js';
import { apex } from './apex.js';
import { deepspeed } from './deepspeed.js';
import { fiddler } from './fiddler.js';
import { flexgen } from './flexgen.js';
import { hetegen } from './hetegen.js';
import { none } from './none.js';
import { serial } from './serial.js';
import { specoffload } from './specoffload.js';
import { type Strategy, speculationsOf, usesDraft } from './strategy.js';

export * from './orders.js';
export * from './strategy.js';

/** Every strategy, by name. */
export const strategies = {
  none,
  serial,
  specoffload,
  ahead,
  accelerate,
  deepspeed,
  flexgen,
  fiddler,
  hetegen,
  apex,
};

export type StrategyName = keyof typeof strategies;

export const strategyNames = Object.keys(strategies) as StrategyName[];

/**
 * A strategy by its name, or one that has no name here as it is.
 * @throws UserError when there is no such strategy.
 */
export function strategyNamed(name: StrategyName | Strategy): Strategy {
  if (typeof name === 'object') return name;
  if (Object.hasOwn(strategies, name)) return strategies[name];
  throw new UserError(`unknown strategy: ${quote(name)}; expected one of ${strategyNames.join(', ')}`);
}

/**
 * Whether a run needs a draft: what its policy says, else what its strategy is. Everything else about drafts follows
 * from it: a run that does not speculate opens none, asks for no acceptance, and its record and key name none.
 */
export function speculates(strategy: StrategyName | Strategy, { speculation }: PolicyInput): boolean {
  return usesDraft({ speculation: speculation ?? speculationsOf(strategyNamed(strategy))[0] });
}
