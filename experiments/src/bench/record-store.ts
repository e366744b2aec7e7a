/** How long a store of many records takes to answer: the command from its start to its end, beside plainly parsing the files. */

import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type SimulationRequest, simulateRun } from '@specoffload/engine';
import { makeTemporaryFolder } from '@specoffload/input';
import { openMachine } from '../inputs/machines.js';
import { openOrDescribeModel } from '../inputs/models.js';
import { alignFacts } from '../job/describe-run.js';
import { experimentsDirectory } from '../paths.js';
import { buildSimulatedRecord, collectProvenance, type SimulatedRecord } from '../store/index.js';
import { formatCount, formatSeconds } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';

export interface RecordStoreTimes {
  readonly records: number;
  /** `specoffload runs list`, a process of its own, Node's start included; best of the repeats. */
  readonly listSeconds: number;
  /** With a condition, which DuckDB judges. */
  readonly whereSeconds: number;
  /** Reading and parsing every run.json in a loop, without starting, checking or printing; best of the repeats. */
  readonly parseSeconds: number;
}

const repeats = 5;
const experiment = 'bench';

export async function timeRecordStore(
  records: number,
  output: Output,
  signal: AbortSignal,
): Promise<RecordStoreTimes> {
  const results = await makeTemporaryFolder('bench');
  try {
    output.note(`bench: a store of ${formatCount(records)} records`);
    await fillStore(results, records, signal);
    const list = ['runs', 'list', '--results', results];
    const times: RecordStoreTimes = {
      records,
      listSeconds: await bestSeconds(() => runCommand(list, signal)),
      whereSeconds: await bestSeconds(() => runCommand([...list, '--where', 'candidates >= 4'], signal)),
      parseSeconds: await bestSeconds(async () => parsePlainly(results)),
    };
    say(times, output);
    return times;
  } finally {
    await rm(results, { recursive: true, force: true });
  }
}

/** One prediction, written down as if it had been made with so many seeds. */
async function fillStore(results: string, records: number, signal: AbortSignal): Promise<void> {
  const request: SimulationRequest = {
    target: await openOrDescribeModel('mixtral-8x7b'),
    draft: await openOrDescribeModel('mistral-7b'),
    machine: await openMachine('env1'),
    acceptance: { kind: 'rates', name: '0.7', byPosition: [0.7] },
    ...{ strategy: 'specoffload', policy: {}, maxNewTokens: 8, signal },
    promptLengths: new Array<number>(16).fill(64),
  };
  const result = await simulateRun(request);
  const provenance = await collectProvenance();
  for (let seed = 1; seed <= records; seed += 1) {
    const run = {
      request: { ...request, seed },
      result,
      workload: 'bench',
      createdAt: new Date(),
      provenance,
    };
    write(results, buildSimulatedRecord(run, 0));
  }
}

/** Without flushing, which the store does for every record and takes minutes for so many. */
function write(results: string, built: SimulatedRecord): void {
  const axes = { seed: built.seed % 10, candidates: built.policy.candidates };
  const point = { experiment, pointKey: built.key, axes, settings: { ...axes, target: 'mixtral-8x7b' } };
  const folder = join(results, experiment, built.key);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'run.json'), `${JSON.stringify({ ...built, point }, null, 2)}\n`);
}

async function runCommand(args: readonly string[], signal: AbortSignal): Promise<void> {
  const command = join(experimentsDirectory, 'bin', 'specoffload.js');
  await promisify(execFile)(process.execPath, [command, ...args], { signal });
}

function parsePlainly(results: string): void {
  const folder = join(results, experiment);
  for (const key of readdirSync(folder)) JSON.parse(readFileSync(join(folder, key, 'run.json'), 'utf8'));
}

async function bestSeconds(work: () => Promise<void>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const start = performance.now();
    await work();
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  return best;
}

function say({ records, listSeconds, whereSeconds, parseSeconds }: RecordStoreTimes, output: Output): void {
  const over = (seconds: number) =>
    `${formatSeconds(seconds)}, ${(seconds / parseSeconds).toFixed(1)} of plain parsing`;
  output.say(`\nrecord store: ${formatCount(records)} records, the best of ${repeats}`);
  const facts = alignFacts([
    ['runs list', over(listSeconds)],
    ['runs list --where', over(whereSeconds)],
    ['plain parsing', formatSeconds(parseSeconds)],
  ]);
  output.say(facts.join('\n'));
}
