/** What tests of devices share: one that is open, with places in both memories, and plain arithmetic. */

import {
  createRandom,
  type DeviceChoice,
  deviceKinds,
  type ModelSpec,
  type Random,
} from '@specoffload/engine';
import { loadNativeCore } from '@specoffload/native';
import type {
  Command,
  Completion,
  Device,
  DeviceModels,
  DeviceQueue,
  DeviceTensor,
  QueueName,
} from '../../engine/dist/machine/device.js';
import { connectQueue, formatsOf, openDevice } from '../../engine/dist/machine/devices.js';
import { PoolLayout, PoolMemory } from '../../engine/dist/machine/pool.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

/** Every kind of device, and why it cannot be tried here. */
export const devices = deviceKinds.map((kind) => {
  const isVulkan = kind === 'vulkan';
  const skipped = isVulkan ? whyNoVulkan : null;
  const choice: DeviceChoice = isVulkan ? watchedVulkan : { kind };
  return { title: `the ${kind} device${skipped === null ? '' : ` (${skipped})`}`, choice, skipped };
});

/** A tensor as {@link Bench.put} writes it. */
export function f32At(address: number): DeviceTensor {
  return { address, dtype: 'f32' };
}

export function tensorsAt<Name extends string>(
  at: Readonly<Record<Name, number>>,
): Record<Name, DeviceTensor> {
  const tensors = Object.entries<number>(at).map(([name, address]) => [name, f32At(address)]);
  return Object.fromEntries(tensors) as Record<Name, DeviceTensor>;
}

/** A device with one queue of each name, and places in both memories. */
export class Bench {
  readonly random: Random;
  readonly host: PoolMemory;
  readonly #device: Promise<Device>;
  readonly #queues: Promise<Record<QueueName, DeviceQueue>>;
  #deviceEnd = 0;
  #hostEnd = 0;

  constructor(
    { kind, trials = {} }: DeviceChoice,
    target: ModelSpec,
    { draft = null, seed = 1 }: { readonly draft?: ModelSpec | null; readonly seed?: number } = {},
  ) {
    const core = loadNativeCore('auto');
    const memory = new PoolLayout('device');
    memory.place('all', 2 ** 23);
    this.random = createRandom(seed);
    this.host = PoolMemory.create(core, memory);
    this.#device = openDevice(
      { kind, seed, trials },
      {
        ...{ core, memory, formats: formatsOf({ kind }), host: this.host.handles, threads: 1 },
        models: { target, draft } satisfies DeviceModels,
      },
    );
    this.#queues = connect(this.#device);
  }

  /** Room for values in device memory. */
  room(count: number): number {
    this.#deviceEnd += 64 * Math.ceil((count * 4) / 64);
    return this.#deviceEnd - 64 * Math.ceil((count * 4) / 64);
  }

  hostRoom(byteLength: number): number {
    this.#hostEnd += 64 * Math.ceil(byteLength / 64);
    return this.#hostEnd - 64 * Math.ceil(byteLength / 64);
  }

  draw(count: number): Float32Array {
    return Float32Array.from({ length: count }, () => this.random.normal());
  }

  async submit(...commands: Command[]): Promise<Completion> {
    return (await this.#queues).compute.submit(commands);
  }

  async copy(...commands: Command[]): Promise<Completion> {
    return (await this.#queues).copy.submit(commands);
  }

  /** Puts values into device memory. */
  async put(values: Float32Array): Promise<number> {
    const target = this.room(values.length);
    await this.submit({ kind: 'write', values, target });
    return target;
  }

  async get(source: number, count: number): Promise<Float32Array> {
    const { values } = await this.submit({ kind: 'read', source, count });
    return values[0];
  }

  async close(): Promise<void> {
    const { compute, copy } = await this.#queues;
    await compute.close();
    await copy.close();
    await (await this.#device).close();
    this.host.release();
    const [mistake] = validationMessages();
    if (mistake) throw new Error(mistake);
  }
}

async function connect(opening: Promise<Device>): Promise<Record<QueueName, DeviceQueue>> {
  const device = await opening;
  return {
    compute: await connectQueue(device.handOver('compute')),
    copy: await connectQueue(device.handOver('copy')),
  };
}

/** x · weightᵀ, with weight (out, in). */
export function linear(x: Float32Array, weight: Float32Array, width: number): Float32Array {
  const numOut = weight.length / width;
  return Float32Array.from({ length: (x.length / width) * numOut }, (_, i) => {
    const [row, out] = [Math.floor(i / numOut), i % numOut];
    let sum = 0;
    for (let j = 0; j < width; j += 1) sum += x[row * width + j] * weight[out * width + j];
    return sum;
  });
}

/** Over stretches as long as the weight. */
export function rmsNorm(x: Float32Array, weight: Float32Array, eps: number): Float32Array {
  const width = weight.length;
  return x.map((value, i) => {
    const row = x.subarray(Math.floor(i / width) * width, (Math.floor(i / width) + 1) * width);
    const meanSquare = row.reduce((sum, each) => sum + each * each, 0) / width;
    return (value / Math.sqrt(meanSquare + eps)) * weight[i % width];
  });
}
