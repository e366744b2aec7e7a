/** How many equal prompts a machine's memory holds at once, where nobody has said how many there are. */

import {
  type PolicyInput,
  placeContender,
  type SimulationRequest,
  type StrategyName,
} from '@specoffload/engine';
import { UserError } from '@specoffload/input';

export type FitRequest = Pick<
  SimulationRequest,
  'target' | 'draft' | 'drafter' | 'promptLengths' | 'maxNewTokens' | 'machine'
>;

/** As many of the prompts as fit, halved until they do; null where not even one does. */
export function fittingPrompts(
  request: FitRequest,
  choice: { readonly strategy: StrategyName; readonly policy: PolicyInput },
): readonly number[] | null {
  for (let count = request.promptLengths.length; count >= 1; count = Math.floor(count / 2)) {
    const promptLengths = request.promptLengths.slice(0, count);
    if (fits({ ...request, promptLengths }, choice)) return promptLengths;
  }
  return null;
}

function fits(request: FitRequest, choice: Parameters<typeof fittingPrompts>[1]): boolean {
  try {
    placeContender({ ...request, acceptance: null }, choice);
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}
