/** Opens what a run needs on whatever machine it came to, and makes sure that it is the run that was asked for. */

import { reasonOf } from '@specoffload/input';
import type { RunLocation, RunSpec, Turn } from '../store/index.js';
import { isSameRun } from './locate.js';

/** What was asked for is not to be had here. */
export class ForeignRun extends Error {}

/** @throws ForeignRun when it cannot be opened here, or comes to another key */
export async function openAsked<T extends { readonly spec: RunSpec }>(
  location: RunLocation,
  turn: Turn,
  open: () => Promise<T>,
): Promise<T> {
  let job: T;
  try {
    job = await open();
  } catch (error) {
    throw new ForeignRun(`cannot open it here: ${reasonOf(error)}`);
  }
  if (isSameRun(location, turn, job.spec)) return job;
  throw new ForeignRun(
    "it is another run here than where it was asked for: models, prompts, machine files or the lab's version differ",
  );
}
