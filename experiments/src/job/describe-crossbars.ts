/** What is in crossbars, in words. */

import type { RunRecord } from '../store/index.js';
import { formatBytes, formatSeconds, plural, threeDigits } from '../terminal/format.js';

/** `experts of 12 layers, 33.8 GB, written once in 14 s for 30 J, which is not in the time above` */
export function describeCrossbars(
  { layers, bytes, writeSeconds, writeJoules }: NonNullable<RunRecord['result']['crossbars']>,
  which: string | undefined,
): string {
  const what = layers > 0 ? `${which} of ${plural(layers, 'layer')}` : `the ${which}`;
  const energy = writeJoules === null ? '' : ` for ${threeDigits(writeJoules)} J`;
  return `${what}, ${formatBytes(bytes)}, written once in ${formatSeconds(writeSeconds)}${energy}, beside the run's own`;
}
