/** What cells do after their end: promises that nobody awaits, timers, programs that go on. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { KernelSession } from '../wire/session.js';
import type { CodeCell } from './format.js';

/** After the last cell, what cells have left behind has this long to end. */
const patienceMs = 2000;
const pollMs = 20;

/**
 * Waits until nothing is left behind that may still print, but not for ever.
 * @returns in words what is left nevertheless
 * @throws KernelDiedError when the kernel ends meanwhile
 */
export async function waitForLeftovers(session: KernelSession, signal?: AbortSignal): Promise<string[]> {
  const endMs = performance.now() + patienceMs;
  let left = ['Busy']; // until it has answered once
  while (performance.now() < endMs && !signal?.aborted) {
    const deaf = sleep(endMs - performance.now(), null);
    left = (await Promise.race([session.leftovers(), deaf])) ?? left;
    if (left.length === 0) return [];
    await sleep(pollMs);
  }
  return [...new Set(left)].map((name) => words[name] ?? name);
}

const words: Readonly<Record<string, string>> = {
  Busy: 'a computation',
  Immediate: 'a timer',
  ProcessWrap: 'a program',
  TCPServerWrap: 'a server',
  TCPSocketWrap: 'a connection',
  TLSWrap: 'a connection',
  Timeout: 'a timer',
};

interface LateError {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

/** What a cell published as an error although it had ended well: a rejection, or what a timer has thrown. */
export function findLateError({ outputs }: CodeCell): LateError | null {
  const error = outputs.find((output) => output.output_type === 'error');
  if (error === undefined) return null;
  const { ename, evalue, traceback } = error;
  return { ename, evalue, traceback };
}
