/** `specoffload devices`: what can compute here, how fast, and what is missing where something cannot. */

import {
  type DeviceListing,
  type DeviceRates,
  type GpuFacts,
  listDevices,
  type MeasuredSizes,
  manyRows,
  measureDevice,
} from '@specoffload/engine';
import { reasonOf } from '@specoffload/input';
import type { Command } from 'commander';
import { formatBytes, formatFlops, formatRate, threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';

export function addDevicesCommand(program: Command, { signal }: CommandContext): void {
  const command = program
    .command('devices')
    .description('list what --device can compute on here, with rates measured in a second each');
  withCommonOptions(command, 'specoffload devices').action(async (options: CommonOptions) => {
    const output = outputFor(options);
    const { devices, problem } = listDevices();
    const documents: object[] = [];
    for (const device of devices) {
      signal.throwIfAborted();
      documents.push({ ...device, ...(await describe(output, device)) });
    }
    if (problem) output.say(`no Vulkan: ${problem}`);
    output.document({ devices: documents, problem });
  });
}

async function describe(output: Output, device: DeviceListing) {
  const { kind, gpu, kernels } = device;
  output.say(`${kind}: ${device.name}${kernels ? `, kernels for ${kernels}` : ''}`);
  if (gpu) {
    const families = gpu.families.map(({ queues, does }) => `${queues} for ${does.join(', ')}`);
    output.say(
      `  ${gpu.type}, driver ${gpu.driver}, Vulkan ${gpu.apiVersion}, memory ${formatBytes(gpu.memoryBytes)}${gpu.freeBytes === null ? '' : ` (${formatBytes(gpu.freeBytes)} free)`}`,
    );
    output.say(`  queues: ${families.join('; ')}`);
    output.say(`  uses ${gpu.features.join(', ')}`);
    const without = describeWithout(gpu);
    if (without) output.say(`  goes without ${without}`);
    if (gpu.missing.length > 0) {
      output.say(`  cannot compute here: it lacks ${gpu.missing.join(', ')}; a newer driver may bring that`);
      return {};
    }
  }
  try {
    const { facts, rates } = await measureDevice({ kind }, gpu && sizesFor(gpu.type));
    const way = { imported: 'from imported host memory', staged: 'by way of staging buffers', none: '' };
    output.say(`  ${describeRates(rates, way[facts.link])}`);
    return { facts, rates };
  } catch (error) {
    output.say(`  ${reasonOf(error)}`);
    return { problem: reasonOf(error) };
  }
}

/** What drivers need not have, and how it goes without. */
const optional: Readonly<Record<string, string>> = {
  VK_EXT_external_memory_host: 'copies pass through staging buffers, and no kernel reads host memory',
  VK_EXT_memory_budget: 'nobody says how much memory is free',
  VK_EXT_pci_bus_info: 'what it draws is not read',
  VK_EXT_calibrated_timestamps: "spans come from the host's clock",
  VK_KHR_cooperative_matrix: 'many rows are multiplied in fp32 by tiles',
};

export function describeWithout({ features, families }: Pick<GpuFacts, 'features' | 'families'>): string {
  const missing = Object.entries(optional).filter(([feature]) => !features.includes(feature));
  const numQueues = families.reduce((sum, { queues }) => sum + queues, 0);
  return [
    ...missing.map(([feature, instead]) => `${feature} (${instead})`),
    ...(numQueues > 1 ? [] : ['a second queue (copies wait for arithmetic)']),
  ].join(', ');
}

function formatMicroseconds(seconds: number): string {
  return `${threeDigits(seconds * 1e6)} µs`;
}

/** As much as such a GPU does in a second. */
function sizesFor(type: GpuFacts['type']): MeasuredSizes {
  if (type === 'processor') return { weightBytes: 2 ** 21, width: 256 };
  return { weightBytes: type === 'discrete' ? 2 ** 29 : 2 ** 27, width: 4096 };
}

function describeRates(rates: DeviceRates, way: string): string {
  return [
    `copies to it ${formatRate(rates.toDeviceBytesPerSecond)}${way && ` ${way}`}`,
    `from it ${formatRate(rates.fromDeviceBytesPerSecond)}`,
    `weights read ${formatRate(rates.weightBytesPerSecond)}`,
    `products of ${manyRows} rows ${formatFlops(rates.flopsPerSecond)}`,
    `answers after ${formatMicroseconds(rates.answerSeconds)}`,
  ].join(', ');
}
