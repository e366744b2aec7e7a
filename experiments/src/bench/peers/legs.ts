/** The other programs of the comparison: which are installed here, and how each is started. */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Checkpoint } from '@specoffload/engine';
import { type Job, runPlan } from '../../job/execute.js';
import { cacheDirectory, displayPath, experimentsDirectory } from '../../paths.js';
import type { Output } from '../../terminal/output.js';
import { writeGguf } from '../gguf-file.js';
import type { LegName } from './leg-names.js';
import { whyNoLimit } from './memory-group.js';
import { type PeerLimits, type PeerOutcome, type PeerRequest, type PeerTimes, runPeer } from './peer.js';

export interface Leg {
  readonly name: LegName;
  run(limitSeconds: number, onTokens: (newTokens: number) => void, signal: AbortSignal): Promise<PeerOutcome>;
}

export interface LegsRequest extends Pick<PeerRequest, 'prompts' | 'newTokens' | 'threads' | 'memoryBytes'> {
  readonly names: readonly LegName[];
  /** Its weights in bf16, which all legs read. */
  readonly job: Job;
}

/** Where the other programs are looked for. */
const peersFolder = join(cacheDirectory, 'peers');
const nodeLlamaCpp = join(peersFolder, 'node_modules', 'node-llama-cpp', 'dist', 'index.js');
const python = join(peersFolder, 'venv', 'bin', 'python');
const installs = {
  llama: 'npm install --prefix .cache/peers node-llama-cpp@3.22.1',
  accelerate:
    'python3 -m venv .cache/peers/venv && .cache/peers/venv/bin/pip install torch==2.13.0 transformers==5.18.0 accelerate==1.15.0',
};

/** What a process takes besides weights: Node, buffers, caches. */
const processBytes = 2e8;
/**
 * The same of Accelerate, whose libraries are not counted: beside a sixth of 1 GB of weights it is killed in its first
 * pass with 500 MB, and gets through with 633.
 */
const accelerateBytes = 7e8;

/** Of those that are asked for; what is skipped is said, with the reason. */
export async function findLegs(request: LegsRequest, output: Output): Promise<Leg[]> {
  const legs: Leg[] = [];
  for (const name of request.names) {
    const reason = whySkipped(name);
    if (reason === null) legs.push(await openLeg(name, request, output));
    else output.say(`${name}: skipped, ${reason}`);
  }
  return legs;
}

function whySkipped(name: LegName): string | null {
  if (name === 'specoffload-bf16') return null;
  const isAccelerate = name === 'accelerate';
  if (isAccelerate && !existsSync(python)) return `it is not installed; ${installs.accelerate}`;
  if (!isAccelerate && !existsSync(nodeLlamaCpp)) return `it is not installed; ${installs.llama}`;
  return name === 'llama.cpp' ? null : whyNoLimit();
}

async function openLeg(name: LegName, request: LegsRequest, output: Output): Promise<Leg> {
  const { names: _, job, ...shared } = request;
  if (name === 'specoffload-bf16')
    return { name, run: (_seconds, onTokens, signal) => runLab(job, onTokens, signal) };
  const { target } = job;
  const isAccelerate = name === 'accelerate';
  const peerRequest: PeerRequest = {
    ...{ ...shared, modulePath: nodeLlamaCpp },
    model: isAccelerate ? target.directory : await ggufOf(target, output),
  };
  const program: [string, string] = isAccelerate
    ? [python, join(experimentsDirectory, 'src', 'bench', 'peers', 'disk_offload.py')]
    : [process.execPath, fileURLToPath(new URL('./llama-cpp-child.js', import.meta.url))];
  const besideWeights = isAccelerate ? accelerateBytes : processBytes;
  const memoryBytes = name === 'llama.cpp' ? null : request.memoryBytes + besideWeights;
  return {
    name,
    run: (seconds, onTokens, signal) => {
      const limits: PeerLimits = { memoryBytes, seconds, entersLater: isAccelerate };
      return runPeer(program, peerRequest, limits, onTokens, signal);
    },
  };
}

/** The lab itself. */
export async function runLab(
  job: Job,
  onTokens: (newTokens: number) => void,
  signal: AbortSignal,
): Promise<PeerTimes & { readonly tokens: readonly (readonly number[])[] }> {
  const { phases, sequences } = await runPlan(job, signal, ({ newTokens }) => onTokens(newTokens));
  const times = { prefillSeconds: phases.prefill.seconds, decodeSeconds: phases.decode.seconds };
  return { ...times, tokens: sequences.map(({ ids }) => ids) };
}

/** The same weights as a file that llama.cpp reads, written once. */
async function ggufOf(target: Checkpoint, output: Output): Promise<string> {
  const path = join(peersFolder, `${target.name}-${target.digest.slice(0, 12)}.gguf`);
  if (existsSync(path)) return path;
  await mkdir(peersFolder, { recursive: true });
  output.note(`bench: ${displayPath(path)}, once`);
  await writeGguf(target, path);
  return path;
}
