/** The flags that say what a run may use of this machine. */

import { defaultReadsInFlight, type MachineSettings } from '@specoffload/engine';
import { parseNumber } from '@specoffload/input';
import type { Command } from 'commander';
import { type CapSetting, capSettingsOf, mapCaps, mostCacheFactor } from '../../inputs/caps.js';
import { assertCores } from '../../inputs/cores.js';
import { capFlag } from '../../inputs/machine-caps.js';
import { parseBytes, parseBytesPerSecond, parseFlopsPerSecond } from '../../inputs/sizes.js';
import { asUsage, UsageError } from '../../terminal/errors.js';
import { oneOf, wholeNumber } from './common.js';

export interface MachineOptions extends Readonly<Partial<Record<CapSetting, string>>> {
  readonly deviceMemory: string;
  readonly hostMemory: string;
  readonly deviceCores: number;
  readonly hostCores: number;
  readonly readsInFlight: number;
  readonly deviceCacheFactor?: string;
  readonly draftCacheFactor?: string;
  readonly native: 'auto' | 'native' | 'twin';
}

/** What any machine has; how many this one has, `toMachineSettings` looks at. */
const mostCores = 1 << 20;

export function addMachineOptions(command: Command): Command {
  return command
    .option('--device-memory <size>', 'hard limit of the device pool', '512MB')
    .option('--host-memory <size>', 'hard limit of the host pool', '512MB')
    .option(
      '--device-cores <n>',
      "threads of the device lane's arithmetic",
      wholeNumber('--device-cores', 1, mostCores),
      1,
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
    )
    .option('--link-cap <rate>', 'pace the link, such as 1.2GB/s (default: not paced)')
    .option('--disk-cap <rate>', 'pace the disk (default: not paced)')
    .option(
      '--host-cache-cap <rate>',
      "pace the host's attention by the KV cache that it reads (default: not paced)",
    )
    .option('--link-cache-cap <rate>', 'pace KV cache on its way to the device (default: not paced)')
    .option(
      '--host-arithmetic-cap <rate>',
      'pace the experts that the host computes, such as 300MFLOP/s (default: not paced)',
    )
    .option(
      '--host-weights-cap <rate>',
      'pace them by the weights that they read, as fp32 (default: not paced)',
    )
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
export function toMachineSettings(options: MachineOptions): Required<MachineSettings> {
  asUsage(() => {
    assertCores('--device-cores', options.deviceCores);
    assertCores('--host-cores', options.hostCores);
  });
  const caps = mapCaps((name, setting) => {
    const text = options[setting];
    const parse = name === 'hostFlopsPerSecond' ? parseFlopsPerSecond : parseBytesPerSecond;
    return text === undefined ? null : parse(capFlag(setting), text);
  });
  return {
    deviceBytes: parseBytes('--device-memory', options.deviceMemory),
    hostBytes: parseBytes('--host-memory', options.hostMemory),
    deviceCores: options.deviceCores,
    hostCores: options.hostCores,
    readsInFlight: options.readsInFlight,
    ...capSettingsOf(caps),
    deviceCacheFactor: factor('--device-cache-factor', options.deviceCacheFactor),
    draftCacheFactor: factor('--draft-cache-factor', options.draftCacheFactor),
    native: options.native,
  };
}

function factor(flag: string, text: string | undefined): number {
  const number = text === undefined ? 1 : (parseNumber(text) ?? Number.NaN);
  if (1 <= number && number <= mostCacheFactor) return number;
  throw new UsageError(`invalid ${flag}: ${text}; expected a number from 1 to ${mostCacheFactor}`);
}
