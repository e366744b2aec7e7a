/** A running kernel: started, asked, interrupted, restarted and ended. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTemporaryFolder, reasonOf } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import type { JsonObject } from '../json.js';
import { kernelCommand, snapshotFlag } from '../snapshot/place.js';
import { KernelClient } from './client.js';
import { createConnection, writeConnectionFile } from './connection.js';
import type { Message } from './message.js';
import { type KernelExit, type KernelProcess, type OnText, spawnKernel } from './process.js';

/** The kernel's process has ended when nobody had asked it to. */
export class KernelDiedError extends NotebookError {
  readonly exit: KernelExit;
  constructor(exit: KernelExit) {
    const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
    super(
      `the kernel ended (${how})${exit.lastStderr === '' ? '' : `; last it said: ${exit.lastStderr.trim().split('\n').join(' | ')}`}`,
    );
    this.exit = exit;
  }
}

export interface SessionOptions extends SessionListener {
  /** The folder in which cells run. */
  readonly cwd: string;
  /** The program and its arguments; `{connection_file}` is replaced. Default: this package's kernel. */
  readonly command?: readonly string[];
  /** How long the kernel may take until it answers. Default 60 s. */
  readonly startTimeoutSeconds?: number;
}

export interface SessionListener {
  /** Hears what programs print that a cell has started, and the kernel's process itself. */
  readonly onText?: OnText;
  /** Hears what a cell publishes after its end. */
  readonly onLate?: (message: Message) => void;
}

export interface ExecuteReply {
  readonly status: 'ok' | 'error' | 'aborted';
  readonly executionCount: number | null;
  readonly content: JsonObject;
}

/** A port that was free may be taken by the time the kernel gets there. */
const startAttempts = 3;
const shutdownMs = 3000;

export class KernelSession {
  readonly #options: SessionOptions;
  #listener: SessionListener;
  #process!: KernelProcess;
  #client!: KernelClient;
  #info!: JsonObject;
  /** Settles when the process has ended and its connection file is removed. */
  #gone!: Promise<void>;

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.#listener = options;
  }

  static async start(options: SessionOptions): Promise<KernelSession> {
    const session = new KernelSession(options);
    await session.#start();
    return session;
  }

  /** What the kernel says about itself (`kernel_info_reply`). */
  get info(): JsonObject {
    return this.#info;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get silentSeconds(): number {
    return this.#client.silentSeconds;
  }

  /** @param onPublished hears, in order, what the cell prints and shows. */
  async execute(code: string, onPublished: (message: Message) => void = () => {}): Promise<ExecuteReply> {
    const content = { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false };
    const { reply } = await this.#client.request('shell', 'execute_request', content, onPublished);
    const { status, execution_count } = reply.content;
    return {
      status: status === 'ok' || status === 'error' ? status : 'aborted',
      executionCount: typeof execution_count === 'number' ? execution_count : null,
      content: reply.content,
    };
  }

  /**
   * What cells have left behind that may still do something: timers, processes, connections, one word each. Empty for
   * a kernel that does not say (one that is not this package's).
   */
  async leftovers(): Promise<string[]> {
    if (this.#info.implementation !== 'specoffload') return [];
    const { reply } = await this.#client.request('control', 'leftovers_request', {});
    const { leftovers } = reply.content;
    return Array.isArray(leftovers) ? leftovers.map(String) : [];
  }

  /** From now on in place of who has listened so far. */
  listen(listener: SessionListener): void {
    this.#listener = listener;
  }

  /** What cells have declared: as a restart, but that the process stays, with the packages that it has loaded. */
  async forget(): Promise<void> {
    if (this.#info.implementation !== 'specoffload') return this.restart();
    await this.#client.request('shell', 'forget_request', {});
  }

  /** Stops the cell under way; the kernel says on standard error of the cell if it cannot: then only `kill` helps. */
  interrupt(): void {
    this.#process.interrupt();
  }

  /** Ends the kernel at once; what is under way fails with a {@link KernelDiedError}. */
  async kill(): Promise<void> {
    this.#process.kill();
    await this.#process.exited;
  }

  /** A new process: nothing that cells have declared remains. */
  async restart(): Promise<void> {
    await this.shutdown();
    await this.#start();
  }

  /** Asks the kernel to end, and ends it if it does not. */
  async shutdown(): Promise<void> {
    // A kernel that is gone, or deaf, does not answer; the wait below is what counts.
    this.#client.request('control', 'shutdown_request', { restart: false }).catch(() => {});
    const timer = setTimeout(() => this.#process.kill(), shutdownMs);
    await this.#gone;
    clearTimeout(timer);
    // Also what the kernel has started.
    this.#process.kill();
  }

  async #start(): Promise<void> {
    let command = this.#options.command ?? kernelCommand(true);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#tryStart(command);
      } catch (error) {
        if (!(error instanceof KernelDiedError) || attempt === startAttempts) throw error;
        const isPortTaken = /in use/i.test(error.exit.lastStderr);
        const isSnapshotRefused = command.includes(snapshotFlag);
        if (!isPortTaken && !isSnapshotRefused) throw error;
        if (!isPortTaken) command = kernelCommand(false);
      }
    }
  }

  async #tryStart(command: readonly string[]): Promise<void> {
    const { cwd, startTimeoutSeconds = 60 } = this.#options;
    const folder = await makeTemporaryFolder('kernel');
    const connectionFile = join(folder, 'connection.json');
    const connection = await createConnection();
    await writeConnectionFile(connection, connectionFile);
    try {
      this.#process = await spawnKernel(
        command.map((word) => word.replace('{connection_file}', connectionFile)),
        cwd,
        (name, text) => this.#listener.onText?.(name, text),
      );
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw new NotebookError(`cannot start the kernel: ${reasonOf(error)}`);
    }
    const client = await KernelClient.connect(connection, (message) => this.#listener.onLate?.(message));
    this.#client = client;
    this.#gone = this.#process.exited.then(async (exit) => {
      client.end(new KernelDiedError(exit));
      // A folder of the system's temporary ones that stays is no reason to hide what else went wrong.
      await rm(folder, { recursive: true, force: true }).catch(() => {});
    });
    try {
      this.#info = await this.#waitUntilReady(startTimeoutSeconds);
    } catch (error) {
      this.#process.kill();
      await this.#gone;
      throw error;
    }
  }

  /** Asks until an answer and its publications arrive: a subscription takes effect some time after it was made. */
  async #waitUntilReady(timeoutSeconds: number): Promise<JsonObject> {
    const endMs = performance.now() + timeoutSeconds * 1000;
    let info: JsonObject | null = null;
    let isHeard = false;
    let failure: unknown = null;
    while (performance.now() < endMs) {
      const asked = this.#client.request('shell', 'kernel_info_request', {}, (message) => {
        if (message.header.msg_type === 'kernel_info_reply') info = message.content;
        else isHeard = true;
      });
      asked.catch((error) => {
        failure = error;
      });
      while (info === null && failure === null && performance.now() < endMs) await sleep(5);
      if (failure !== null) throw failure;
      for (let wait = 0; wait < 10 && !isHeard; wait++) await sleep(5);
      if (info !== null && isHeard) return info;
    }
    throw new NotebookError(`the kernel did not answer within ${timeoutSeconds} s`);
  }
}
