/**
 * A lane's thread: takes its ops in order, and says when each really began and ended. It serves one run at a time, and
 * another one after it if it is asked to.
 */

import { type MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { UserError } from '@specoffload/input';
import { loadNativeCore } from '@specoffload/native';
import { nowSeconds } from '../machine/clock.js';
import type { DeviceQueue } from '../machine/device.js';
import { connectQueue } from '../machine/devices.js';
import { PoolMemory } from '../machine/pool.js';
import type { WorkerOp } from '../schedule/ops.js';
import type { PhaseName } from '../trace/types.js';
import { ReceivedConstants } from './constants.js';
import { createDeviceLane } from './device-lane.js';
import { Foreseer } from './foreseer.js';
import { createHostLane, createPacedHost } from './host-lane.js';
import type { Execute } from './lane.js';
import type { LaneWorkerData, WorkerMessage, WorkerReply, WorkerRequest } from './lane-protocol.js';
import { type GiveWay, LaneQueue } from './lane-queue.js';
import { createLinkLane, createPacedLink } from './link-lane.js';
import { NotFiniteError } from './not-finite.js';
import { paceDraft } from './paced-draft.js';
import { PacedLane, type Work } from './paced-lane.js';

type Push = (request: WorkerRequest) => void;

type Send = (reply: WorkerReply) => void;

/** To and from the main thread. */
interface Wire {
  readonly send: Send;
  /** Takes in what has come meanwhile, without a turn of the event loop, which takes longer than a small piece of a draft step. */
  readonly receive: () => Promise<void>;
}

/** A lane that serves a run. */
interface OpenLane {
  readonly push: Push;
  /** Lets go of the run's memory. */
  readonly close: () => Promise<void>;
}

async function openLane(data: LaneWorkerData, wire: Wire): Promise<OpenLane> {
  switch (data.lane) {
    case 'device': {
      const queue = await connect(data);
      const core = loadNativeCore(data.core);
      const host = data.target.routers && PoolMemory.open(core, data.host);
      const lane = await createDeviceLane(data, queue, host && new Foreseer(data.target, core, host));
      const execute = paceDraft(lane, data.caps.draftFlopsPerSecond, { nowSeconds, sleepUntil });
      const push = openQueue(execute, withWork(queue, wire), queue.depth, (phase) => queue.enter?.(phase));
      const close = async () => {
        await queue.close();
        host?.release();
      };
      return { push, close };
    }
    case 'link': {
      const queue = await connect(data);
      const paced = createPacedLink(data.caps, queue);
      const tell = withWork(queue, wire);
      const push = paced ? openPacedLane(paced, tell) : openQueue(createLinkLane(queue), tell, queue.depth);
      return { push, close: () => queue.close() };
    }
    case 'host': {
      const core = loadNativeCore(data.core);
      const { execute, close } = await createHostLane(data, core, PoolMemory.open(core, data.host));
      const paced = createPacedHost(data.caps, execute);
      return { push: paced ? openPacedLane(paced, wire) : openQueue(execute, wire, 1), close };
    }
  }
}

function connect({ queue, lane }: LaneWorkerData): Promise<DeviceQueue> {
  if (!queue) throw new Error(`the ${lane} lane needs a queue of the device`);
  return connectQueue(queue);
}

/** Has replies say what the device's queue has done meanwhile. */
function withWork(queue: DeviceQueue, { send, receive }: Wire): Wire {
  if (!queue.takeWork) return { send, receive };
  queue.takeWork(); // what made the lane ready is no op's
  const sendWithWork: Send = (reply) => {
    if (!('length' in reply)) return send(reply);
    const [id, startSeconds, endSeconds, result] = reply;
    send([id, startSeconds, endSeconds, result, queue.takeWork?.() ?? null]);
  };
  return { send: sendWithWork, receive };
}

/** Ops in their order, as fast as it goes. */
function openQueue(
  execute: Execute,
  { send, receive }: Wire,
  depth: number,
  enter: (phase: PhaseName) => void = () => {},
): Push {
  const serve = async ({ id, op, phase }: WorkerRequest, giveWay: GiveWay) => {
    try {
      enter(phase);
      const { startSeconds, endSeconds, result } = await execute(op, giveWay);
      send([id, startSeconds, endSeconds, result]);
    } catch (error) {
      send(failureOf(id, error));
    }
  };
  const isDivisible = ({ op }: WorkerRequest) => op.kind === 'draft';
  const queue = new LaneQueue<WorkerRequest>({ serve, isDivisible, receive, depth });
  return (request) => queue.push(request);
}

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

function sleepUntil(seconds: number): void {
  const milliseconds = (seconds - nowSeconds()) * 1000;
  if (milliseconds > 0) Atomics.wait(sleepCell, 0, 0, milliseconds);
}

function openPacedLane(work: (op: WorkerOp) => Promise<Work>, { send, receive }: Wire): Push {
  const lane = new PacedLane<WorkerOp>({
    ...{ work, nowSeconds, sleepUntil, receive },
    deliver: (delivery) => {
      if ('error' in delivery) return send(failureOf(delivery.id, delivery.error));
      const { id, startSeconds, endSeconds, result } = delivery;
      send([id, startSeconds, endSeconds, result]);
    },
  });
  return (request) => lane.push(request);
}

function failureOf(id: number, error: unknown): WorkerReply {
  const isForUser = error instanceof UserError;
  return {
    ...{ id, isForUser },
    error: isForUser
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error),
    notFinite: error instanceof NotFiniteError ? error.place : null,
  };
}

function main(messages: MessagePort): void {
  const wire: Wire = {
    send: (reply) => messages.postMessage(reply),
    async receive() {
      for (let next = receiveMessageOnPort(messages); next; next = receiveMessageOnPort(messages))
        void take(next.message);
    },
  };
  let lane: OpenLane | null = null;
  let constants = new ReceivedConstants();
  const take = async (message: WorkerMessage) => {
    if ('length' in message) {
      const [id, op, phase, readySeconds, constant] = message;
      constants.unpack(op, constant);
      return lane?.push({ id, op, phase, readySeconds });
    }
    if ('open' in message) {
      constants = new ReceivedConstants();
      lane = await openLane(message.open, wire);
      return wire.send({ ready: true });
    }
    await lane?.close();
    lane = null;
    constants = new ReceivedConstants(); // lets go of the run's
    wire.send({ closed: true });
  };
  messages.on('message', take);
}

if (!parentPort) throw new Error('lane-worker runs only as a worker thread');
main(parentPort);
