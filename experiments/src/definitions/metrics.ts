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

/** Whether less of it is better where nobody says: of seconds, bytes, energy, power and cost. */
export function isLessBetter(metric: string): boolean {
  const unit = columns.find(({ name }) => name === metric)?.unit ?? '';
  return metric === 'requestCost' || unit === 's' || unit === 'B' || unit === 'J' || unit === 'W';
}

/** null where a record has none, such as the acceptance of a run that proposed nothing. */
export function measure(record: RunRecord, metric: string): number | null {
  const value = metrics.find(({ name }) => name === metric)!.of(record);
  return typeof value === 'number' ? value : null;
}
