/** What keeping experts saved, in words. */

import { inUsualOrder } from '@specoffload/engine';
import type { RunRecord } from '../store/index.js';
import { formatBytes, formatPercent, plural } from '../terminal/format.js';

type Experts = NonNullable<RunRecord['result']['experts']>;

/** `of 1,536 chosen 61 % lay on the device, 12 % in host memory; not moved: 3.2 GB over the link, 0.6 GB over the disk` */
export function describeExperts({ chosen, hits, savedBytes }: Experts): string {
  const share = (memory: string) => formatPercent((hits[memory] ?? 0) / Math.max(1, chosen));
  const saved = inUsualOrder(Object.keys(savedBytes))
    .map((lane) => `${formatBytes(savedBytes[lane])} over the ${lane}`)
    .join(', ');
  return (
    `of ${plural(chosen, 'expert')} chosen ${share('device')} lay on the device, ${share('host')} in host memory` +
    (saved === '' ? '' : `; not moved: ${saved}`)
  );
}
