/**
 * The threads of lanes. To start one, with what it imports, takes longer than a short run, so a thread whose run is
 * over waits for the next one; it keeps no process alive meanwhile.
 */

import { SHARE_ENV, Worker } from 'node:worker_threads';
import type { WorkerLane, WorkerMessage, WorkerReply } from './lane-protocol.js';

/** One of each lane at most: runs that overlap start threads of their own. */
const waiting = new Map<WorkerLane, Worker>();

export function takeThread(lane: WorkerLane): Worker {
  const thread = waiting.get(lane);
  if (!thread) return startThread(lane);
  waiting.delete(lane);
  removeListeners(thread);
  thread.ref();
  return thread;
}

function startThread(lane: WorkerLane): Worker {
  return new Worker(new URL('../bundled/lane-worker.js', import.meta.url), {
    env: SHARE_ENV, // see setVariable of the native core's twin
    name: `${lane} lane`,
  });
}

/** Has an idle thread let go of its run, and wait for another one. */
export async function keepThread(lane: WorkerLane, thread: Worker): Promise<void> {
  removeListeners(thread);
  const isClosed = await new Promise<boolean>((resolve) => {
    thread.on('message', (reply: WorkerReply) => resolve('closed' in reply));
    thread.on('error', () => resolve(false));
    thread.on('exit', () => resolve(false));
    thread.postMessage({ close: true } satisfies WorkerMessage);
  });
  removeListeners(thread);
  if (!isClosed || waiting.has(lane)) return endThread(thread);
  thread.on('exit', () => {
    if (waiting.get(lane) === thread) waiting.delete(lane);
  });
  thread.unref();
  waiting.set(lane, thread);
}

/** Of these events alone: through listeners of other ones Node keeps track of whether anybody waits for the thread. */
function removeListeners(thread: Worker): void {
  for (const event of ['message', 'error', 'exit']) thread.removeAllListeners(event);
}

export async function endThread(thread: Worker): Promise<void> {
  await thread.terminate();
}
