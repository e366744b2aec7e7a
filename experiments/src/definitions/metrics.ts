/** Numbers of a record that an experiment can optimise: the columns of results. */

import { check, is } from '@specoffload/input';
import { columns } from '../store/columns.js';
import type { RunRecord } from '../store/index.js';

const metrics = columns.filter(
  ({ group, type }) => group === 'result' && (type === 'DOUBLE' || type === 'BIGINT'),
);

export const defaultMetric = 'tokensPerSecond';

export const metricName = is.oneOf(metrics.map(({ name }) => name));

/** @throws UserError when records have no such number. */
export function assertMetric(name: unknown): asserts name is string {
  check(metricName, name, '', { whole: 'metric' });
}

/** null where a record has none, such as the acceptance of a run that proposed nothing. */
export function measure(record: RunRecord, metric: string): number | null {
  const value = metrics.find(({ name }) => name === metric)!.of(record);
  return typeof value === 'number' ? value : null;
}
