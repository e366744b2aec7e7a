/** What can go wrong on the Jupyter side that the user can mend; one sentence each. */

/** A notebook, a parameter, a kernel or a kernelspec that cannot be used. */
export class NotebookError extends Error {
  override readonly name = 'NotebookError';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
