/**
 * A device as unlike the processor as can be without one: its memory belongs to a thread of its own and holds anything but
 * zeros at first, commands begin late, copies run between the commands of a computation, and answers come later still and
 * in any order. What breaks on it would break on a GPU.
 */

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { ArenaHandle, NativeCore } from '@specoffload/native';
import { f32Arithmetic } from './arithmetic.js';
import type {
  Command,
  Completion,
  Device,
  DeviceDriver,
  DeviceFacts,
  DeviceModels,
  DeviceOptions,
  DeviceQueue,
  QueueHandle,
  QueueName,
} from './device.js';
import { localFormats } from './formats.js';

/** What a run has the device's thread open. */
export interface IsolatedDeviceData {
  readonly core: NativeCore['kind'];
  readonly memoryBytes: number;
  readonly host: readonly ArenaHandle[];
  readonly models: DeviceModels;
  readonly threads: number;
  readonly seed: number;
  readonly queues: Readonly<Record<QueueName, MessagePort>>;
}

export type DeviceMessage = { readonly open: IsolatedDeviceData } | { readonly close: true };

/** Answers `close`. */
export const closed = 'closed';

export interface Submission {
  readonly id: number;
  readonly commands: readonly Command[];
}

export type Answer =
  | { readonly id: number; readonly completion: Completion }
  | { readonly id: number; readonly error: Error };

export const isolatedDriver: DeviceDriver = {
  formats: localFormats,
  open: async (options) => new IsolatedDevice(options),
  connect: async ({ data }) => new IsolatedQueue(data as MessagePort),
};

/** Of a run that is over: it takes longer to start one than to serve a short run. It keeps no process alive. */
let waiting: Worker | null = null;

function takeThread(): Worker {
  const thread =
    waiting ??
    new Worker(new URL('../bundled/isolated-worker.js', import.meta.url), { name: 'isolated device' });
  waiting = null;
  thread.ref();
  return thread;
}

class IsolatedDevice implements Device {
  readonly arithmetic = f32Arithmetic;
  readonly reach = null;
  readonly facts: DeviceFacts = { name: 'isolated', driver: null, link: 'none', hasCopyQueue: true };
  readonly #worker: Worker;
  readonly #queues = { compute: new MessageChannel(), copy: new MessageChannel() };

  constructor({ core, memory, host, models, threads, seed }: DeviceOptions) {
    const queues = { compute: this.#queues.compute.port1, copy: this.#queues.copy.port1 };
    const open: IsolatedDeviceData = {
      ...{ core: core.kind, memoryBytes: memory.allocatedBytes, host, models, threads, seed, queues },
    };
    this.#worker = takeThread();
    this.#worker.postMessage({ open } satisfies DeviceMessage, Object.values(queues));
  }

  handOver(queue: QueueName): QueueHandle {
    const { port2 } = this.#queues[queue];
    return { kind: 'isolated', data: port2, transfer: [port2] };
  }

  async close(): Promise<void> {
    const hasEnded = new Promise((resolve) => {
      this.#worker.once('message', resolve);
      this.#worker.once('exit', resolve);
    });
    this.#worker.postMessage({ close: true } satisfies DeviceMessage);
    const answer = await hasEnded;
    this.#worker.removeAllListeners('message').removeAllListeners('exit');
    this.#worker.unref();
    if (answer === closed && waiting === null) waiting = this.#worker;
    else await this.#worker.terminate();
  }
}

interface Waiting {
  readonly resolve: (completion: Completion) => void;
  readonly reject: (error: Error) => void;
}

class IsolatedQueue implements DeviceQueue {
  readonly depth = 3;
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  #submissions = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('error' in answer) waiting?.reject(answer.error);
      else waiting?.resolve(answer.completion);
    });
  }

  submit(commands: readonly Command[]): Promise<Completion> {
    this.#submissions += 1;
    const id = this.#submissions;
    this.#port.postMessage({ id, commands } satisfies Submission);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  async close(): Promise<void> {
    this.#port.close();
  }
}
