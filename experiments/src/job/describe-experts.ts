/** What keeping experts saved, in words. */

import { inUsualOrder } from '@specoffload/engine';
import type { RunRecord } from '../store/index.js';
import { formatBytes, formatCount, formatPercent, plural } from '../terminal/format.js';

type Experts = NonNullable<RunRecord['result']['experts']>;

/** `of 1,536 chosen 61 % lay on the device, 12 % in host memory; not moved: 3.2 GB over the link, 0.6 GB over the disk` */
export function describeExperts({ chosen, hits, savedBytes, ahead }: Experts): string {
  const share = (memory: string) => formatPercent((hits[memory] ?? 0) / Math.max(1, chosen));
  const saved = describeBytes(savedBytes);
  return (
    `of ${plural(chosen, 'expert')} chosen ${share('device')} lay on the device, ${share('host')} in host memory` +
    (saved === '' ? '' : `; not moved: ${saved}`) +
    (ahead ? `; ${describeAhead(ahead)}` : '')
  );
}

/** `81 % of 1,200 foreseen were chosen; 300 brought ahead, 12 % of them in vain: 40 MB over the link` */
function describeAhead({
  foreseen,
  right,
  brought,
  used,
  wastedBytes,
}: NonNullable<Experts['ahead']>): string {
  const shares = right.map((each, index) => formatPercent(each / foreseen[index])).join(', ');
  const far = right.length > 1 ? ' one, two, … layers before' : '';
  const precision = `${shares} of ${formatCount(foreseen[0])} foreseen${far} were chosen`;
  if (brought === 0) return `${precision}, none was brought ahead`;
  const wasted = describeBytes(wastedBytes);
  const vain = `${formatPercent(1 - used / brought)} of them in vain`;
  return `${precision}; ${formatCount(brought)} brought ahead, ${vain}${wasted === '' ? '' : `: ${wasted}`}`;
}

function describeBytes(bytes: Readonly<Record<string, number>>): string {
  return inUsualOrder(Object.keys(bytes))
    .filter((lane) => bytes[lane] > 0)
    .map((lane) => `${formatBytes(bytes[lane])} over the ${lane}`)
    .join(', ');
}
