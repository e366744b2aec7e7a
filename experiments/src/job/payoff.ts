/** One sentence before a run that proposes, where this machine's profile predicts that it would be faster without. */

import { existsSync } from 'node:fs';
import { type Acceptance, type MachineModel, payoffOf, speculates, UserError } from '@specoffload/engine';
import { withLimits } from '../inputs/caps.js';
import { describeForeignCaps } from '../inputs/machine-caps.js';
import { openMachine } from '../inputs/machines.js';
import { usualAcceptance } from '../inputs/usual-acceptance.js';
import { localMachinePath } from '../paths.js';
import { unlessRefused } from '../terminal/errors.js';
import { threeDigits } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import type { Job } from './execute.js';

/** Says so by a note; nothing where there is no profile of this machine, or nothing proposes. */
export async function notePayoff(job: Job, output: Output): Promise<void> {
  if (!speculates(job.strategy, job.policy)) return;
  const machine = await maybeLocalMachine();
  if (machine === null) return;
  try {
    const sentence = describePayoff(job, machine);
    if (sentence !== null) output.note(sentence);
  } catch (error) {
    // What does not fit the run itself will say.
    if (!(error instanceof UserError)) throw error;
  }
}

/** As it was profiled; null where it was not, or its file cannot be read, which costs a sentence or two only. */
export async function maybeLocalMachine(): Promise<MachineModel | null> {
  if (!existsSync(localMachinePath)) return null;
  return unlessRefused(() => openMachine(localMachinePath));
}

/**
 * @param acceptance where the job's own is known. @default what its drafter has on the shipped pair
 * @returns null where proposing is predicted to pay, or nothing can be said
 */
export function describePayoff(
  job: Job,
  machine: MachineModel,
  acceptance: Acceptance = usualAcceptance(job.drafter, job.workload.name, job.maxNewTokens),
): string | null {
  const { strategy, policy, target, draft, drafter, workload, maxNewTokens } = job;
  if (!speculates(strategy, policy) || describeForeignCaps(machine, job.machine.caps) !== null) return null;
  const promptLengths = workload.prompts.map(({ length }) => length);
  const payoff = payoffOf(
    {
      ...{ target, draft, drafter, promptLengths, maxNewTokens, acceptance },
      machine: withLimits(machine, job.machine),
    },
    { strategy, policy },
  );
  if (payoff === null || payoff.tokensPerSecond >= payoff.plainTokensPerSecond) return null;
  const { tokensPerSecond, plainTokensPerSecond } = payoff;
  const remedy =
    policy.adaptCandidates === 'yes'
      ? 'rounds propose only while measured times say that it pays'
      : 'take --strategy none, or add --adapt-candidates yes';
  return (
    `${strategy}: proposing is not predicted to pay here: ${threeDigits(tokensPerSecond)} tokens/s at ${acceptance.name}, ` +
    `${threeDigits(plainTokensPerSecond)} without; ${remedy}`
  );
}
