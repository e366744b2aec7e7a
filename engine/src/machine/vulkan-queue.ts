/** A queue of a Vulkan device in the thread that submits to it. */

import {
  type ArenaHandle,
  type GpuQueue,
  type GpuReport,
  type KernelLimits,
  loadVulkan,
} from '@specoffload/native';
import type { Command, Completion, DeviceModels, DeviceQueue } from './device.js';
import type { HostReach } from './host-reach.js';
import { VulkanDecoder } from './vulkan-decoder.js';
import { toUserError } from './vulkan-error.js';
import { VulkanKernels } from './vulkan-kernels.js';
import type { OperationList } from './vulkan-list.js';
import { VulkanLowering } from './vulkan-lowering.js';
import type { Rounding, Scratch } from './vulkan-products.js';

/** What crosses to that thread. */
export interface VulkanQueueData {
  readonly gpuId: number;
  readonly sessionId: number;
  readonly isCopy: boolean;
  readonly limits: KernelLimits;
  readonly scratch: Scratch;
  /** Null: products in fp32. */
  readonly rounding: Rounding | null;
  readonly models: DeviceModels;
  readonly host: readonly ArenaHandle[];
  /** Null where kernels reach no host memory. */
  readonly reach: HostReach | null;
}

export class VulkanQueue implements DeviceQueue {
  readonly depth = 3;
  readonly #queue: GpuQueue;
  readonly #kernels: VulkanKernels;
  readonly #lowering: VulkanLowering;
  readonly #decoder: VulkanDecoder;
  /** Since it was last asked for; null where the device does not tell the time on this queue. */
  #work: Float64Array | null = null;
  /** The latest submission's way to the device; the next goes behind it. */
  #sent: Promise<unknown> = Promise.resolve();

  constructor(data: VulkanQueueData) {
    const { gpuId, sessionId, isCopy, limits, scratch, rounding, models, host, reach } = data;
    const vulkan = loadVulkan();
    this.#decoder = new VulkanDecoder(host);
    this.#kernels = new VulkanKernels(vulkan, gpuId);
    this.#lowering = new VulkanLowering({
      ...{ limits, scratch, rounding, decoder: this.#decoder, reach },
      models: isCopy ? null : models,
    });
    this.#queue = new vulkan.Queue(sessionId, isCopy);
  }

  async submit(commands: readonly Command[]): Promise<Completion> {
    const list = this.#lowering.lower(commands);
    const sent = this.#sent.then(() => this.#send(list));
    this.#sent = sent.catch(() => {});
    try {
      const reports = await Promise.all((await sent).answered);
      for (const [, , , kindSeconds] of reports) this.#count(kindSeconds);
      const [startSeconds] = reports[0];
      const endSeconds = reports[reports.length - 1][1];
      return { startSeconds, endSeconds, ...list.answersIn(reports.map(([, , answers]) => answers)) };
    } catch (error) {
      throw toUserError(error);
    }
  }

  async prepare(commands: readonly Command[]): Promise<void> {
    await this.#kernels.prepare(this.#lowering.lower(commands).dispatches);
  }

  takeWork(): Float64Array | null {
    const work = this.#work;
    this.#work = null;
    return work;
  }

  async close(): Promise<void> {
    await this.#queue.close();
    this.#decoder.release();
  }

  /** Not a promise of its own, which would be awaited by whoever only waits for the way to the device. */
  async #send(list: OperationList) {
    await this.#kernels.prepare(list.dispatches);
    const answered: Promise<GpuReport>[] = [];
    for (const part of list.parts) {
      // Of what exchanges much, no more is under way than rings are made for.
      await answered.at(-2);
      const numbers = part.encode((dispatch) => this.#kernels.numberOf(dispatch));
      answered.push(this.#queue.submit(numbers, part.encodeData(), part.answerBytes));
    }
    return { answered };
  }

  #count(kindSeconds: Float64Array | null): void {
    if (!kindSeconds) return;
    this.#work ??= new Float64Array(kindSeconds.length);
    for (const kind of kindSeconds.keys()) this.#work[kind] += kindSeconds[kind];
  }
}
