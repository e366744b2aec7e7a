/** The thread of an isolated device: the only one that sees its memory. */

import { setImmediate, setTimeout } from 'node:timers/promises';
import { type MessagePort, workerData } from 'node:worker_threads';
import { loadNativeCore } from '@specoffload/native';
import { createRandom } from '../model/random.js';
import { CpuQueue, type CpuQueueOptions } from './cpu-queue.js';
import type { DeviceQueue } from './device.js';
import type { Answer, IsolatedDeviceData, Submission } from './isolated-device.js';
import { PoolMemory } from './pool.js';

const data = workerData as IsolatedDeviceData;
const random = createRandom(data.seed, 'isolated device');

/** Some turns of the event loop, and now and then a long time. */
async function dawdle(): Promise<void> {
  for (let turns = random.uniform() * 6; turns >= 1; turns -= 1) await setImmediate();
  if (random.uniform() < 0.05) await setTimeout(1);
}

async function openQueue(port: MessagePort, options: CpuQueueOptions): Promise<void> {
  const queue: DeviceQueue = await CpuQueue.create(options);
  let last: Promise<unknown> = Promise.resolve();
  const answer = async (id: number, message: Promise<Answer>) => {
    const reply = await message.catch((error): Answer => ({ id, error }));
    await dawdle(); // whoever is behind on the queue does not wait for it
    port.postMessage(reply);
  };
  port.on('message', ({ id, commands }: Submission) => {
    const completion = last.then(dawdle).then(() => queue.submit(commands));
    last = completion.catch(() => {});
    void answer(
      id,
      completion.then((done) => ({ id, completion: done })),
    );
  });
}

const core = loadNativeCore(data.core);
const memory = PoolMemory.create(core, { allocatedBytes: data.memoryBytes });
memory.fill(Number.NaN);
const shared = { core, device: memory, host: PoolMemory.open(core, data.host), threads: data.threads };
await openQueue(data.queues.copy, { ...shared, models: null });
await openQueue(data.queues.compute, { ...shared, models: data.models });
