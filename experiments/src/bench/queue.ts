/** What a queue adds to each predicted point, beside the same points predicted in this process; and how workers scale. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { makeTemporaryFolder, UserError } from '@specoffload/input';
import { median } from 'simple-statistics';
import { defineExperiment } from '../definitions/definition.js';
import { projectDirectory } from '../paths.js';
import { queueRunner } from '../queue/index.js';
import { runExperiment } from '../sweep/sweep.js';
import type { Output } from '../terminal/output.js';
import { formatTable } from '../terminal/table.js';

export interface QueueBenchOptions {
  readonly quick: boolean;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Wanted: less than this for each point, in time and in processor time. */
const mostOverheadMs = 5;
const candidates = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

interface Leg {
  readonly name: string;
  /** 0: this process predicts. */
  readonly workers: number;
  /** In a network, host name and processes of its own, as another machine would be. */
  readonly isApart?: boolean;
}

interface Timed extends Leg {
  readonly msPerPoint: number;
  readonly processorMsPerPoint: number;
}

export async function benchQueue({ quick, output, signal }: QueueBenchOptions): Promise<void> {
  const numPoints = quick ? 400 : 2000;
  const legs: Leg[] = [
    { name: 'this process, one thread', workers: 0 },
    { name: 'queue, one worker', workers: 1 },
    { name: 'queue, two workers', workers: 2 },
    { name: 'queue, four workers in namespaces of their own', workers: 4, isApart: true },
  ];
  const rounds: Timed[][] = [];
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    const timed: Timed[] = [];
    for (const leg of legs) {
      output.note(`bench: round ${round + 1}, ${leg.name}`);
      timed.push(await timeLeg(leg, numPoints, signal));
    }
    rounds.push(timed);
  }
  say(
    legs.map((leg, index) =>
      summarise(
        leg,
        rounds.map((round) => round[index]),
      ),
    ),
    output,
  );
}

async function timeLeg(leg: Leg, numPoints: number, signal: AbortSignal): Promise<Timed> {
  const folder = await makeTemporaryFolder('bench-queue');
  const address = `unix://${join(folder, 'socket')}`;
  const children: ChildProcess[] = [];
  try {
    if (leg.workers > 0) children.push(await startServer(folder));
    for (let index = 0; index < leg.workers; index += 1)
      children.push(startWorker(folder, leg.isApart ?? false));
    const sweep = (name: string, points: number) =>
      runExperiment(
        defineExperiment({
          ...{ name, question: 'How long does a point take?', kind: 'simulated' },
          settings: { machine: 'env1', strategy: 'serial', acceptance: 0.8, prompts: 8, maxNewTokens: 4 },
          axes: {
            candidates,
            promptTokens: Array.from({ length: points / candidates.length }, (_, index) => 16 + index),
          },
        }),
        {
          ...{ results: join(folder, 'results'), signal, workers: 1 },
          ...(leg.workers > 0 ? { createRunner: queueRunner(address) } : {}),
        },
      );
    await sweep('warm-up', 200); // threads start, Node compiles
    const begin = { ms: performance.now(), processorMs: processorMsOf(children) };
    await sweep('timed', numPoints);
    return {
      ...leg,
      msPerPoint: (performance.now() - begin.ms) / numPoints,
      processorMsPerPoint: (processorMsOf(children) - begin.processorMs) / numPoints,
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await setTimeout(100);
    await rm(folder, { recursive: true, force: true });
  }
}

async function startServer(folder: string): Promise<ChildProcess> {
  const socket = join(folder, 'socket');
  const args = ['--port', '0', '--unixsocket', socket, '--dir', folder, '--appendonly', 'yes', '--save', ''];
  const server = spawn('redis-server', args, { stdio: 'ignore' });
  let isMissing = false;
  server.on('error', () => {
    isMissing = true;
  });
  while (!existsSync(socket)) {
    if (isMissing) throw new UserError('no redis-server here (Debian: apt-get install redis-server)');
    await setTimeout(20);
  }
  return server;
}

function startWorker(folder: string, isApart: boolean): ChildProcess {
  const cli = join(projectDirectory, 'experiments', 'bin', 'specoffload.js');
  const [queue, results] = [`unix://${join(folder, 'socket')}`, join(folder, 'results')];
  const words = [cli, 'worker', '--queue', queue, '--results', results, '--parallel', '1'];
  // Not to wait for somebody's measurements, whose lock lies among the temporary files.
  const options = { stdio: 'ignore', env: { ...process.env, TMPDIR: folder } } as const;
  return isApart
    ? spawn('unshare', ['--user', '--map-root-user', '--net', '--uts', process.execPath, ...words], options)
    : spawn(process.execPath, words, options);
}

/** Of this process and the others: what /proc counts in hundredths of a second. */
function processorMsOf(children: readonly ChildProcess[]): number {
  return [process.pid, ...children.map(({ pid }) => pid)]
    .map((pid) => readFileSync(`/proc/${pid}/stat`, 'utf8'))
    .map((text) => text.slice(text.lastIndexOf(')') + 2).split(' '))
    .reduce((sum, fields) => sum + 10 * (Number(fields[11]) + Number(fields[12])), 0);
}

function summarise(leg: Leg, rounds: readonly Timed[]): Timed {
  return {
    ...leg,
    msPerPoint: median(rounds.map(({ msPerPoint }) => msPerPoint)),
    processorMsPerPoint: median(rounds.map(({ processorMsPerPoint }) => processorMsPerPoint)),
  };
}

function say(legs: readonly Timed[], output: Output): void {
  const [own, one] = legs;
  output.say('\nper predicted point, from asking to the record in the store; median of the rounds');
  output.say(
    formatTable<Timed>(
      [
        { title: '', align: 'left', text: ({ name }) => name },
        { title: 'ms', text: ({ msPerPoint }) => msPerPoint.toFixed(2) },
        { title: 'processor ms', text: ({ processorMsPerPoint }) => processorMsPerPoint.toFixed(2) },
        { title: 'points a second', text: ({ msPerPoint }) => (1000 / msPerPoint).toFixed(0) },
      ],
      legs,
    ),
  );
  const overhead = {
    ms: one.msPerPoint - own.msPerPoint,
    processorMs: one.processorMsPerPoint - own.processorMsPerPoint,
  };
  const isReached = Math.max(overhead.ms, overhead.processorMs) < mostOverheadMs;
  output.say(
    `a queue with one worker adds ${overhead.ms.toFixed(2)} ms, ${overhead.processorMs.toFixed(2)} ms of processors, to each point; wanted: less than ${mostOverheadMs} ms: ${isReached ? 'reached' : 'NOT REACHED'} (${availableParallelism()} cores)`,
  );
  output.document({ legs, overhead, isReached });
}
