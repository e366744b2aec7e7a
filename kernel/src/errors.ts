/** What can go wrong on the Jupyter side that the user can mend; one sentence each. */

import { UserError } from '@specoffload/input';

/** A notebook, a parameter, a kernel or a kernelspec that cannot be used. */
export class NotebookError extends UserError {
  override readonly name: string = 'NotebookError';
}
