/** The benchmarks behind the README's claims: disk against plain reading, gaps, paced lanes, predictions, the record store. */

import { laneNames, type RunResult } from '@specoffload/engine';
import { localSettings } from '../inputs/caps.js';
import { prepareTarget } from '../inputs/inflated-target.js';
import { openPair } from '../inputs/pair.js';
import { loadWorkload } from '../inputs/prompts.js';
import { type Job, runPlan } from '../job/execute.js';
import { cacheDirectory, pairPaths } from '../paths.js';
import { specOfRun } from '../store/index.js';
import { formatRate, formatSeconds } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import { formatTable } from '../terminal/table.js';
import { measureAcceptanceRules } from './acceptance-rules.js';
import { timeDecoding } from './decoding.js';
import { measurePacing, sayPacing } from './pacing.js';
import { readPlainly, storageBytesRead } from './plain-read.js';
import { timePredictions } from './predictions.js';
import { timeRecordStore } from './record-store.js';
import { timeSweep } from './sweeps.js';

export interface BenchOptions {
  /** The small version. */
  readonly quick: boolean;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** One comparison of the disk lane with plain reading of the same files, just before and just after. */
interface DiskRound {
  readonly plainBytesPerSecond: number;
  readonly laneBytesPerSecond: number;
  /** laneBytesPerSecond / plainBytesPerSecond. */
  readonly ratio: number;
  /** Bytes the storage device delivered / bytes the lane moved: below 1, the page cache would have helped. */
  readonly fromStorage: number | null;
}

const numPrompts = 2;

/** Of the model that paced lanes are measured with: small, so that a slow lane is through with it in seconds. */
const pacedBytes = 4e8;

/** Runs all benchmarks, says what they found, and ends with `output.document`. */
export async function runBenchmarks({ quick, output, signal }: BenchOptions): Promise<void> {
  const bytes = quick ? 4e8 : 2e9;
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes };
  const { directory } = await prepareTarget(request, output, signal);
  const pair = await openPair(directory, pairPaths.draft);
  const vocabulary = { size: pair.target.spec.vocabSize, tokenizer: pair.tokenizer };
  const workload = await loadWorkload('code', numPrompts, vocabulary);
  const budget = Math.floor(pair.target.bytes / 4);
  const paths = [...new Set([...pair.target.tensors.values()].map(({ path }) => path))];
  const jobOf = (strategy: 'none' | 'specoffload'): Job => ({
    ...{ ...pair, workload, strategy, stopAtEos: false },
    machine: localSettings({ deviceBytes: budget, hostBytes: budget }),
    // Nothing stays in memory, so every pass reads the whole model.
    policy: { pinnedLayers: 0, keptLayers: 0 },
    maxNewTokens: quick ? 4 : 6,
  });
  const [alone, interleaved] = [jobOf('none'), jobOf('specoffload')];

  const rounds: DiskRound[] = [];
  const runs: RunResult[] = [];
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    output.note(`bench: disk lane against plain reading, round ${round + 1}`);
    const before = await readPlainly(paths, signal);
    const storageBefore = storageBytesRead();
    const result = await runPlan(alone, signal);
    const storageAfter = storageBytesRead();
    const after = await readPlainly(paths, signal);
    runs.push(result);
    rounds.push(compareRound(result, (before + after) / 2, storageBefore, storageAfter));
  }
  output.note('bench: gaps between tasks while two models share the device');
  runs.push(await runPlan(interleaved, signal));

  const pacing = await measurePacing({
    ...{ workload, output, signal },
    target: await prepareTarget({ ...request, bytes: pacedBytes }, output, signal),
  });

  sayDisk(rounds, output);
  sayGaps(runs, output);
  sayPacing(pacing, output);
  const decoding = timeDecoding(output);
  const predictions = await timePredictions(output, signal);
  const sweep = await timeSweep(quick ? 2 : 12, output, signal);
  const recordStore = await timeRecordStore(quick ? 1000 : 10_000, output, signal);
  output.note('bench: acceptance of drawn tokens under both rules');
  const acceptanceRules = await measureAcceptanceRules(quick ? 4 : 16, output, signal);
  output.document({
    specs: { alone: specOfRun(alone), interleaved: specOfRun(interleaved) },
    disk: rounds,
    gaps: runs.map(({ strategy, laneGaps }) => ({ strategy, laneGaps })),
    ...{ pacing, decoding, predictions, sweep },
    ...{ recordStore, acceptanceRules },
  });
}

function compareRound(
  result: RunResult,
  plainBytesPerSecond: number,
  storageBefore: number | null,
  storageAfter: number | null,
): DiskRound {
  const { decode } = result.phases;
  const laneBytesPerSecond = decode.lanes.disk.bytes / decode.seconds;
  return {
    ...{ plainBytesPerSecond, laneBytesPerSecond, ratio: laneBytesPerSecond / plainBytesPerSecond },
    fromStorage:
      storageBefore === null || storageAfter === null
        ? null
        : (storageAfter - storageBefore) / result.bytesMoved.disk,
  };
}

function sayDisk(rounds: readonly DiskRound[], output: Output): void {
  output.say(`\ndisk lane in decode, strategy none, ${numPrompts} sequences, nothing kept in memory`);
  output.say(
    formatTable<DiskRound>(
      [
        { title: 'plain direct read', text: (round) => formatRate(round.plainBytesPerSecond) },
        { title: 'disk lane', text: (round) => formatRate(round.laneBytesPerSecond) },
        { title: 'lane / plain', text: ({ ratio }) => ratio.toFixed(3) },
        { title: 'from storage', text: ({ fromStorage }) => fromStorage?.toFixed(2) ?? '-' },
      ],
      rounds,
    ),
  );
  const ratios = rounds.map(({ ratio }) => ratio).sort((a, b) => a - b);
  output.say(`median lane / plain: ${ratios[Math.floor(ratios.length / 2)].toFixed(3)}`);
  output.say(
    'from storage: bytes the device delivered over bytes the lane read; below 1 the page cache helped',
  );
}

function sayGaps(runs: readonly RunResult[], output: Output): void {
  const rows = runs.flatMap(({ strategy, laneGaps }) =>
    laneNames.map((lane) => ({ strategy, lane, gaps: laneGaps[lane] })).filter(({ gaps }) => gaps.count > 0),
  );
  output.say("\ntime from one task's end to the next one's start, where a task was ready");
  output.say(
    formatTable<(typeof rows)[number]>(
      [
        { title: 'strategy', align: 'left', text: ({ strategy }) => strategy },
        { title: 'lane', align: 'left', text: ({ lane }) => lane },
        { title: 'median', text: ({ gaps }) => formatMicroseconds(gaps.median) },
        { title: '95 %', text: ({ gaps }) => formatMicroseconds(gaps.p95) },
        { title: 'counted', text: ({ gaps }) => String(gaps.count) },
      ],
      rows,
    ),
  );
}

function formatMicroseconds(seconds: number): string {
  return seconds < 1e-2 ? `${(seconds * 1e6).toFixed(0)} µs` : formatSeconds(seconds);
}
