/** A Pareto front in words, for people: one row a policy that nothing else is as good as. */

import {
  type Front,
  type FrontAim,
  type FrontPoint,
  frontAims,
  limitsOf,
  usesDraft,
} from '@specoffload/engine';
import { UsageError } from '../terminal/errors.js';
import { formatBytes, formatSeconds, threeDigits } from '../terminal/format.js';
import { type Column, formatTable } from '../terminal/table.js';
import { throughputOf } from './certainty.js';
import { describePolicy, formatRange } from './describe.js';

const aimWords: Readonly<Record<FrontAim, string>> = {
  'device-memory': 'device memory',
  latency: 'latency of one sequence',
  energy: 'energy',
};

/** @throws UsageError for a word that is none. */
export function parseAims(flag: string, text: string): readonly FrontAim[] {
  const aims = text.split(',');
  const unknown = aims.find((aim) => !(frontAims as readonly string[]).includes(aim));
  if (unknown !== undefined)
    throw new UsageError(
      `invalid ${flag}: ${unknown}; expected one or several of ${frontAims.join(', ')}, separated by commas`,
    );
  return [...new Set(aims as FrontAim[])];
}

interface Row {
  readonly point: FrontPoint;
  /** 1-based, as `--row` takes it. */
  readonly number: number;
}

export function describeFront({ points, seeds, numSimulated }: Front, aims: readonly FrontAim[]): string {
  const rows = points.map((point, index) => ({ point, number: index + 1 }));
  const columns: readonly Column<Row>[] = [
    { title: 'row', text: ({ number }) => String(number) },
    { title: 'tokens/s', text: ({ point }) => threeDigits(point.tokensPerSecond) },
    { title: '95 %', text: ({ point }) => formatRange(throughputOf(point.planned), threeDigits) },
    { title: 'device memory', text: ({ point }) => formatBytes(point.deviceBytes) },
    { title: 'planned for', text: ({ point }) => formatBytes(limitsOf(point.machine).deviceBytes) },
    { title: 'a sequence takes', text: ({ point }) => formatSeconds(point.latencySeconds) },
    ...(points.some(({ joulesPerToken }) => joulesPerToken !== null)
      ? [{ title: 'J/token', text: ({ point }: Row) => threeDigits(point.joulesPerToken ?? Number.NaN) }]
      : []),
    {
      ...{ title: 'strategy', align: 'left' },
      text: ({ point: { planned } }) =>
        planned.drafter === undefined ? planned.strategy : `${planned.strategy} by ${planned.drafter}`,
    },
    ...(points.some(({ planned }) => planned.targetFormat !== undefined)
      ? [
          {
            ...{ title: 'weights', align: 'left' as const },
            text: ({ point: { planned } }: Row) => planned.targetFormat ?? 'as they are',
          },
        ]
      : []),
    {
      title: 'batch',
      text: ({ point: { planned } }) => `${planned.policy.batches} x ${planned.policy.decodeBatch}`,
    },
    {
      title: 'candidates',
      text: ({ point: { planned } }) => (usesDraft(planned.policy) ? String(planned.policy.candidates) : '-'),
    },
  ];
  const policies = rows.map(
    ({ number, point: { planned } }) => `${number}: ${planned.strategy} ${describePolicy(planned.policy)}`,
  );
  return [
    `throughput against ${aims.map((aim) => aimWords[aim]).join(' and ')}, predicted: ${points.length} of ${numSimulated} policies that were simulated; ` +
      `none is as good as another in all of it (medians over the seeds ${seeds.join(', ')})`,
    formatTable(columns, rows),
    '',
    ...policies,
  ].join('\n');
}
