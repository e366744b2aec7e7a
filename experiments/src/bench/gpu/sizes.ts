/** What the strategies of a bench are run with: the paper's ratios, as large as card, memory, disk and time allow. */

import type { PolicyInput } from '@specoffload/engine';
import { pairPaths } from '../../paths.js';
import { formatBytes, formatPercent } from '../../terminal/format.js';

export interface StrategySizes {
  /** Folders of target and draft. */
  readonly pair: Pick<typeof pairPaths, 'target' | 'draft'>;
  /** Null: the target as it is. */
  readonly targetBytes: number | null;
  /** The same of the draft. */
  readonly draftBytes: number | null;
  readonly deviceBytes: number;
  /** Of the target, that host memory is given: room for all of it, so that the link binds. */
  readonly hostShare: number;
  /** Prompts that are run, of four workloads. */
  readonly prompts: number;
  /** That a prompt is cut to. */
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  /** What SpecOffload's script asks for. */
  readonly specoffload: PolicyInput;
  /** Of those that `specoffload profile` makes, by their places; null: all. */
  readonly profileRuns: readonly number[] | null;
  /** That the planner may spend. */
  readonly mostSimulations: number;
}

/**
 * Mixtral 8x7B (93.4 GB) and Mistral 7B (14.5 GB) in bf16 on 24 GB, and what the released script for SummEval runs:
 * drafts of 8, 8 candidates; batches of 192, of which the shipped workloads have prompts for 128. Source: SpecOffload
 * (arXiv 2505.10259), its tables and github.com/MobiSense/SpecOffload-public at b8b68c9.
 */
const paper = {
  ...{ deviceBytes: 24e9, targetOfDevice: 93.4 / 24, draftOfDevice: 14.5 / 24 },
  ...{ decodeBatch: 128, prefillBatch: 64, draftBatch: 8, candidates: 8 },
} as const;

/** What a machine has for a bench. */
export interface Room {
  readonly freeDeviceBytes: number;
  readonly freeHostBytes: number;
  readonly freeDiskBytes: number;
  readonly diskReadBytesPerSecond: number;
  readonly diskWriteBytesPerSecond: number;
  readonly linkBytesPerSecond: number;
  readonly seconds: number;
}

/** Host memory beyond the target: staging, caches, activations. */
const hostShare = 1.1;
/** Nobody else on the machine is to be left without memory. */
const usableShare = 0.85;
/** Passes of all runs over the target; times that one is loaded, a profile's by half. */
const stepBytes = 5e8;
const passes = 120;
const loads = 10;
/** Assumed: what a system takes for fresh pages, and a driver to lock them. */
const pinnedBytesPerSecond = 5e9;

export const smallSizes: Omit<StrategySizes, 'deviceBytes'> = {
  pair: pairPaths,
  ...{ targetBytes: null, draftBytes: null, hostShare: 1.25, prompts: 4, promptTokens: 4, maxNewTokens: 4 },
  ...{ specoffload: {}, profileRuns: [0, 2], mostSimulations: 4 },
};

/** @param deviceBytes what was asked for; undefined: the paper's, or less where something does not reach */
export function paperSizes(
  room: Room,
  deviceBytes?: number,
): { readonly sizes: StrategySizes; readonly because: string } {
  const { targetOfDevice, draftOfDevice, decodeBatch, prefillBatch, draftBatch, candidates } = paper;
  const secondsPerByte =
    1 / room.diskWriteBytesPerSecond +
    loads * (1 / room.diskReadBytesPerSecond + 1 / pinnedBytesPerSecond) +
    passes / room.linkBytesPerSecond;
  const bounds: readonly (readonly [bytes: number, what: string])[] = [
    [paper.deviceBytes, "the paper's own"],
    [usableShare * room.freeDeviceBytes, 'the card has no more'],
    [(usableShare * room.freeHostBytes) / (hostShare * targetOfDevice), 'host memory holds no larger target'],
    [(0.9 * room.freeDiskBytes) / (targetOfDevice + draftOfDevice), 'the disk holds no larger target'],
    [room.seconds / secondsPerByte / targetOfDevice, 'a larger target would take too long'],
  ];
  const [most, why] = bounds.reduce((least, bound) => (bound[0] < least[0] ? bound : least));
  // In steps, so that the next bench finds the models of this one.
  const cap = deviceBytes ?? Math.max(stepBytes, Math.floor(most / stepBytes) * stepBytes);
  const sizes: StrategySizes = {
    pair: pairPaths,
    ...{ targetBytes: Math.round(targetOfDevice * cap), draftBytes: Math.round(draftOfDevice * cap) },
    ...{ deviceBytes: cap, hostShare },
    ...{ prompts: 2 * decodeBatch, promptTokens: 32, maxNewTokens: 16 },
    specoffload: { decodeBatch, prefillBatch, draftBatch, candidates },
    ...{ profileRuns: null, mostSimulations: 24 },
  };
  const share = `${formatBytes(cap)}, ${formatPercent(cap / paper.deviceBytes)} of the paper's 24 GB`;
  return { sizes, because: `${share} (${deviceBytes === undefined ? why : 'as asked for'})` };
}

/** FlexGen's script has 3 blocks of 64 sequences where SpecOffload's has 2 of 256. */
export function flexgenScript(prompts: number): PolicyInput {
  const microBatch = Math.max(1, Math.floor(prompts / 8));
  return { decodeBatch: 3 * microBatch, microBatch };
}
