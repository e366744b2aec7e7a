/** The kernel package knows nothing of this command line's errors: what users can mend becomes one of them here. */

import { UserError } from '@specoffload/engine';
import { NotebookError } from '@specoffload/kernel';

export async function asUserErrors<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NotebookError) throw new UserError(error.message);
    throw error;
  }
}
