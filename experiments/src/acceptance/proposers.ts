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
  readonly draft: Checkpoint | null;
  /** Of that drafter. @default what it has on the shipped pair */
  readonly acceptance: Acceptance | null;
  /** A shipped one, whose acceptances are known. */
  readonly workload?: string | undefined;
}

export function proposersOf({ drafter = 'model', draft, acceptance, workload }: ProposerRequest): Proposer[] {
  return drafterNames
    .filter((name) => !needsDraft(name) || draft !== null)
    .map((name) => ({
      drafter: name,
      draft: needsDraft(name) ? draft : null,
      acceptance: (name === drafter ? acceptance : null) ?? usualAcceptance(name, workload),
    }));
}
