/** The flags that say what a run may use of this machine. */

import { defaultReadsInFlight, type MachineSettings } from '@specoffload/engine';
import { parseNumber } from '@specoffload/input';
import type { Command } from 'commander';
import { mostCacheFactor } from '../../inputs/caps.js';
import { assertCores } from '../../inputs/cores.js';
import { parseBytes, parseBytesPerSecond, parseFlopsPerSecond } from '../../inputs/sizes.js';
import { asUsage, UsageError } from '../../terminal/errors.js';
import { oneOf, wholeNumber } from './common.js';

export interface MachineOptions {
  readonly deviceMemory: string;
  readonly hostMemory: string;
  readonly deviceCores: number;
  readonly hostCores: number;
  readonly readsInFlight: number;
  readonly linkCap?: string;
  readonly diskCap?: string;
  readonly hostCacheCap?: string;
  readonly linkCacheCap?: string;
  readonly hostArithmeticCap?: string;
  readonly hostWeightsCap?: string;
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
  const cap = (flag: string, text: string | undefined) =>
    text === undefined ? null : parseBytesPerSecond(flag, text);
  return {
    deviceBytes: parseBytes('--device-memory', options.deviceMemory),
    hostBytes: parseBytes('--host-memory', options.hostMemory),
    deviceCores: options.deviceCores,
    hostCores: options.hostCores,
    readsInFlight: options.readsInFlight,
    linkBytesPerSecondCap: cap('--link-cap', options.linkCap),
    diskBytesPerSecondCap: cap('--disk-cap', options.diskCap),
    hostCacheBytesPerSecondCap: cap('--host-cache-cap', options.hostCacheCap),
    linkCacheBytesPerSecondCap: cap('--link-cache-cap', options.linkCacheCap),
    hostWeightBytesPerSecondCap: cap('--host-weights-cap', options.hostWeightsCap),
    hostFlopsPerSecondCap:
      options.hostArithmeticCap === undefined
        ? null
        : parseFlopsPerSecond('--host-arithmetic-cap', options.hostArithmeticCap),
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
