/**
 * A machine file measured under caps is a file of those caps: whoever predicts with it for a run without them is told.
 * Caps that only the run has need no word, they are applied (`withLimits`).
 */

import type { MachineModel } from '@specoffload/engine';
import { printable } from '@specoffload/input';
import { formatFlops, formatRate } from '../terminal/format.js';
import { type CapName, type CapSetting, type Caps, capSettings, noCaps } from './caps.js';

interface CapWords {
  readonly paced: string;
  /** What of a prediction stands on the rate. */
  readonly affected: string;
  /** @default bytes a second */
  readonly format?: (rate: number) => string;
}

const words: Readonly<Record<keyof Caps, CapWords>> = {
  linkBytesPerSecond: {
    paced: 'the link paced',
    affected: 'all that crosses the link',
  },
  diskBytesPerSecond: { paced: 'the disk paced', affected: 'all that is read from disk' },
  hostFlopsPerSecond: {
    paced: "the host's arithmetic paced",
    affected: 'all that the host multiplies',
    format: formatFlops,
  },
  hostWeightBytesPerSecond: {
    paced: "the host's reading of weights paced",
    affected: 'all that the host multiplies',
  },
  hostCacheBytesPerSecond: {
    paced: "the host's attention paced",
    affected: "the host's attention",
  },
  linkCacheBytesPerSecond: {
    paced: 'KV cache on the link paced',
    affected: 'KV cache that crosses the link',
  },
};

/** `--link-cap` */
export function capFlag(setting: CapSetting): string {
  return `--${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Of the same cap, typed once in bytes and once in GB. */
const rounding = 1e-6;

/** Those that pace something, as machine files hold them. */
export function setCaps(caps: Caps): Record<string, number> {
  return Object.fromEntries(
    Object.entries(caps).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

/**
 * @param caps of the run that is predicted
 * @returns null where nothing was paced that the run does not pace as much, or the file does not say
 */
export function describeForeignCaps(
  { name, measuredUnder = {} }: MachineModel,
  caps: Caps = noCaps,
): string | null {
  const foreign = Object.entries(measuredUnder).filter(([cap, rate]) => {
    const own = caps[cap as keyof Caps] ?? null;
    return own === null || own > rate * (1 + rounding);
  });
  if (foreign.length === 0) return null;
  const known = foreign.map(([cap, rate]) => ({
    rate,
    own: caps[cap as keyof Caps] ?? null,
    ...wordsOf(cap),
    flag: Object.hasOwn(capSettings, cap) ? capFlag(capSettings[cap as CapName]) : 'of another version',
  }));
  const measured = known.map(
    ({ paced, rate, flag, format = formatRate }) => `${paced} to ${format(rate)} (${flag})`,
  );
  const isOther = known.some(({ own }) => own !== null);
  return (
    `the machine file ${printable(name)} was measured with ${measured.join(' and ')}, ` +
    `and this run has ${isOther ? 'other caps' : `no such cap${known.length === 1 ? '' : 's'}`}: ` +
    `${known.map(({ affected }) => affected).join(' and ')} is predicted at the file's pace; ` +
    'measure a file without caps for this run, or give it the same'
  );
}

function wordsOf(cap: string): CapWords {
  return Object.hasOwn(words, cap)
    ? words[cap as keyof Caps]
    : { paced: `${printable(cap)} held`, affected: 'what depends on it' };
}
