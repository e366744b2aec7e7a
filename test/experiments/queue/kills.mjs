/**
 * The long form of the queue's test: a sweep over workers that are killed at random, its own process too, and the server.
 * `node test/experiments/queue/kills.mjs [--points 10000] [--workers 4] [--kills 50] [--port 7399]`; needs redis-server.
 */

import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { parseRunRecord } from '../../../experiments/dist/store/index.js';

const number = (value) => ({ type: 'string', default: String(value) });
const { values } = parseArgs({
  options: { points: number(10_000), workers: number(4), kills: number(50), port: number(7399) },
});
const [numPoints, numWorkers, numKills, port] = ['points', 'workers', 'kills', 'port'].map((name) =>
  Number(values[name]),
);
const numSweepKills = 3;
const numServerKills = 2;

const folder = await mkdtemp(join(tmpdir(), 'specoffload-kills-'));
const results = join(folder, 'results');
const store = join(results, 'kills');
const address = `redis://127.0.0.1:${port}`;
const cli = join(import.meta.dirname, '../../../experiments/bin/specoffload.js');
const definitionPath = join(folder, 'definition.json');
await writeFile(
  definitionPath,
  JSON.stringify({
    ...{ name: 'kills', question: 'Is anything lost or doubled?', kind: 'simulated' },
    settings: { machine: 'env1', strategy: 'serial', prompts: 8, maxNewTokens: 4, acceptance: 0.8 },
    axes: {
      candidates: [1, 2, 3, 4],
      promptTokens: Array.from({ length: numPoints / 4 }, (_, index) => 16 + index),
    },
  }),
);

const running = new Set();
function start(command, args, env = {}) {
  const child = spawn(command, args, {
    env: { ...process.env, TMPDIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (child.text += text));
  child.ended = new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  return child;
}

const startServer = () =>
  start('redis-server', [
    ...['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder],
    ...['--appendonly', 'yes', '--save', ''],
  ]);

/** The clock of one worker is a day ahead, that of another one an hour behind. */
const clockErrors = [86_400_000, -3_600_000];
const wrongClock = (ms) => ({
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(`const now=Date.now;Date.now=()=>now()+${ms}`)}`,
});
/** Every other one sees the sweep's store; the others send what they have. */
const startWorker = (index) =>
  start(
    process.execPath,
    [
      ...[cli, 'worker', '--queue', address, '--parallel', '1'],
      ...['--results', index % 2 === 0 ? results : join(folder, 'elsewhere')],
    ],
    index in clockErrors ? wrongClock(clockErrors[index]) : {},
  );
const startSweep = () =>
  start(process.execPath, [cli, 'sweep', definitionPath, '--queue', address, '--results', results, '--json']);

/** Places and times of records when they were first seen: a record that was written again has others. */
const stamps = new Map();
async function look() {
  const names = (await readdir(store).catch(() => [])).filter((name) => /^[0-9a-f]{32}$/.test(name));
  for (const name of names) if (!stamps.has(name)) stamps.set(name, await stampOf(name));
  return names.length;
}
async function stampOf(name) {
  const { ino, mtimeMs } = await stat(join(store, name, 'run.json'));
  return `${ino} ${mtimeMs}`;
}

/** Numbers of records at which something is killed: evenly, in an order of its own for each kind. */
const momentsOf = (count, shift) =>
  Array.from({ length: count }, (_, index) => Math.floor((numPoints * (index + shift)) / (count + 1)));
const due = [
  ...momentsOf(numKills, 0.6).map((at) => ({ at, what: 'worker' })),
  ...momentsOf(numSweepKills, 1.05).map((at) => ({ at, what: 'sweep' })),
  ...momentsOf(numServerKills, 1.1).map((at) => ({ at, what: 'server' })),
].sort((a, b) => a.at - b.at);

const begin = performance.now();
let server = startServer();
await delay(500);
const workers = Array.from({ length: numWorkers }, (_, index) => startWorker(index));
let sweep = startSweep();
const killed = { worker: 0, sweep: 0, server: 0 };
try {
  for (let isDone = false; !isDone; ) {
    const stored = await look();
    while (due.length > 0 && due[0].at <= stored) await kill(due.shift().what);
    isDone = await Promise.race([sweep.ended.then(() => true), delay(50, false)]);
  }
  await judge(await sweep.ended);
} finally {
  for (const child of running) child.kill('SIGKILL');
  await delay(200);
  await rm(folder, { recursive: true, force: true });
}

async function kill(what) {
  await delay(200 * Math.random());
  killed[what] += 1;
  if (what === 'worker') {
    const index = Math.floor(numWorkers * Math.random());
    workers[index].kill('SIGKILL');
    await workers[index].ended;
    workers[index] = startWorker(index);
  } else if (what === 'sweep') {
    sweep.kill('SIGKILL');
    await sweep.ended;
    sweep = startSweep();
  } else {
    server.kill('SIGKILL');
    await server.ended;
    await delay(500);
    server = startServer();
  }
}

async function judge({ code }) {
  const seconds = (performance.now() - begin) / 1000;
  const stored = await look();
  const names = await readdir(store);
  let damaged = names.filter((name) => name.startsWith('.damaged')).length;
  let changed = 0;
  for (const [name, stamp] of stamps) {
    if ((await stampOf(name)) !== stamp) changed += 1;
    try {
      parseRunRecord(JSON.parse(await readFile(join(store, name, 'run.json'), 'utf8')), name);
    } catch {
      damaged += 1;
    }
  }
  const line = sweep.text.split('\n').find((text) => text.startsWith('{'));
  const outcome = line ? JSON.parse(line) : {};
  const summary = {
    ...{ points: numPoints, records: stored, writtenAgain: changed, damaged, failed: outcome.failed?.length },
    ...{ isComplete: outcome.isComplete, exitCode: code, killed, seconds: Math.round(seconds) },
  };
  console.log(JSON.stringify(summary));
  const isRight =
    stored === numPoints && changed === 0 && damaged === 0 && code === 0 && outcome.isComplete === true;
  if (isRight) return;
  console.error(sweep.text.slice(-3000));
  process.exitCode = 1;
}
