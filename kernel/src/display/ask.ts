/** What a cell asks of whoever runs it. */

import { NotebookError } from '../errors.js';
import { findHost } from './host.js';

export interface PromptOptions {
  /** Whether what is typed stays unseen. @default false */
  readonly password?: boolean;
}

/**
 * Has the front end ask for a line: `const name = await prompt('model: ')`.
 * @throws NotebookError where nobody can type, as in `notebook run`, and outside of notebooks
 */
export async function prompt(question = '', { password = false }: PromptOptions = {}): Promise<string> {
  const host = findHost();
  if (host === undefined)
    throw new NotebookError('prompt asks through a notebook, and none runs this; set a variable instead');
  return host.ask(String(question), password);
}

/**
 * Empties the output of the cell: `clearOutput(true)` waits until there is something new to show, which does not flicker.
 * Outside of notebooks nothing happens.
 */
export function clearOutput(waits = false): void {
  findHost()?.clearOutput(waits);
}
