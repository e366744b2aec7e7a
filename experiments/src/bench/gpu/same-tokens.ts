/** Whether the main job's quick form comes to the same tokens on a GPU as on the processor. */

import { parseDevice } from '../../inputs/devices.js';
import { compareSequences } from '../../job/compare.js';
import { runPlan } from '../../job/execute.js';
import { type MainJob, openMainJob } from '../../job/main-job.js';
import { defaultResultsDirectory } from '../../paths.js';
import type { Output } from '../../terminal/output.js';

export interface SameTokens {
  readonly numSequences: number;
  /** That differ where rounding decides, and where it does not. */
  readonly numTies: number;
  readonly numErrors: number;
}

/** @param openJob on a device @default the main job's quick form */
export async function compareWithProcessor(
  index: number,
  output: Output,
  signal: AbortSignal,
  openJob: (device: string) => Promise<MainJob> = (device) =>
    openMainJob({ quick: true, results: defaultResultsDirectory, device }, output, signal),
): Promise<SameTokens> {
  output.note('bench: the main job, small, on the processor and on the GPU');
  const [onProcessor, onGpu] = [await openJob('cpu'), await openJob(parseDevice(`vulkan:${index}`))];
  const expected = await runPlan({ ...onProcessor, strategy: 'none' }, signal);
  const same = { numSequences: 0, numTies: 0, numErrors: 0 };
  for (const strategy of ['none', 'specoffload'] as const) {
    const written = await runPlan({ ...onGpu, strategy }, signal);
    const { numTies, numErrors } = compareSequences(expected, written);
    same.numSequences += written.sequences.length;
    same.numTies += numTies;
    same.numErrors += numErrors;
  }
  return same;
}
