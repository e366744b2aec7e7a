/** The ratios that make one run resemble another, and how far apart two runs are in them. */

import type { Checkpoint, MachineModel } from '@specoffload/engine';
import type { PassLoads } from './loads.js';

/** What a ratio is called, in the order of tables and files. */
export const ratioNames = [
  'draft over pass',
  'link over pass',
  'arithmetic over pass',
  'attention over pass',
  'device memory over model',
  'host memory over model',
  'draft over model',
] as const;

export type RatioName = (typeof ratioNames)[number];

export type Ratios = Readonly<Record<RatioName, number>>;

export interface RatioPair {
  readonly name: RatioName;
  readonly theirs: number;
  readonly ours: number;
}

/** A run as far as ratios look at it. */
export interface Situation {
  readonly loads: PassLoads;
  readonly machine: MachineModel;
  readonly target: Checkpoint;
  readonly draft: Checkpoint;
}

export function ratiosOf({ loads, machine, target, draft }: Situation): Ratios {
  const { passSeconds } = loads;
  const { memory, formats } = machine;
  return {
    'draft over pass': loads.draftSeconds / passSeconds,
    'link over pass': loads.linkSeconds / passSeconds,
    'arithmetic over pass': loads.deviceSeconds / passSeconds,
    'attention over pass': loads.hostSeconds / passSeconds,
    // A device that holds weights as fp32 holds half as many of them.
    'device memory over model': memory.deviceBytes / (target.bytes * widening(target, formats)),
    'host memory over model': memory.hostBytes / target.bytes,
    'draft over model': draft.bytes / target.bytes,
  };
}

/** Bytes that the device holds for each byte stored. */
export function widening(
  { parameters, bytes }: Checkpoint,
  { weightElementBytes }: MachineModel['formats'],
): number {
  return weightElementBytes === null ? 1 : (parameters * weightElementBytes) / bytes;
}

export function pairRatios(theirs: Ratios, ours: Ratios): RatioPair[] {
  return ratioNames.map((name) => ({ name, theirs: theirs[name], ours: ours[name] }));
}

/** Sum of squares of the logarithms of ours / theirs: a ratio twice as large is as wrong as one half as large. */
export function distance(pairs: readonly RatioPair[]): number {
  return pairs.reduce((sum, { theirs, ours }) => sum + Math.log(ours / theirs) ** 2, 0);
}

/** Within a tenth. */
export function isMatched({ theirs, ours }: RatioPair): boolean {
  return Math.abs(Math.log(ours / theirs)) < Math.log(1.1);
}
