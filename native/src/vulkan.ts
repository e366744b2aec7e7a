/** The addon's Vulkan: devices, kernels on them, memory of a run, and queues that take lists of operations. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { KernelModule } from './spirv/specialise.js';
import type { CooperativeMatrices } from './vulkan-shaders/cooperative.js';
import { kindOfKernel } from './vulkan-shaders/kernel-kinds.js';
import type { Dispatch, KernelName } from './vulkan-shaders/kernels.js';

/** What a device says of itself. */
export interface GpuFacts {
  readonly name: string;
  /** Its name and version. */
  readonly driver: string;
  readonly type: 'discrete' | 'integrated' | 'virtual' | 'processor' | 'other';
  readonly apiVersion: string;
  /** Of its largest memory. */
  readonly memoryBytes: number;
  /** What this process could have of it; null where the driver does not tell (`VK_EXT_memory_budget`). */
  readonly freeBytes: number | null;
  /** As in /sys/bus/pci/devices; null where the driver does not tell, or there is none. */
  readonly pciAddress: string | null;
  readonly largestAllocationBytes: number;
  readonly leastSubgroupSize: number;
  readonly sharedMemoryBytes: number;
  readonly workgroupInvocations: number;
  /** Along the first axis. */
  readonly workgroups: number;
  /** That are there and used. */
  readonly features: readonly string[];
  /** That are needed and not there. */
  readonly missing: readonly string[];
  readonly families: readonly { readonly queues: number; readonly does: readonly string[] }[];
  /** Null where it has none that kernels can use. */
  readonly matrices: CooperativeMatrices | null;
}

export interface GpuOptions {
  readonly index: number;
  /** The Khronos layer watches, synchronisation included; {@link Vulkan.takeMessages} has what it says. */
  readonly validates: boolean;
  /** Copies and arithmetic go to one queue, as on devices that have no other. */
  readonly usesOneFamily: boolean;
}

export interface Gpu {
  readonly id: number;
  readonly facts: GpuFacts;
  /** Copies have a queue of their own. */
  readonly hasCopyQueue: boolean;
}

/** A kernel made for certain specialisation constants, numbered from 0. */
export interface GpuKernel {
  readonly name: string;
  /** Place in `kernelKinds`. */
  readonly kind: number;
  readonly code: Uint8Array;
  readonly constants: readonly number[];
}

export interface SessionOptions {
  /** Addresses of the device pool count through banks of so many bytes. */
  readonly bankBytes: number;
  /** Bytes of each; every bank is an allocation. */
  readonly banks: readonly number[];
  /** The same for the host pool, whose banks are arenas, open in this thread. */
  readonly hostBankBytes: number;
  /** Of a bank of the host pool, imported as one: a kernel finds all of what lies within it. */
  readonly hostPieceBytes: number;
  readonly arenas: readonly number[];
  /** Of each queue, in host memory: what small data and answers travel in, and copies where import is refused. */
  readonly exchangeBytes: number;
  readonly stagingBytes: number;
  /** What is to go wrong, to try what then happens. */
  readonly refusesImport?: boolean;
  readonly refusesAllocation?: boolean;
  /** Submissions after which the device is lost. */
  readonly losesAfter?: number;
  /** Of the device's memory, as if there were no more. */
  readonly freeBytes?: number;
}

/** Who tells what a card draws: where it is on its bus, NVIDIA's NVML, and the root of sysfs. */
export interface PowerOptions {
  readonly pciAddress: string;
  readonly library: string;
  readonly sysfs: string;
}

/** Reads what a card draws, from when it is made to when it is closed. */
export interface PowerMeter {
  /** Null where nobody tells. */
  readonly source: 'nvml' | 'hwmon' | null;
  /** (sample, 2): moments on the clock of `process.hrtime`, and joules since the first of them. */
  samples(): Float64Array;
  close(): void;
}

/** Rings of a queue; a submission that exchanges more than half of one gets memory of its own for that. */
export const queueRings = { exchangeBytes: 2 ** 20, stagingBytes: 2 ** 21 } as const;

/** What a run holds of a device, until it is closed. */
export interface GpuSession {
  readonly id: number;
  /** The device reaches the host pool by itself; else copies pass through staging buffers. */
  readonly reachesHost: boolean;
}

/** An address says which memory it counts in: `space * spaceBytes + offset`. */
export const spaceBytes = 2 ** 48;

export const spaces = {
  /** Offsets of the device pool are addresses as they are. */
  pool: 0,
  host: spaceBytes,
  /** What travels with a submission. */
  data: 2 * spaceBytes,
  /** What it answers. */
  answers: 3 * spaceBytes,
  /** A kernel's address 0. */
  nowhere: 4 * spaceBytes,
} as const;

/** First numbers of operations in a list. */
export const operations = {
  /** Of those before it, what comes behind sees everything. */
  barrier: 0,
  /** from, to, bytes */
  copy: 1,
  /** to, bytes: zeros, in whole words */
  fill: 2,
  /** kernel, groups along x, y and z, how many addresses, these, how many words, these */
  dispatch: 3,
} as const;

/** Seconds by `kernelKinds` are the device's own; null where it does not tell the time on this queue. */
export type GpuReport = [
  startSeconds: number,
  endSeconds: number,
  answers: ArrayBuffer,
  kindSeconds: Float64Array | null,
];

export interface GpuQueue {
  submit(operations: Float64Array, data: Uint8Array, answerBytes: number): Promise<GpuReport>;
  /** Call once; settles when what is under way is done. */
  close(): Promise<void>;
}

/** Errors have the code `VULKAN`, and a message for whoever asked. */
export interface Vulkan {
  listDevices(): readonly GpuFacts[];
  /** Opened once in a process. @param cache what {@link Vulkan.pipelineCache} gave another one, or nothing */
  openGpu(options: GpuOptions, cache: Uint8Array): Promise<Gpu>;
  /** @returns their numbers in dispatches */
  prepareKernels(gpuId: number, kernels: readonly GpuKernel[]): Promise<readonly number[]>;
  pipelineCache(gpuId: number): Uint8Array;
  openSession(gpuId: number, options: SessionOptions): Promise<GpuSession>;
  /** Its memory is given back when its queues are closed too. */
  closeSession(sessionId: number): void;
  /** What the validation layer has said since this was last asked. */
  takeMessages(): readonly string[];
  readonly PowerMeter: new (options: PowerOptions) => PowerMeter;
  readonly Queue: new (sessionId: number, isCopy: boolean) => GpuQueue;
}

/** @throws Error with the code `VULKAN` that says what is missing here and what brings it. */
export function loadVulkan(): Vulkan {
  const addon = loadAddon();
  if (addon.vulkan) return addon.vulkan;
  throw vulkanError(
    "the native core was built without Vulkan; install its headers (Debian's libvulkan-dev) and run `npm run setup`",
  );
}

/** What a dispatch starts. Native code asks for the SPIR-V of what it does not have yet. */
export function kernelOf({
  kernel: name,
  constants,
}: Pick<Dispatch<unknown>, 'kernel' | 'constants'>): GpuKernel {
  return {
    ...{ name, kind: kindOfKernel(name), constants },
    get code() {
      return moduleOf(name).for(constants);
    },
  };
}

const modules = new Map<KernelName, KernelModule>();

/** A kernel's SPIR-V, which lies beside its source. */
function moduleOf(name: KernelName): KernelModule {
  const read = () => readFileSync(new URL(`../src/vulkan-shaders/${name}.spv`, import.meta.url));
  const module = modules.get(name) ?? new KernelModule(read());
  modules.set(name, module);
  return module;
}

function loadAddon(): { readonly vulkan?: Vulkan } {
  try {
    return createRequire(import.meta.url)('../build/specoffload.node');
  } catch {
    throw vulkanError(
      'a Vulkan device needs the native core; run `node native/build.mjs` (it needs a C++17 compiler)',
    );
  }
}

function vulkanError(message: string): Error {
  return Object.assign(new Error(message), { code: 'VULKAN' });
}
