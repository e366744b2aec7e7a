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
