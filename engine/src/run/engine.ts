/** The entry that reads as a sentence: plan, prefill, then rounds until done. */

import { UserError } from '../model/types.js';
import type { RunRequest, RunResult } from './types.js';

/**
 * Generates continuations of all prompts with the target's weights streamed under the memory budgets.
 * @throws UserError when the request cannot be served: budgets too small (says the smallest), prompt too long, …
 */
export async function runEngine(request: RunRequest): Promise<RunResult> {
  throw new UserError(`strategy ${request.strategy} is not built yet`);
}
