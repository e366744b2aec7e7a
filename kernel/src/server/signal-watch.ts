/**
 * Hears SIGINT whatever the main thread is at. Node tells of signals in the main thread alone, when that has a pause;
 * but it ends at once, in whatever thread, code that was started to be ended by one. So a thread does nothing but run
 * such code. Two of them, so that there is one while the other tells.
 */

import { Worker } from 'node:worker_threads';

const watch = `
const { parentPort } = require('node:worker_threads');
const { Script } = require('node:vm');
const wait = new Script('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)');
for (;;) {
  try {
    wait.runInThisContext({ breakOnSigint: true });
  } catch {
    parentPort.postMessage('SIGINT');
  }
}`;

const numThreads = 2;

export function startSignalWatch(onSignal: () => void): void {
  for (let i = 0; i < numThreads; i++)
    new Worker(watch, { eval: true, execArgv: [] }).on('message', onSignal).unref();
}
