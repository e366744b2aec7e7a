/**
 * The rates of a machine file that was measured under caps hold for runs with those caps: predicting a run without them
 * gets a warning. Caps that only the run has need none, as `withLimits` applies them.
 */

import { type Caps, type MachineModel, noCaps } from '@specoffload/engine';
import { printable } from '@specoffload/input';
import { formatRate } from '../terminal/format.js';
import { caps, flagOf, formatCap } from './caps.js';

/** Two caps this close are the same one, typed once in bytes and once in GB. */
const rounding = 1e-6;

/**
 * @param own of the run that is predicted
 * @returns null where nothing was paced that the run does not pace as much, or the file does not say
 */
export function describeForeignCaps(
  { name, measuredUnder = {} }: MachineModel,
  own: Caps = noCaps,
): string | null {
  const foreign = Object.entries(measuredUnder)
    .map(([name, rate]) => ({ rate, own: own[name as keyof Caps] ?? null, ...wordsOf(name) }))
    .filter(({ rate, own }) => own === null || own > rate * (1 + rounding));
  if (foreign.length === 0) return null;
  const measured = foreign.map(({ paced, rate, flag, format }) => `${paced} to ${format(rate)} (${flag})`);
  const isOther = foreign.some(({ own }) => own !== null);
  return (
    `the machine file ${printable(name)} was measured with ${measured.join(' and ')}, ` +
    `and this run has ${isOther ? 'other caps' : `no such cap${foreign.length === 1 ? '' : 's'}`}: ` +
    `${foreign.map(({ affected }) => affected).join(' and ')} is predicted at the file's pace; ` +
    'measure a file without caps for this run, or give it the same'
  );
}

function wordsOf(name: string) {
  if (!Object.hasOwn(caps, name)) {
    const paced = `${printable(name)} held`;
    return { paced, format: formatRate, flag: 'of another version', affected: 'what depends on it' };
  }
  const cap = name as keyof Caps;
  return { ...caps[cap], format: (rate: number) => formatCap(cap, rate), flag: flagOf(caps[cap].setting) };
}
