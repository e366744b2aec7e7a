/** The processor as a device: its memory is an arena, and each queue computes on the thread that submits to it. */

import { type ArenaHandle, loadNativeCore, type NativeCore } from '@specoffload/native';
import { f32Arithmetic } from './arithmetic.js';
import { CpuQueue } from './cpu-queue.js';
import type {
  Device,
  DeviceDriver,
  DeviceFacts,
  DeviceModels,
  DeviceOptions,
  QueueHandle,
  QueueName,
} from './device.js';
import { localFormats } from './formats.js';
import { PoolMemory } from './pool.js';
import type { ProductNoise } from './product-noise.js';

/** What a thread needs to compute on the same memory. */
interface CpuQueueData {
  readonly core: NativeCore['kind'];
  readonly device: readonly ArenaHandle[];
  readonly host: readonly ArenaHandle[];
  /** Null for a queue that only transfers. */
  readonly models: DeviceModels | null;
  readonly threads: number;
  readonly prefillThreads: number | undefined;
  readonly productNoise: ProductNoise | undefined;
}

export const cpuDriver: DeviceDriver = {
  formats: localFormats,
  open: async (options) => new CpuDevice(options),
  connect: (handle) => {
    const {
      core: kind,
      device,
      host,
      models,
      threads,
      prefillThreads,
      productNoise,
    } = handle.data as CpuQueueData;
    const core = loadNativeCore(kind);
    return CpuQueue.create({
      ...{ core, models, threads, prefillThreads, productNoise },
      device: PoolMemory.open(core, device),
      host: PoolMemory.open(core, host),
    });
  },
};

/** Of the processor. Asking for it reads half a dozen files, which takes a tenth of a short run. */
let nameOnce: string | null = null;

class CpuDevice implements Device {
  readonly arithmetic = f32Arithmetic;
  readonly reach = null;
  readonly facts: DeviceFacts;
  readonly #memory: PoolMemory;
  readonly #options: DeviceOptions;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.#memory = PoolMemory.create(options.core, options.memory);
    nameOnce ??= options.core.probe().cpuModel;
    this.facts = { name: nameOnce, driver: null, link: 'none', hasCopyQueue: true };
  }

  handOver(queue: QueueName): QueueHandle {
    const { core, host, models, threads, prefillThreads, productNoise } = this.#options;
    const data: CpuQueueData = {
      ...{ core: core.kind, device: this.#memory.handles, host, threads, prefillThreads, productNoise },
      models: queue === 'compute' ? models : null,
    };
    return { kind: 'cpu', data, transfer: [] };
  }

  async close(): Promise<void> {
    this.#memory.release();
  }
}
