/** Numbers of a record that an experiment can optimise. */

import { laneNames, UserError } from '@specoffload/engine';
import type { RunRecord } from '../store/index.js';

type Metric = (record: RunRecord) => number | null;

const laneMetrics = Object.fromEntries(
  laneNames.map((lane): [string, Metric] => [
    `${lane}Utilization`,
    ({ result }) => result.phases.decode.lanes[lane].utilization,
  ]),
);

const metrics: Readonly<Record<string, Metric>> = {
  tokensPerSecond: ({ result, point }) =>
    point?.settings.accounting === 'as-published'
      ? result.generatedTokens / result.seconds
      : result.tokensPerSecond,
  decodeTokensPerSecond: ({ result }) => result.newTokens / result.phases.decode.seconds,
  seconds: ({ result }) => result.seconds,
  prefillSeconds: ({ result }) => result.phases.prefill.seconds,
  decodeSeconds: ({ result }) => result.phases.decode.seconds,
  ...laneMetrics,
  acceptanceRate: ({ result }) => result.acceptance?.rate ?? null,
  tokensPerRound: ({ result }) => result.acceptance?.tokensPerRound ?? null,
  passes: ({ result }) => result.passes,
  devicePeakBytes: ({ result }) => result.memory.device.peakBytes,
  hostPeakBytes: ({ result }) => result.memory.host.peakBytes,
  diskBytes: ({ result }) => result.bytesMoved.disk,
  linkBytes: ({ result }) => result.bytesMoved.link,
};

export const defaultMetric = 'tokensPerSecond';

/** @throws UserError when records have no such number. */
export function assertMetric(name: unknown): asserts name is string {
  if (!(typeof name === 'string' && Object.hasOwn(metrics, name)))
    throw new UserError(
      `unknown metric: ${JSON.stringify(name)}; expected one of ${Object.keys(metrics).join(', ')}`,
    );
}

/** null where a record has none, such as the acceptance of a run that proposed nothing. */
export function measure(record: RunRecord, metric: string): number | null {
  return metrics[metric]!(record);
}
