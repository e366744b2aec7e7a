/** The way into the kernel package: loaded when a command needs it, its errors as this command line's own. */

import { UserError } from '@specoffload/engine';

type Kernel = typeof import('@specoffload/kernel');

/** The kernel package knows nothing of {@link UserError}: what users can mend becomes one here. */
export async function withKernel<T>(work: (kernel: Kernel) => T | Promise<T>): Promise<T> {
  const kernel = await import('@specoffload/kernel');
  try {
    return await work(kernel);
  } catch (error) {
    if (error instanceof kernel.NotebookError) throw new UserError(error.message);
    throw error;
  }
}
