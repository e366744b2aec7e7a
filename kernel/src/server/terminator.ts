/** Ends JavaScript that computes without a pause in the main thread, as the button of a debugger does. */

import { Session } from 'node:inspector';

/** Asked in the main thread while it is held: whether what it is at may be ended there. */
export const isInterruptibleName = 'specoffload.isInterruptible';
const question = `globalThis[Symbol.for(${JSON.stringify(isInterruptibleName)})]()`;

/** Only from another thread. Without a debugger in this Node it does nothing. */
export class Terminator {
  readonly #session: Session | null = connect();
  #isUnnecessary: () => boolean = () => true;
  /** Whether the thread is held, or is to be as soon as native code in it returns. */
  #isAsking = false;

  constructor() {
    this.#session?.on('Debugger.paused', () => this.#decide());
  }

  /** @param isUnnecessary asked again when the thread is held */
  tryTerminate(isUnnecessary: () => boolean): void {
    this.#isUnnecessary = isUnnecessary;
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#session?.post('Debugger.enable');
    this.#session?.post('Debugger.pause');
  }

  /** Lets go of the thread if it waits to be held. */
  rest(): void {
    if (!this.#isAsking) return;
    this.#session?.post('Debugger.disable', () => {
      this.#isAsking = false;
    });
  }

  close(): void {
    this.#session?.disconnect();
  }

  /** The thread is held from the first of these requests to the second. */
  #decide(): void {
    if (this.#isUnnecessary()) this.rest();
    else this.#ask(this.#session!);
  }

  #ask(session: Session): void {
    session.post('Runtime.evaluate', { expression: question, silent: true }, (error, answer) => {
      if (error === null && answer.result.value === true) session.post('Runtime.terminateExecution');
      this.rest();
    });
  }
}

function connect(): Session | null {
  try {
    const session = new Session();
    session.connectToMainThread();
    return session;
  } catch {
    return null;
  }
}
