/** A GPU by Vulkan: weights lie there as stored, copies and arithmetic have a queue each, and nobody else touches it. */

import {
  f32,
  type Gpu,
  type GpuFacts,
  type GpuSession,
  loadVulkan,
  type PowerMeter,
  type PowerOptions,
  queueRings,
  type Vulkan,
} from '@specoffload/native';
import { largest } from '../extremes.js';
import { type Arithmetic, bf16Arithmetic, f32Arithmetic } from './arithmetic.js';
import type {
  Device,
  DeviceDriver,
  DeviceFacts,
  DeviceModels,
  DeviceOptions,
  QueueHandle,
  QueueName,
} from './device.js';
import { vulkanFormats, vulkanReach } from './formats.js';
import type { HostReach } from './host-reach.js';
import type { PoolLayout } from './pool.js';
import { toUserError } from './vulkan-error.js';
import { readPipelineCache, writePipelineCache } from './vulkan-kernels.js';
import { type Scratch, scratchWidth } from './vulkan-products.js';
import { VulkanQueue, type VulkanQueueData } from './vulkan-queue.js';

export const vulkanDriver: DeviceDriver = {
  formats: vulkanFormats,
  roundsToBf16: true,
  open: async (options) => {
    try {
      return await openVulkanDevice(options);
    } catch (error) {
      throw toUserError(error);
    }
  },
  connect: async ({ data }) => {
    try {
      return new VulkanQueue(data as VulkanQueueData);
    } catch (error) {
      throw toUserError(error);
    }
  },
};

/** All that there are; with the reason where there is none. */
export function listGpus(): { readonly gpus: readonly GpuFacts[]; readonly problem: string | null } {
  try {
    const gpus = loadVulkan().listDevices();
    return { gpus, problem: gpus.length > 0 ? null : 'no driver has a device; install one' };
  } catch (error) {
    return { gpus: [], problem: (error as Error).message };
  }
}

async function openVulkanDevice(options: DeviceOptions): Promise<Device> {
  const vulkan = loadVulkan();
  const { index, trials, memory, host, models } = options;
  const { validates = false, usesOneFamily = false, power: _, ...faults } = trials;
  const known = vulkan.listDevices()[index];
  const cache = known ? readPipelineCache(known) : new Uint8Array();
  const gpu = await vulkan.openGpu({ index, validates, usesOneFamily }, cache);
  const { banks, scratch } = layOut(memory, models);
  const session = await vulkan.openSession(gpu.id, {
    ...{ bankBytes: vulkanFormats.largestPieceBytes, banks, ...faults },
    ...{ hostBankBytes: vulkanReach.bankBytes, hostPieceBytes: vulkanReach.pieceBytes },
    ...{ arenas: host.map(idOf), ...queueRings },
  });
  return new VulkanDevice(vulkan, gpu, session, scratch, options);
}

class VulkanDevice implements Device {
  readonly arithmetic: Arithmetic;
  readonly reach: HostReach | null;
  readonly facts: DeviceFacts;
  readonly #vulkan: Vulkan;
  readonly #gpu: Gpu;
  readonly #session: GpuSession;
  readonly #scratch: Scratch;
  readonly #options: DeviceOptions;

  constructor(vulkan: Vulkan, gpu: Gpu, session: GpuSession, scratch: Scratch, options: DeviceOptions) {
    this.#vulkan = vulkan;
    this.#gpu = gpu;
    this.#session = session;
    this.#scratch = scratch;
    this.#options = options;
    this.arithmetic = options.arithmetic === 'bf16' ? bf16Arithmetic : f32Arithmetic;
    const { name, driver } = gpu.facts;
    const link = session.reachesHost ? 'imported' : 'staged';
    this.reach = session.reachesHost ? vulkanReach : null;
    this.facts = { name, driver, link, hasCopyQueue: gpu.hasCopyQueue };
  }

  openPowerMeter(): PowerMeter | null {
    const { pciAddress } = this.#gpu.facts;
    const power = this.#options.trials.power ?? (pciAddress === null ? null : { pciAddress, ...usualPower });
    return power && new this.#vulkan.PowerMeter(power);
  }

  handOver(queue: QueueName): QueueHandle {
    const { models, host, arithmetic } = this.#options;
    const { matrices } = this.#gpu.facts;
    const data: VulkanQueueData = {
      reach: this.reach,
      rounding: arithmetic === 'bf16' ? { matrices: matrices?.format === 'bf16' ? matrices : null } : null,
      ...{ gpuId: this.#gpu.id, sessionId: this.#session.id, isCopy: queue === 'copy' },
      ...{ limits: limitsOf(this.#gpu.facts), scratch: this.#scratch, models, host },
    };
    return { kind: 'vulkan', data, transfer: [] };
  }

  async close(): Promise<void> {
    this.#vulkan.closeSession(this.#session.id);
    writePipelineCache(this.#vulkan, this.#gpu);
  }
}

/** The pool in banks, and behind it, in a bank of its own, what the plan sets aside for those who compute. */
function layOut(memory: PoolLayout, models: DeviceModels): { banks: number[]; scratch: Scratch } {
  const specs = [models.target, models.draft].filter((spec) => spec !== null);
  const rowBytes = largest(specs.map((spec) => f32.bytes(scratchWidth(spec))));
  const byteLength = Math.max(memory.bytesOf('provider workspace'), rowBytes);
  const address = memory.banks.length * vulkanFormats.largestPieceBytes;
  return { banks: [...memory.banks, byteLength], scratch: { address, byteLength } };
}

function limitsOf({ sharedMemoryBytes, workgroupInvocations, workgroups, leastSubgroupSize }: GpuFacts) {
  return { sharedMemoryBytes, workgroupInvocations, workgroups, leastSubgroupSize };
}

/** Where systems have who tells what a card draws. */
const usualPower: Omit<PowerOptions, 'pciAddress'> = { library: 'libnvidia-ml.so.1', sysfs: '/sys' };

function idOf(handle: DeviceOptions['host'][number]): number {
  if (handle.kind === 'native') return handle.id;
  throw Object.assign(
    new Error(
      'a Vulkan device needs the native core, which the TypeScript twin stands in for here; run without `--native twin`',
    ),
    { code: 'VULKAN' },
  );
}
