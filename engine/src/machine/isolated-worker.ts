/** The thread of an isolated device: the only one that sees its memory. */

import { setImmediate, setTimeout } from 'node:timers/promises';
import { type MessagePort, parentPort } from 'node:worker_threads';
import { loadNativeCore } from '@specoffload/native';
import { createRandom, type Random } from '../model/random.js';
import { CpuQueue, type CpuQueueOptions } from './cpu-queue.js';
import {
  type Answer,
  closed,
  type DeviceMessage,
  type IsolatedDeviceData,
  type Submission,
} from './isolated-device.js';
import { PoolMemory } from './pool.js';

/** Some turns of the event loop, and now and then a long time. */
async function dawdle(random: Random): Promise<void> {
  for (let turns = random.uniform() * 6; turns >= 1; turns -= 1) await setImmediate();
  if (random.uniform() < 0.05) await setTimeout(1);
}

/** @returns how to let go of it, once what it has begun is done */
async function openQueue(
  port: MessagePort,
  options: CpuQueueOptions,
  random: Random,
): Promise<() => Promise<void>> {
  const queue = await CpuQueue.create(options);
  let last: Promise<unknown> = Promise.resolve();
  const answer = async (id: number, message: Promise<Answer>) => {
    const reply = await message.catch((error): Answer => ({ id, error }));
    await dawdle(random); // whoever is behind on the queue does not wait for it
    port.postMessage(reply);
  };
  port.on('message', ({ id, commands }: Submission) => {
    const completion = last.then(() => dawdle(random)).then(() => queue.submit(commands));
    last = completion.catch(() => {});
    void answer(
      id,
      completion.then((done) => ({ id, completion: done })),
    );
  });
  return async () => {
    port.close();
    await last;
    await queue.close();
  };
}

async function openDevice(data: IsolatedDeviceData): Promise<() => Promise<void>> {
  const random = createRandom(data.seed, 'isolated device');
  const core = loadNativeCore(data.core);
  const memory = PoolMemory.create(core, { allocatedBytes: data.memoryBytes });
  memory.fill(Number.NaN);
  const shared = { core, device: memory, host: PoolMemory.open(core, data.host), threads: data.threads };
  const closeCopies = await openQueue(data.queues.copy, { ...shared, models: null }, random);
  const closeCompute = await openQueue(data.queues.compute, { ...shared, models: data.models }, random);
  return async () => {
    await closeCopies();
    await closeCompute();
  };
}

let device: Promise<() => Promise<void>>;
parentPort?.on('message', async (message: DeviceMessage) => {
  if ('open' in message) {
    device = openDevice(message.open);
    return;
  }
  const close = await device;
  await close();
  parentPort?.postMessage(closed);
});
