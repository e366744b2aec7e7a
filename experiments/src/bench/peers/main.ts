/** The lab beside llama.cpp and Accelerate, on the same weights, prompts and cores: by turns, as ratios. */

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadNativeCore } from '@specoffload/native';
import { localSettings } from '../../inputs/caps.js';
import { prepareTarget } from '../../inputs/inflated-target.js';
import { openPair } from '../../inputs/pair.js';
import { type Job, runPlan } from '../../job/execute.js';
import { loadMixedWorkload } from '../../job/main-job.js';
import { cacheDirectory, displayPath, pairPaths, projectDirectory } from '../../paths.js';
import { specOfRun } from '../../store/index.js';
import { formatBytes, formatSeconds } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import { writeGguf } from '../gguf-file.js';
import type { BenchOptions } from '../main.js';
import { type PeerRequest, type PeerTimes, runPeer, whyNoLimit } from './peer.js';
import { type PeerName, verdicts } from './verdicts.js';

/** One program's run; rounds go through all programs. */
export interface PeerRun extends Omit<PeerTimes, 'tokens'> {
  readonly name: PeerName;
  readonly round: number;
  /** Of all its tokens, those that stand where the lab's do. */
  readonly sameTokens: number;
}

/** Where the other programs are looked for. */
const peersFolder = join(cacheDirectory, 'peers');
const nodeLlamaCpp = join(peersFolder, 'node_modules', 'node-llama-cpp', 'dist', 'index.js');
const python = join(peersFolder, 'venv', 'bin', 'python');
const installs = {
  'llama.cpp': 'npm install --prefix .cache/peers node-llama-cpp@3.22.1',
  accelerate:
    'python3 -m venv .cache/peers/venv && .cache/peers/venv/bin/pip install torch==2.13.0 transformers==5.18.0 accelerate==1.15.0',
};

/** Large enough that a sixth holds the KV cache, too. */
const targetBytes = 1e9;
const sequences = 16;
const promptTokens = 64;
const newTokens = 32;
const share = 1 / 6;
/** What a process takes besides weights: Node, buffers, caches. */
const processBytes = 2e8;

export async function benchPeers({ quick, output, signal }: BenchOptions): Promise<void> {
  const job = await openJob(output, signal);
  const programs = await findPrograms(job, output, signal);
  const runs: PeerRun[] = [];
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    output.note(`bench: peers, round ${round + 1}`);
    const { phases, sequences: written } = await runPlan(job, signal);
    const ours = written.map(({ ids }) => ids);
    const times = { prefillSeconds: phases.prefill.seconds, decodeSeconds: phases.decode.seconds };
    output.note(`bench: peers, specoffload: ${describeSeconds(times)}`);
    runs.push({ name: 'specoffload', round, ...times, sameTokens: 1 });
    for (const { name, run, once } of programs) {
      if (once && round > 0) continue;
      signal.throwIfAborted();
      output.note(`bench: peers, ${name}`);
      const { tokens, ...seconds } = await run();
      output.note(`bench: peers, ${name}: ${describeSeconds(seconds)}`);
      runs.push({ name, round, ...seconds, sameTokens: shareOfSame(ours, tokens) });
    }
  }
  sayRuns(runs, job, output);
  for (const verdict of verdicts(runs)) output.say(verdict);
  output.document({ spec: specOfRun(job), runs });
}

async function openJob(output: Output, signal: AbortSignal): Promise<Job> {
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes: targetBytes };
  const pair = await openPair((await prepareTarget(request, output, signal)).directory, pairPaths.draft);
  const { target, tokenizer } = pair;
  const { name, prompts } = await loadMixedWorkload(2 * sequences, {
    size: target.spec.vocabSize,
    tokenizer,
  });
  const long = prompts.filter((prompt) => prompt.length >= promptTokens).slice(0, sequences);
  const budget = Math.floor((target.bytes * share) / 2);
  return {
    ...{ ...pair, strategy: 'serial', policy: {}, maxNewTokens: newTokens, stopAtEos: false },
    workload: { name, prompts: long.map((prompt) => prompt.slice(0, promptTokens)) },
    machine: localSettings({ deviceBytes: budget, hostBytes: budget, prefillCores: numCores() }),
  };
}

function numCores(): number {
  return loadNativeCore().probe().allowedCores.length;
}

interface Program {
  readonly name: PeerName;
  /** Slow: in the first round alone. */
  readonly once?: true;
  run(): Promise<PeerTimes>;
}

async function findPrograms(
  { target, workload }: Job,
  output: Output,
  signal: AbortSignal,
): Promise<Program[]> {
  const memoryBytes = Math.floor(target.bytes * share);
  const request: PeerRequest = {
    ...{ prompts: workload.prompts, newTokens, memoryBytes },
    ...{
      modulePath: nodeLlamaCpp,
      model: target.directory,
      threads: numCores(),
    },
  };
  const programs: Program[] = [];
  if (existsSync(nodeLlamaCpp)) {
    const model = join(peersFolder, `${target.name}.gguf`);
    await mkdir(peersFolder, { recursive: true });
    if (!existsSync(model)) {
      output.note(`bench: ${displayPath(model)}, once`);
      await writeGguf(target, model);
    }
    const child = fileURLToPath(new URL('./llama-cpp-child.js', import.meta.url));
    const run = (limit: number | null) =>
      runPeer([process.execPath, child], { ...request, model }, limit, signal);
    programs.push({ name: 'llama.cpp', run: () => run(null) });
    const reason = whyNoLimit();
    if (reason === null)
      programs.push({
        name: 'llama.cpp, same memory',
        once: true,
        run: () => run(memoryBytes + processBytes),
      });
    else output.say(`llama.cpp in the same memory: skipped, ${reason}`);
  } else output.say(`llama.cpp: skipped, it is not installed; ${installs['llama.cpp']}`);
  if (existsSync(python)) {
    const script = join(projectDirectory, 'experiments', 'src', 'bench', 'peers', 'accelerate.py');
    programs.push({
      name: 'accelerate',
      once: true,
      run: () => runPeer([python, script], request, null, signal),
    });
  } else output.say(`Accelerate: skipped, it is not installed; ${installs.accelerate}`);
  return programs;
}

function describeSeconds({ prefillSeconds, decodeSeconds }: Omit<PeerTimes, 'tokens'>): string {
  return `prefill ${formatSeconds(prefillSeconds)}, decode ${formatSeconds(decodeSeconds)}`;
}

function shareOfSame(ours: readonly (readonly number[])[], others: readonly (readonly number[])[]): number {
  const same = ours.map((tokens, text) => tokens.filter((token, i) => token === others[text][i]).length);
  return same.reduce((sum, count) => sum + count, 0) / (ours.length * newTokens);
}

function sayRuns(runs: readonly PeerRun[], { target, machine }: Job, output: Output): void {
  const memory = formatBytes(machine.deviceBytes + machine.hostBytes);
  output.say(
    `\n${target.name}, ${formatBytes(target.bytes)} in bf16; ${sequences} texts of ${promptTokens} tokens, ${newTokens} new ones each; specoffload in ${memory}`,
  );
  output.say(
    formatTable<PeerRun>(
      [
        { title: 'program', align: 'left', text: ({ name }) => name },
        { title: 'round', text: ({ round }) => String(round + 1) },
        { title: 'prefill', text: ({ prefillSeconds }) => formatSeconds(prefillSeconds) },
        { title: 'decode', text: ({ decodeSeconds }) => formatSeconds(decodeSeconds) },
        { title: 'same tokens', text: ({ sameTokens }) => sameTokens.toFixed(2) },
      ],
      runs,
    ),
  );
}
