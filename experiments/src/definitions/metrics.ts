/** Numbers of a record that an experiment can optimise: the columns of results. */

import { quote, UserError } from '@specoffload/input';
import { columns } from '../store/columns.js';
import type { RunRecord } from '../store/index.js';

const metrics = columns.filter(
  ({ group, type }) => group === 'result' && (type === 'DOUBLE' || type === 'BIGINT'),
);

export const defaultMetric = 'tokensPerSecond';

/** @throws UserError when records have no such number. */
export function assertMetric(name: unknown): asserts name is string {
  if (!metrics.some((column) => column.name === name))
    throw new UserError(
      `unknown metric: ${quote(name)}; expected one of ${metrics.map((column) => column.name).join(', ')}`,
    );
}

/** null where a record has none, such as the acceptance of a run that proposed nothing. */
export function measure(record: RunRecord, metric: string): number | null {
  const value = metrics.find(({ name }) => name === metric)!.of(record);
  return typeof value === 'number' ? value : null;
}
