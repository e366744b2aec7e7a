/** How many times as fast as other programs the lab is wanted to be, and whether it was. */

import { plural } from '../../terminal/format.js';
import type { LegName } from './leg-names.js';
import type { PeerRun } from './main.js';

export type PeerName = 'specoffload' | LegName;

interface Wish {
  readonly against: PeerName;
  readonly what: string;
  readonly wanted: number;
  seconds(run: PeerRun): number;
}

const whole = ({ prefillSeconds, decodeSeconds }: PeerRun) => prefillSeconds + decodeSeconds;

const wishes: readonly Wish[] = [
  {
    ...{ against: 'llama.cpp', what: 'prefill, of llama.cpp with all of it in memory', wanted: 1.5 },
    seconds: ({ prefillSeconds }) => prefillSeconds,
  },
  {
    ...{ against: 'llama.cpp', what: 'decode, of llama.cpp with all of it in memory', wanted: 1.2 },
    seconds: ({ decodeSeconds }) => decodeSeconds,
  },
  {
    ...{
      against: 'llama.cpp-same-memory',
      what: 'the whole run, of llama.cpp in the same memory',
      wanted: 15,
    },
    seconds: whole,
  },
  { against: 'accelerate', what: "the whole run, of Accelerate's disk offload", wanted: 8, seconds: whole },
];

/** Ratios are taken within a round: what else the machine does slows both. Whoever was stopped took at least so long. */
export function verdicts(runs: readonly PeerRun[]): string[] {
  return wishes.map((wish) => {
    const { what, wanted } = wish;
    const ratios = ratiosOf(runs, 'specoffload', wish);
    if (ratios.length === 0) return `not measured here: ${what}, wanted ${wanted} times`;
    const { times, isLeast } = middleOf(ratios);
    const verdict = times >= wanted ? 'reached' : isLeast ? 'open, it was stopped' : 'not reached';
    const fromBf16 = ratiosOf(runs, 'specoffload-bf16', wish);
    const beside =
      fromBf16.length === 0 ? '' : `, ${middleOf(fromBf16).times.toFixed(2)} with weights as bf16`;
    return `${verdict}: ${what}: ${isLeast ? 'at least ' : ''}${times.toFixed(2)} times, wanted ${wanted}${beside} (${plural(ratios.length, 'round')})`;
  });
}

interface Ratio {
  readonly times: number;
  readonly isLeast: boolean;
}

/** In rising order, one for each round that has both. */
function ratiosOf(runs: readonly PeerRun[], ours: PeerName, { against, seconds }: Wish): Ratio[] {
  return runs
    .filter(({ name }) => name === against)
    .flatMap((other) =>
      runs
        .filter(({ name, round }) => name === ours && round === other.round)
        .map((own) => ({ times: seconds(other) / seconds(own), isLeast: other.sameTokens === null })),
    )
    .sort((a, b) => a.times - b.times);
}

function middleOf(ratios: readonly Ratio[]): Ratio {
  return ratios[ratios.length >> 1];
}
