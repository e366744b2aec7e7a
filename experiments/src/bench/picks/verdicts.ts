/** How many times as fast as what the lab does by itself the planner's pick is wanted to be, and whether it was. */

import { largest } from '@specoffload/engine';
import { type PairedRatio, pairedRatio } from '../../statistics/index.js';
import { plural } from '../../terminal/format.js';

export const situationNames = ['main', 'desk'] as const;
export type SituationName = (typeof situationNames)[number];

/** `pick-bf16`: the planner's, where weights stay as they are; `serial-8` with 8 candidates. */
export type LegName = 'none' | 'serial' | 'serial-8' | 'pick' | 'pick-bf16';

/** One way of doing all of a situation's work, in one round. */
export interface PickRun {
  readonly situation: SituationName;
  readonly leg: LegName;
  readonly round: number;
  /** All tokens over all seconds, of one run or of several behind one another. */
  readonly tokensPerSecond: number;
}

interface Wish {
  readonly situation: SituationName;
  readonly what: string;
  readonly wanted: number;
  /** The fastest of these in a round. */
  readonly against: readonly LegName[];
}

export const serialLegs: readonly LegName[] = ['serial', 'serial-8'];

const wishes: readonly Wish[] = [
  {
    ...{ situation: 'main', what: 'the main job, of serial', wanted: 1.25 },
    against: serialLegs,
  },
  { situation: 'main', what: 'the main job, of none', wanted: 2.4, against: ['none'] },
  {
    ...{ situation: 'desk', what: 'one sequence at a desk, of serial', wanted: 1.5 },
    against: serialLegs,
  },
];

/** Ratios are taken within a round: what else the machine does slows both. */
export function ratioIn(
  runs: readonly PickRun[],
  situation: SituationName,
  leg: LegName,
  against: readonly LegName[],
): PairedRatio {
  const own = runs.filter((run) => run.situation === situation);
  return pairedRatio(
    own
      .filter((run) => run.leg === leg)
      .flatMap(({ round, tokensPerSecond: value }) => {
        const others = own.filter((run) => run.round === round && against.includes(run.leg));
        const baseline = largest(others.map(({ tokensPerSecond }) => tokensPerSecond));
        return others.length === 0 ? [] : [{ value, baseline }];
      }),
  );
}

/** @param isPacked whether the pick reads packed weights; else the pick from bf16 is the pick */
export function verdicts(
  runs: readonly PickRun[],
  isPacked: Readonly<Partial<Record<SituationName, boolean>>>,
): string[] {
  return wishes
    .filter(({ situation }) => runs.some((run) => run.situation === situation))
    .map(({ situation, what, wanted, against }) => {
      const { ratio, low, high, n } = ratioIn(runs, situation, 'pick', against);
      if (ratio === null) return `not measured here: ${what}, ${wanted} wanted`;
      const interval =
        low === null || high === null ? '' : `, ${low.toFixed(2)} to ${high.toFixed(2)} with 95 %`;
      const plain = isPacked[situation] ? ratioIn(runs, situation, 'pick-bf16', against).ratio : null;
      const beside = plain === null ? '' : `; ${plain.toFixed(2)} without packing`;
      const word = ratio >= wanted ? 'reached' : 'not reached';
      return `${word}: ${what}: the pick ${ratio.toFixed(2)} times as fast, ${wanted} wanted (${plural(n, 'round')}${interval}${beside})`;
    });
}
