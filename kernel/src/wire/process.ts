/** A kernel as a process: its own process group, so that a Ctrl-C in the terminal is ours to pass on, or not. */

import { type ChildProcess, spawn } from 'node:child_process';

export interface KernelExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what the process itself wrote to standard error (cells write through the kernel's messages). */
  readonly lastStderr: string;
}

export interface KernelProcess {
  readonly pid: number;
  readonly exited: Promise<KernelExit>;
  /** Signals the kernel alone. */
  interrupt(): void;
  /** Ends the kernel and everything it has started. */
  kill(): void;
}

/** What comes through the process's own streams: from programs that a cell has started, mostly. */
export type OnText = (name: 'stdout' | 'stderr', text: string) => void;

const stderrTailChars = 4000;

/** Tells the lab's kernel who started it without anything between, which Jupyter's own variable leaves open. */
export const starterVariable = 'SPECOFFLOAD_KERNEL_STARTER';

/** What Node says when a kernel ends that was about to be interrupted (`server/terminator.ts`). */
const debuggerNote = 'Waiting for the debugger to disconnect...\n';

/** @throws when the program cannot be started. */
export async function spawnKernel(
  command: readonly string[],
  cwd: string,
  onText: OnText = () => {},
  env: NodeJS.ProcessEnv = process.env,
): Promise<KernelProcess> {
  const [program, ...args] = command;
  const child = spawn(program!, args, {
    cwd,
    env: { ...env, JPY_PARENT_PID: String(process.pid), [starterVariable]: String(process.pid) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
  });
  const exited = followUntilExit(child, onText);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  const pid = child.pid!;
  return {
    pid,
    exited,
    interrupt: () => void child.kill('SIGINT'),
    kill: () => killGroup(child),
  };
}

function followUntilExit(child: ChildProcess, onText: OnText): Promise<KernelExit> {
  let tail = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => onText('stdout', text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    const said = text.replaceAll(debuggerNote, '');
    tail = (tail + said).slice(-stderrTailChars);
    if (said !== '') onText('stderr', said);
  });
  return new Promise((resolve) => {
    // Not `close`: a process that the kernel has left behind may hold the pipe open for ever.
    child.once('exit', (code, signal) =>
      setImmediate(() => {
        child.stdout!.destroy();
        child.stderr!.destroy();
        resolve({ code, signal, lastStderr: tail.trim() });
      }),
    );
  });
}

function killGroup(child: ChildProcess): void {
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
