/** Runs the compiled `specoffload`: in a child process, as a user would, or within the test's own. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { vi } from 'vitest';
import { runCommandLine } from '../../experiments/dist/cli/command-line.js';
import { projectDirectory } from '../../experiments/src/paths.js';

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Something to do to the child, a while after it has said something. */
export interface Disturbance {
  readonly onStderr: string;
  readonly delayMs: number;
  readonly do: (kill: (signal: NodeJS.Signals) => void) => void;
}

export function runCli(args: readonly string[], disturbance?: Disturbance): Promise<CliResult> {
  return runNode([join(projectDirectory, 'experiments', 'bin', 'specoffload.js'), ...args], disturbance);
}

let latestCall: Promise<unknown> = Promise.resolve();

/** The same without the process around it, which takes a quarter of a second to start; one call after the other. */
export function callCli(args: readonly string[]): Promise<CliResult> {
  const result = latestCall.then(() => call(args));
  latestCall = result.catch(() => {});
  return result;
}

async function call(args: readonly string[]): Promise<CliResult> {
  const said = { stdout: '', stderr: '' };
  const listeners = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      said[stream] += text;
      return true;
    }),
  );
  try {
    return { exitCode: await runCommandLine(args, new AbortController().signal), ...said };
  } finally {
    for (const listener of listeners) listener.mockRestore();
  }
}

export function runNode(args: readonly string[], disturbance?: Disturbance): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: projectDirectory, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      const hasSaid = disturbance !== undefined && stderr.includes(disturbance.onStderr);
      stderr += text;
      if (disturbance === undefined || hasSaid || !stderr.includes(disturbance.onStderr)) return;
      setTimeout(() => disturbance.do((signal) => child.kill(signal)), disturbance.delayMs);
    });
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}
