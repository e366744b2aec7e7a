import type { StrategyName } from '../policy.js';
import { none } from './none.js';
import { serial } from './serial.js';
import { specoffload } from './specoffload.js';
import type { Strategy } from './strategy.js';

export * from './strategy.js';

/** Every strategy, by name. */
export const strategies: Readonly<Record<StrategyName, Strategy>> = { none, serial, specoffload };
