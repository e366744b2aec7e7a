/** Starts `run-child.mjs` and waits for its end. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RunRequest, RunResult } from '@specoffload/engine';

/** A run request whose checkpoints are directories. */
export type ChildRequest = Omit<RunRequest, 'target' | 'draft' | 'onProgress' | 'signal'> & {
  readonly target: string;
  readonly draft: string | null;
  readonly abortAfterPasses?: number;
};

export type ChildResult = Pick<RunResult, 'outputDigest' | 'newTokens' | 'bytesMoved' | 'passes'> & {
  readonly peakResidentBytes: number;
};

export interface ChildOutcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last line of the output; null when there is none. */
  readonly reply: ChildResult | { readonly error: string } | null;
  readonly stderr: string;
}

const script = fileURLToPath(new URL('./run-child.mjs', import.meta.url));

/**
 * @param cgroupProcs a cgroup's file of processes, which the child joins before it becomes Node
 * @param timeoutMilliseconds after which it is killed: a child that does not end by itself has `signal` SIGKILL
 */
export function runChild(
  request: ChildRequest,
  timeoutMilliseconds: number,
  cgroupProcs?: string,
): Promise<ChildOutcome> {
  const node = [process.execPath, script, JSON.stringify(request)];
  const [command, ...args] = cgroupProcs
    ? ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', cgroupProcs, ...node]
    : node;
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMilliseconds);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const line = stdout.trim().split('\n').at(-1);
      resolve({ code, signal, stderr, reply: line ? JSON.parse(line) : null });
    });
  });
}
