/** Those among whom a planner chooses who proposes: the one that was asked for, and all that need no draft model. */

import {
  type Acceptance,
  type Checkpoint,
  type DrafterName,
  drafterNames,
  needsDraft,
  type Proposer,
} from '@specoffload/engine';
import { usualAcceptance } from '../inputs/usual-acceptance.js';

export interface ProposerRequest {
  /** @default model */
  readonly drafter?: DrafterName | undefined;
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  /** Of that drafter. @default what it has on the shipped pair */
  readonly acceptance: Acceptance | null;
  /** A shipped one, whose acceptances are known. */
  readonly workload?: string | undefined;
  /** Of each sequence. */
  readonly maxNewTokens: number;
}

/** What is known of the drafter self was measured with half of the target's layers: it has to have as many. */
export function proposersOf({
  target,
  drafter = 'model',
  draft,
  acceptance,
  workload,
  maxNewTokens,
}: ProposerRequest): Proposer[] {
  return drafterNames
    .filter((name) => !needsDraft(name) || draft !== null)
    .map((name) => {
      const given = name === drafter ? acceptance : null;
      const half = { draftLayers: Math.ceil(target.layers.length / 2) };
      return {
        ...{ drafter: name, draft: needsDraft(name) ? draft : null },
        acceptance: given ?? usualAcceptance(name, workload, maxNewTokens),
        ...(name === 'self' && given === null ? { policy: half } : {}),
      };
    });
}
