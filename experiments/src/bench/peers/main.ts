/** The lab beside llama.cpp and Accelerate, on the same weights, prompts and cores: by turns, as ratios. */

import type { Checkpoint, PolicyInput } from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { loadNativeCore } from '@specoffload/native';
import { flagOf, localSettings } from '../../inputs/caps.js';
import { prepareTarget } from '../../inputs/inflated-target.js';
import { preparePackedTarget } from '../../inputs/packed-target.js';
import { openPair } from '../../inputs/pair.js';
import type { Job } from '../../job/execute.js';
import { loadMixedWorkload } from '../../job/main-job.js';
import { cacheDirectory, pairPaths } from '../../paths.js';
import { specOfRun } from '../../store/index.js';
import { formatBytes, formatSeconds, plural } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import type { BenchOptions } from '../main.js';
import { type LegName, legNames } from './leg-names.js';
import { findLegs, type Leg, runLab } from './legs.js';
import type { PeerTimes } from './peer.js';
import { type PeerName, verdicts } from './verdicts.js';

export interface PeersOptions extends BenchOptions {
  /** @default all */
  readonly legs?: readonly LegName[] | undefined;
  /** @default 3; 1 where it is to be quick */
  readonly rounds?: number | undefined;
  /** A leg that takes longer is stopped, and counts as having taken at least so long. @default 300 */
  readonly legSeconds?: number | undefined;
}

/** One program's run; rounds go through all programs. */
export interface PeerRun extends PeerTimes {
  readonly name: PeerName;
  readonly round: number;
  /** Of all its tokens, those that stand where the lab's do; null where it was stopped, and its times are the least. */
  readonly sameTokens: number | null;
}

/** What the aims are about; large enough that a sixth holds the KV cache, too. */
const wholeSizes = { targetBytes: 1e9, sequences: 16, promptTokens: 64, newTokens: 32 };
const quickSizes = { targetBytes: 4e8, sequences: 4, promptTokens: 32, newTokens: 8 };
const share = 1 / 6;

/**
 * As somebody would set it for this job, who knows that the disk binds and that device and host are one memory: attention
 * where the rest is computed, most of the memory to the device, and so many guesses that a pass saved pays for all of them.
 * Tried out on this bench's own texts.
 */
const policy = {
  ...{ candidates: 10, alternates: 6, attention: 'device', cache: 'device' },
  ...{ residents: 'tensors', prefetchDepth: 4 },
} as const satisfies PolicyInput;
const deviceShare = 0.78;

/** Slow: in the first round alone. */
const onceLegs: readonly LegName[] = ['llama.cpp-same-memory', 'accelerate'];

export async function benchPeers(options: PeersOptions): Promise<void> {
  const { quick, output, signal, legs: names = legNames, legSeconds = 300 } = options;
  const { rounds = quick ? 1 : 3 } = options;
  const { targetBytes, ...sizes } = quick ? quickSizes : wholeSizes;
  const job = await openJob(targetBytes, sizes, output, signal);
  const { target, workload, maxNewTokens: newTokens } = job;
  const packed = { ...job, target: await preparePackedTarget(target, output, signal) };
  const memoryBytes = Math.floor(target.bytes * share);
  const request = { names, job, prompts: workload.prompts, newTokens, threads: numCores(), memoryBytes };
  const legs = await findLegs(request, output);
  const runs: PeerRun[] = [];
  for (let round = 0; round < rounds; round += 1) {
    output.note(`bench: peers, round ${round + 1}`);
    const { times, written } = await runOurs(packed, output, signal);
    runs.push({ name: 'specoffload', round, ...times, sameTokens: 1 });
    for (const leg of legs)
      if (round === 0 || !onceLegs.includes(leg.name)) {
        const run = await runLeg(leg, written, legSeconds, output, signal);
        if (run) runs.push({ round, ...run });
      }
  }
  sayRuns(runs, job, packed.target, output);
  for (const verdict of verdicts(runs)) output.say(verdict);
  if (quick) output.say(`(the aims are about ${formatBytes(wholeSizes.targetBytes)}: leave --quick out)`);
  output.document({ spec: specOfRun(packed), runs });
}

async function openJob(
  bytes: number,
  { sequences, promptTokens, newTokens }: Omit<typeof wholeSizes, 'targetBytes'>,
  output: Output,
  signal: AbortSignal,
): Promise<Job> {
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes };
  const pair = await openPair((await prepareTarget(request, output, signal)).directory, pairPaths.draft);
  const { target, tokenizer } = pair;
  const { name, prompts } = await loadMixedWorkload(2 * sequences, {
    size: target.spec.vocabSize,
    tokenizer,
  });
  const long = prompts.filter((prompt) => prompt.length >= promptTokens).slice(0, sequences);
  const memoryBytes = Math.floor(target.bytes * share);
  const deviceBytes = Math.floor(memoryBytes * deviceShare);
  const budgets = { deviceBytes, hostBytes: memoryBytes - deviceBytes };
  return {
    ...{ ...pair, strategy: 'serial', policy, maxNewTokens: newTokens, stopAtEos: false },
    workload: { name, prompts: long.map((prompt) => prompt.slice(0, promptTokens)) },
    machine: localSettings({ ...budgets, deviceCores: numCores() }), // as the others
  };
}

function numCores(): number {
  return loadNativeCore().probe().allowedCores.length;
}

/** Of every text, in order. */
type Written = readonly (readonly number[])[];

async function runOurs(
  job: Job,
  output: Output,
  signal: AbortSignal,
): Promise<{ readonly times: PeerTimes; readonly written: Written }> {
  const { tokens, ...times } = await followed('specoffload', output, (onTokens) =>
    runLab(job, onTokens, signal),
  );
  output.note(`bench: peers, specoffload: ${describeSeconds(times)}`);
  return { times, written: tokens };
}

/** What another program ends with is said, and costs nobody else's times: then null. */
async function runLeg(
  { name, run }: Leg,
  ours: Written,
  limitSeconds: number,
  output: Output,
  signal: AbortSignal,
): Promise<Omit<PeerRun, 'round'> | null> {
  signal.throwIfAborted();
  output.note(`bench: peers, ${name}, at most ${formatSeconds(limitSeconds)}`);
  const outcome = await followed(name, output, (onTokens) => run(limitSeconds, onTokens, signal)).catch(
    (error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      output.note(`bench: peers, ${error.message}`);
      return null;
    },
  );
  if (outcome === null) return null;
  const { tokens, ...times } = outcome;
  const ending = tokens ? '' : 'stopped; at least ';
  output.note(`bench: peers, ${name}: ${ending}${describeSeconds(times)}`);
  return { name, ...times, sameTokens: tokens && shareOfSame(ours, tokens) };
}

/** Says now and then how many tokens there are. */
async function followed<Result>(
  name: PeerName,
  output: Output,
  run: (onTokens: (newTokens: number) => void) => Promise<Result>,
): Promise<Result> {
  const follower = output.follow();
  const start = performance.now();
  try {
    return await run((newTokens) =>
      follower.update(() => {
        const seconds = (performance.now() - start) / 1000;
        return `${name}: ${plural(newTokens, 'new token')} after ${formatSeconds(seconds)}`;
      }),
    );
  } finally {
    follower.end();
  }
}

function describeSeconds({ prefillSeconds, decodeSeconds }: PeerTimes): string {
  return `prefill ${formatSeconds(prefillSeconds)}, decode ${formatSeconds(decodeSeconds)}`;
}

function shareOfSame(ours: Written, others: Written): number {
  const same = ours.map((tokens, text) => tokens.filter((token, i) => token === others[text][i]).length);
  return same.reduce((sum, count) => sum + count, 0) / ours.reduce((sum, { length }) => sum + length, 0);
}

function asFlag(bytes: number): string {
  return formatBytes(bytes).replace(' ', '');
}

function sayRuns(
  runs: readonly PeerRun[],
  { target, machine, workload, ...job }: Job,
  packed: Checkpoint,
  output: Output,
): void {
  const memory = formatBytes(machine.deviceBytes + machine.hostBytes);
  const { prompts } = workload;
  const flags = Object.entries(policy).map(([field, value]) => `${flagOf(field)} ${value}`);
  output.say(
    `\n${target.name}, ${formatBytes(target.bytes)} in bf16; ${plural(prompts.length, 'text')} of ${prompts[0].length} tokens, ${job.maxNewTokens} new ones each; specoffload in ${memory}`,
  );
  output.say(
    `specoffload: --strategy serial ${flags.join(' ')} --device-memory ${asFlag(machine.deviceBytes)} --host-memory ${asFlag(machine.hostBytes)} --device-cores ${machine.deviceCores}`,
  );
  output.say(
    `specoffload reads the same weights packed without loss, ${formatBytes(packed.bytes)}, made once as llama.cpp's file is; specoffload-bf16 reads bf16`,
  );
  output.say(
    formatTable<PeerRun>(
      [
        { title: 'program', align: 'left', text: ({ name }) => name },
        { title: 'round', text: ({ round }) => String(round + 1) },
        { title: 'prefill', text: ({ prefillSeconds }) => formatSeconds(prefillSeconds) },
        { title: 'decode', text: ({ decodeSeconds }) => formatSeconds(decodeSeconds) },
        { title: 'same tokens', text: ({ sameTokens }) => sameTokens?.toFixed(2) ?? 'stopped' },
      ],
      runs,
    ),
  );
}
