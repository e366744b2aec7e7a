/** Other programs that write the same texts with the same weights: each a process, started for one run. */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { UserError } from '@specoffload/input';

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
  readonly tokens: readonly (readonly number[])[];
}

/** Version 1 of cgroups, where this user may make one. */
const memoryGroups = '/sys/fs/cgroup/memory';

/**
 * @param command gets the path of the request as one more argument
 * @param limitBytes of the process with its page cache; null for none
 */
export async function runPeer(
  command: readonly [string, ...string[]],
  request: PeerRequest,
  limitBytes: number | null,
  signal: AbortSignal,
): Promise<PeerTimes> {
  const folder = await mkdtemp(join(tmpdir(), 'specoffload-peer-'));
  const group = limitBytes === null ? null : confine(limitBytes);
  try {
    const path = join(folder, 'request.json');
    writeFileSync(path, JSON.stringify(request));
    const [program, ...args] =
      group === null
        ? [...command, path]
        : ['sh', '-c', `echo $$ > ${group}/cgroup.procs && exec "$@"`, 'sh', ...command, path];
    return await outputOf(program, args, signal);
  } finally {
    if (group !== null) await release(group);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Why no process can be given less memory than it wants, or null. */
export function whyNoLimit(): string | null {
  if (!existsSync(`${memoryGroups}/memory.limit_in_bytes`))
    return 'there are no memory cgroups of version 1 here';
  try {
    rmdirSync(confine(2 ** 30));
    return null;
  } catch (error) {
    return `this user may make no memory cgroup (${(error as NodeJS.ErrnoException).code})`;
  }
}

function confine(limitBytes: number): string {
  const group = `${memoryGroups}/specoffload-bench-${process.pid}`;
  mkdirSync(group);
  writeFileSync(`${group}/memory.limit_in_bytes`, String(Math.floor(limitBytes)));
  return group;
}

/** Its process is gone; the kernel lets go of its memory a little later. */
async function release(group: string): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      rmdirSync(group);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      await setTimeout(100);
    }
  }
}

function outputOf(program: string, args: readonly string[], signal: AbortSignal): Promise<PeerTimes> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], signal });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (text) => {
      output += text;
    });
    child.stderr.on('data', (text) => {
      errors += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      const lines = output.trim().split('\n');
      if (code === 0) resolve(JSON.parse(lines[lines.length - 1]) as PeerTimes);
      else reject(new UserError(`${program} ended with ${code}: ${errors.trim().split('\n').at(-1)}`));
    });
  });
}
