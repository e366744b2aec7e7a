/** The kernel process: what `node kernel.js CONNECTION_FILE` runs. Jupyter starts it, and so does the runner. */

import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { provideHost } from '../display/host.js';
import { NotebookError } from '../errors.js';
import { readKernelVersion, readTslabVersion, requireFromKernel } from '../packages.js';
import { lateOptimisation } from '../snapshot/place.js';
import { readConnectionFile } from '../wire/connection.js';
import { starterVariable } from '../wire/process.js';
import { containCells } from './containment.js';
import { createCellExecutor } from './executor.js';
import { createHandler } from './handler.js';
import { interruptCells, isInterruptible, publishCellSignal, shareRealm } from './interruption.js';
import { shareLabPackages } from './resolution.js';
import { KernelServer } from './server.js';
import { catchStreams } from './streams.js';
import { isInterruptibleName } from './terminator.js';
import { traceErrors } from './traces.js';
import { tslabTypescript } from './typescript.js';
import { type FromWire, sizeOfFrames, type ToWire, type Wire, type WireData } from './wire-messages.js';

export async function startKernelProcess(connectionFile: string): Promise<void> {
  for (const flag of lateOptimisation) setFlagsFromString(flag);
  const connection = readConnectionFile(connectionFile);
  // Needed until the other thread listens for signals; from then on Node tells this one of none.
  process.on('SIGINT', interruptCells);
  makeInterruptible();
  const unsentBytes = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const wire = startWireThread({ connection, unsentBytes, starterPid: takeStarter() });
  traceErrors();
  shareLabPackages();
  const executor = createCellExecutor(process.cwd());
  const handler = createHandler(executor, {
    kernel: readKernelVersion(),
    node: process.versions.node,
    tslab: readTslabVersion(),
    typescript: tslabTypescript().version,
  });
  await wire.isBound;
  const streams = catchStreams(process, (name, text) => server.publish('stream', { name, text }));
  const server = new KernelServer(wire, connection.key, handler, streams);
  const publish = (type: string, content: Record<string, unknown>) => {
    streams.flush();
    server.publish(type, content);
  };
  connectDisplay(publish);
  provideHost({
    clearOutput: (wait) => publish('clear_output', { wait }),
    ask: async (prompt, isPassword) => server.ask(prompt, isPassword),
  });
  const exit = containCells((failure) => publish('error', { ...failure }));
  shareRealm();
  await server.serve();
  executor.close();
  exit();
}

/** Said by the lab's own runner, and not for what cells start. */
function takeStarter(): number | null {
  const { [starterVariable]: pid } = process.env;
  delete process.env[starterVariable];
  return pid === undefined ? null : Number(pid);
}

interface BoundWire extends Wire {
  /** Rejects when a port is taken. */
  readonly isBound: Promise<void>;
}

/** Started first, since loading the rest takes a second: messages that arrive meanwhile are kept. */
function startWireThread(workerData: WireData): BoundWire {
  const worker = new Worker(new URL('./wire-thread.js', import.meta.url), { workerData, execArgv: [] });
  const early: FromWire[] = [];
  let listen = (message: FromWire): void => void early.push(message);
  const isBound = new Promise<void>((resolve, reject) => {
    let hasBound = false;
    const fail = (error: Error) => {
      reject(error);
      // Without sockets nobody can reach this process any more.
      if (hasBound) process.kill(process.pid, 'SIGKILL');
    };
    worker.on('message', (message: FromWire) => {
      if (message.kind === 'bound') {
        hasBound = true;
        resolve();
      } else if (message.kind === 'failed') fail(new NotebookError(message.reason));
      else listen(message);
    });
    worker.on('error', fail);
  });
  isBound.catch(() => {});
  return {
    isBound,
    send(message) {
      worker.postMessage(message);
      if (message.kind === 'send' && message.channel === 'iopub') awaitRoom(message, workerData.unsentBytes);
    },
    onMessage(listener) {
      listen = listener;
      for (const message of early.splice(0)) listener(message);
    },
  };
}

/** A cell that prints without a pause would run ahead by as much as it may print, and an interrupt wait behind all of it. */
const mostUnsentBytes = 4_000_000;
const waitMs = 100;
/** Without an end it would wait for a thread that is gone. */
const mostWaits = 50;

/** As a pipe does with who writes faster than others read. */
function awaitRoom({ frames }: Extract<ToWire, { kind: 'send' }>, unsentBytes: Int32Array): void {
  Atomics.add(unsentBytes, 0, sizeOfFrames(frames));
  for (let wait = 0; wait < mostWaits; wait++) {
    const unsent = Atomics.load(unsentBytes, 0);
    if (unsent <= mostUnsentBytes) return;
    Atomics.wait(unsentBytes, 0, unsent, waitMs);
  }
}

function makeInterruptible(): void {
  publishCellSignal();
  Object.defineProperty(globalThis, Symbol.for(isInterruptibleName), { value: isInterruptible });
}

/** tslab's `display` writes to whatever function its Jupyter module holds at the time. */
function connectDisplay(publish: (type: string, content: Record<string, unknown>) => void): void {
  const jupyter = requireFromKernel('tslab/dist/jupyter.js') as {
    lastWriteDisplayData: (data: object, isUpdate?: boolean) => void;
  };
  jupyter.lastWriteDisplayData = (data, isUpdate) =>
    publish(isUpdate === true ? 'update_display_data' : 'display_data', { ...data });
}
