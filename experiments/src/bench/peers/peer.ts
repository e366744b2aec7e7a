/** Other programs that write the same texts with the same weights: each a process, started for one run. */

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeTemporaryFolder, UserError } from '@specoffload/input';
import { confine, forgetCached, release } from './memory-group.js';

export interface PeerRequest {
  /** Of node-llama-cpp; '' where it is not asked for. */
  readonly modulePath: string;
  /** A GGUF file, or a folder with safetensors. */
  readonly model: string;
  readonly prompts: readonly (readonly number[])[];
  readonly newTokens: number;
  readonly threads: number;
  /** That weights may take, for a program that keeps to it by itself. */
  readonly memoryBytes: number;
}

export interface PeerTimes {
  /** From the prompts to every text's first token. */
  readonly prefillSeconds: number;
  /** For the rest. */
  readonly decodeSeconds: number;
}

/** How far a process is: the first line comes when the model is loaded, before the clock starts. */
interface PeerProgress {
  /** Of all texts. */
  readonly newTokens: number;
  readonly prefillSeconds?: number;
}

interface PeerResult extends PeerTimes {
  readonly tokens: readonly (readonly number[])[];
}

/** What a process prints, a line of JSON each: how far it is, and at the end what came of it. */
export type PeerLine = PeerProgress | PeerResult;

/** Where it was stopped: times are at least so long, and there are no tokens. */
export interface PeerOutcome extends PeerTimes {
  readonly tokens: PeerResult['tokens'] | null;
}

export interface PeerLimits {
  /** Of the process with its page cache; null for none. */
  readonly memoryBytes: number | null;
  /** It enters by itself, told the group as one argument more, when its model is open. @default from its start */
  readonly entersLater?: boolean;
  /** A process that takes longer is stopped: so long for loading its model, and so long for writing. */
  readonly seconds: number;
}

/** @param command gets the path of the request as one more argument */
export async function runPeer(
  command: readonly [string, ...string[]],
  request: PeerRequest,
  limits: PeerLimits,
  onTokens: (newTokens: number) => void,
  signal: AbortSignal,
): Promise<PeerOutcome> {
  const folder = await makeTemporaryFolder('peer');
  const group = limits.memoryBytes === null ? null : confine(limits.memoryBytes);
  try {
    if (group !== null) forgetCached(request.model);
    const path = join(folder, 'request.json');
    writeFileSync(path, JSON.stringify(request));
    const [program, ...args] = limits.entersLater
      ? [...command, path, ...(group === null ? [] : [group])]
      : [...(group === null ? [] : insideOf(group)), ...command, path];
    return await outcomeOf(program, args, limits.seconds, onTokens, signal);
  } finally {
    if (group !== null) await release(group);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs what follows in a group. */
function insideOf(group: string): readonly string[] {
  return ['sh', '-c', `echo $$ > ${group}/cgroup.procs && exec "$@"`, 'sh'];
}

function outcomeOf(
  program: string,
  args: readonly string[],
  limitSeconds: number,
  onTokens: (newTokens: number) => void,
  signal: AbortSignal,
): Promise<PeerOutcome> {
  return new Promise((resolve, reject) => {
    // A confined process may hang in the kernel's search for memory: it is not asked to end.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' });
    let [last, errors]: [PeerLine | null, string] = [null, ''];
    let isStopped = false;
    const stop = () => {
      isStopped = true;
      child.kill('SIGKILL');
    };
    let timer = setTimeout(stop, limitSeconds * 1000);
    createInterface(child.stdout).on('line', (text) => {
      const line = lineOf(text);
      if (!line) return;
      if (last === null) {
        clearTimeout(timer);
        timer = setTimeout(stop, limitSeconds * 1000);
      }
      last = line;
      if ('newTokens' in line) onTokens(line.newTokens);
    });
    child.stderr.on('data', (text) => {
      errors += text;
    });
    child.on('error', reject);
    child.on('close', (code, killedBy) => {
      clearTimeout(timer);
      if (last !== null && 'tokens' in last) resolve(last);
      else if (isStopped) resolve(stoppedAfter(limitSeconds, last));
      else {
        const how = killedBy === null ? `with ${code}` : `by ${killedBy}, as where memory is short`;
        reject(new UserError(`${program} ended ${how}: ${errors.trim().split('\n').at(-1)}`));
      }
    });
  });
}

/** Null where a library printed something of its own. */
function lineOf(text: string): PeerLine | null {
  try {
    const line = JSON.parse(text) as PeerLine | null;
    return typeof line === 'object' ? line : null;
  } catch {
    return null;
  }
}

function stoppedAfter(seconds: number, last: PeerProgress | null): PeerOutcome {
  const prefillSeconds = last?.prefillSeconds ?? seconds;
  return { prefillSeconds, decodeSeconds: Math.max(0, seconds - prefillSeconds), tokens: null };
}
