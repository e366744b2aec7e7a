/** The kinds of devices: a new one is a file, and a line here. */

import { cpus } from 'node:os';
import { UserError } from '@specoffload/input';
import { type GpuFacts, loadNativeCore } from '@specoffload/native';
import type { ArithmeticName } from './arithmetic.js';
import { cpuDriver } from './cpu-device.js';
import type {
  Device,
  DeviceDriver,
  DeviceOptions,
  DeviceQueue,
  DeviceTrials,
  QueueHandle,
} from './device.js';
import type { Formats } from './formats.js';
import { isolatedDriver } from './isolated-device.js';
import { listGpus, vulkanDriver } from './vulkan-device.js';

const drivers: Readonly<Record<string, DeviceDriver>> = {
  cpu: cpuDriver,
  isolated: isolatedDriver,
  vulkan: vulkanDriver,
};

export const deviceKinds: readonly string[] = Object.keys(drivers);

export interface DeviceChoice {
  /**
   * One of {@link deviceKinds}; behind a colon the number of one of several: `vulkan:1`. Or `auto`: a card of its own
   * memory where there is one, else the processor.
   */
  readonly kind: string;
  /** Of a device that behaves differently each time, to make it behave the same. @default 0 */
  readonly seed?: number;
  /** bf16 asks for cooperative matrices, or for their arithmetic where a device has none. @default f32 */
  readonly arithmetic?: ArithmeticName;
  /** @default none */
  readonly trials?: DeviceTrials;
}

const defaultChoice: DeviceChoice = { kind: 'cpu' };

/** How wide numbers are on a kind of device: what a plan has to be laid out for. */
export function formatsOf({ kind } = defaultChoice): Formats {
  return find(kind).driver.formats;
}

/** Takes the device's memory. */
export async function openDevice(
  { kind, seed = 0, arithmetic = 'f32', trials = {} } = defaultChoice,
  options: Omit<DeviceOptions, 'seed' | 'index' | 'arithmetic' | 'trials'>,
): Promise<Device> {
  const { driver, index } = find(kind);
  if (options.formats !== driver.formats)
    throw new Error(`the plan is not laid out for the numbers of the ${kind} device`);
  if (arithmetic === 'bf16' && driver.roundsToBf16 !== true)
    throw new UserError(
      `invalid arithmetic: bf16; the ${kind} device multiplies in fp32, expected f32, or a GPU (device vulkan)`,
    );
  if (options.productNoise && driver !== cpuDriver)
    throw new UserError(
      `invalid productNoise: ${options.productNoise.size}; only the processor's products are disturbed, expected device cpu, or no noise`,
    );
  return driver.open({ ...options, seed, index, arithmetic, trials });
}

/** A queue that was handed over, in the thread that submits to it. */
export function connectQueue(handle: QueueHandle): Promise<DeviceQueue> {
  return find(handle.kind).driver.connect(handle);
}

/** A device as {@link nameDevice} names it. */
export interface DeviceListing {
  readonly kind: string;
  readonly name: string;
  /** Of the processor: the level of vector instructions that its kernels use. */
  readonly kernels?: string;
  /** What a GPU says of itself. */
  readonly gpu?: GpuFacts;
}

/** What there is to compute on here, and why there is no GPU among it. */
export function listDevices(): {
  readonly devices: readonly DeviceListing[];
  readonly problem: string | null;
} {
  const { gpus, problem } = listGpus();
  const cards = gpus.map((gpu, index) => ({ kind: nameDevice(`vulkan:${index}`), name: gpu.name, gpu }));
  return {
    devices: [
      { kind: 'cpu', name: cpus()[0]?.model ?? 'processor', kernels: loadNativeCore().probe().kernelLevel },
      ...cards,
    ],
    problem,
  };
}

/**
 * The one name of a choice: `vulkan:0` is `vulkan`, and `auto` what it comes to here.
 * @throws UserError when there is no such kind.
 */
export function nameDevice(choice: string): string {
  const { kind, index } = find(choice);
  return index === 0 ? kind : `${kind}:${index}`;
}

/** That the native core can tell apart. */
const mostGpus = 256;

/** @throws UserError when there is no such kind, or but one of it. */
function find(choice: string): { kind: string; driver: DeviceDriver; index: number } {
  const named = choice === 'auto' ? findCard() : choice;
  const [, kind = '', index = '0'] = /^(\w+)(?::(\d{1,3}))?$/.exec(named) ?? [];
  const most = kind === 'vulkan' ? mostGpus - 1 : 0;
  if (Object.hasOwn(drivers, kind) && Number(index) <= most)
    return { kind, driver: drivers[kind], index: Number(index) };
  throw new UserError(
    `invalid device: ${choice}; expected ${[...deviceKinds, 'auto'].join(' or ')} (of several GPUs, vulkan:1 is the second)`,
  );
}

/** The first discrete card that can compute here, or the processor. */
function findCard(): string {
  const index = listGpus().gpus.findIndex(({ type, missing }) => type === 'discrete' && missing.length === 0);
  return index < 0 ? 'cpu' : `vulkan:${index}`;
}
