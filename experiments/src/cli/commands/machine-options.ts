/** The flags that say what a run may use of this machine. */

import { defaultReadsInFlight } from '@specoffload/engine';
import { parseNumber } from '@specoffload/input';
import type { Command } from 'commander';
import {
  type CapSetting,
  caps,
  flagOf,
  type LocalSettings,
  mostCacheFactor,
  readCaps,
  usualPrefillCores,
} from '../../inputs/caps.js';
import { assertCores, assertDeviceCores } from '../../inputs/cores.js';
import { namedArithmetic } from '../../inputs/devices.js';
import { parseBytes, parseRate } from '../../inputs/sizes.js';
import { asUsage, UsageError } from '../../terminal/errors.js';
import { oneOf, wholeNumber } from './common.js';
import { addDeviceOption, type DeviceOptions } from './device-option.js';

export interface MachineOptions extends DeviceOptions, Partial<Readonly<Record<CapSetting, string>>> {
  readonly deviceMemory: string;
  readonly hostMemory: string;
  readonly deviceCores?: number;
  readonly prefillCores?: number;
  readonly hostCores: number;
  readonly readsInFlight: number;
  readonly deviceCacheFactor?: string;
  readonly draftCacheFactor?: string;
  readonly native: 'auto' | 'native' | 'twin';
}

/** What any machine has; how many this one has, `toMachineSettings` looks at. */
const mostCores = 1 << 20;

export function addMachineOptions(command: Command): Command {
  addDeviceOption(command)
    .option('--device-memory <size>', 'hard limit of the device pool', '512MB')
    .option('--host-memory <size>', 'hard limit of the host pool', '512MB')
    .option(
      '--device-cores <n>',
      "threads of the device lane's arithmetic, where the processor computes it (default: 1)",
      wholeNumber('--device-cores', 1, mostCores),
    )
    .option(
      '--prefill-cores <n>',
      'the same while prompts are read (default: all that there are)',
      wholeNumber('--prefill-cores', 1, mostCores),
    )
    .option(
      '--host-cores <n>',
      "threads of the host lane's attention",
      wholeNumber('--host-cores', 1, mostCores),
      1,
    )
    .option(
      '--reads-in-flight <n>',
      'reads in flight on the disk lane',
      wholeNumber('--reads-in-flight', 1, 64),
      defaultReadsInFlight,
    );
  for (const { setting, help } of Object.values(caps))
    command.option(`${flagOf(setting)} <rate>`, `${help} (default: not paced)`);
  return command
    .option(
      '--device-cache-factor <n>',
      'count every byte of KV cache in device memory as so many of its limit (default: 1)',
    )
    .option('--draft-cache-factor <n>', 'the same for a draft cache that is kept between rounds (default: 1)')
    .option(
      '--native <which>',
      'core to use: auto, native (C++) or twin (TypeScript)',
      oneOf('--native', ['auto', 'native', 'twin']),
      'auto',
    );
}

/** @throws UsageError naming the flag. */
export function toMachineSettings(options: MachineOptions): LocalSettings {
  asUsage(() => {
    assertDeviceCores(options.device, [
      ['--device-cores', options.deviceCores],
      ['--prefill-cores', options.prefillCores],
    ]);
    assertCores('--device-cores', options.deviceCores ?? 1);
    assertCores('--prefill-cores', options.prefillCores ?? 1);
    assertCores('--host-cores', options.hostCores);
  });
  return {
    deviceBytes: parseBytes('--device-memory', options.deviceMemory),
    hostBytes: parseBytes('--host-memory', options.hostMemory),
    deviceCores: options.deviceCores ?? 1,
    prefillCores: options.prefillCores ?? usualPrefillCores,
    hostCores: options.hostCores,
    readsInFlight: options.readsInFlight,
    caps: readCaps<string>(options, (setting, unit, rate) => parseRate[unit](flagOf(setting), rate)),
    deviceCacheFactor: factor('--device-cache-factor', options.deviceCacheFactor),
    draftCacheFactor: factor('--draft-cache-factor', options.draftCacheFactor),
    ...{ native: options.native, device: options.device },
    ...namedArithmetic(options),
  };
}

function factor(flag: string, text: string | undefined): number {
  const number = text === undefined ? 1 : (parseNumber(text) ?? Number.NaN);
  if (1 <= number && number <= mostCacheFactor) return number;
  throw new UsageError(`invalid ${flag}: ${text}; expected a number from 1 to ${mostCacheFactor}`);
}
