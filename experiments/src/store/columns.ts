/** The columns that every row has: in which order, and where a record holds them. What they mean, the record says. */

import { is } from '@specoffload/input';
import { usualDevice } from '../inputs/devices.js';
import { gpuOf, pointKeyOf } from './point.js';
import { factsOf, type RunRecord } from './record.js';
import { joulesPerRequest, requestCost, requestSeconds } from './requests.js';
import { choicesIn } from './spec.js';
import { count, fraction, isoTime } from './words.js';

/** What a cell can hold. Lists are acceptance rates by position. */
export type RowValue = string | number | boolean | null | readonly number[];

/** How DuckDB and Parquet hold a column. */
export type ColumnType = 'VARCHAR' | 'BIGINT' | 'DOUBLE' | 'BOOLEAN' | 'TIMESTAMP';

export interface RowColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** Empty for names, counts and flags. */
  readonly unit: '' | 's' | 'B' | 'J' | 'W' | 'tokens' | 'tokens/s' | '0 to 1' | 'ISO 8601';
  readonly meaning: string;
  /** `asked`: an axis or a setting of the same name takes its place. */
  readonly group: 'identity' | 'asked' | 'result' | 'conditions' | 'provenance';
  readonly of: (record: RunRecord) => RowValue;
}

/** By what a field must be; anything else is a text. */
const types = new Map<unknown, ColumnType>([
  [count, 'BIGINT'],
  [is.amount, 'DOUBLE'],
  [fraction, 'DOUBLE'],
  [is.flag, 'BOOLEAN'],
  [isoTime, 'TIMESTAMP'],
]);

/** @param path of the field that a column shows */
function shown(group: RowColumn['group'], path: string, name = path.split('.').at(-1)!): RowColumn {
  const { unit, meaning, schema } = factsOf(path)!;
  const steps = path.split('.');
  const of = (record: RunRecord) => {
    let value: unknown = record;
    for (const step of steps) value = (value as Readonly<Record<string, unknown>> | null | undefined)?.[step];
    return (value ?? null) as RowValue;
  };
  const type = types.get(schema) ?? 'VARCHAR';
  return { name, type, unit: unit as RowColumn['unit'], meaning, group, of };
}

const lanes = ['device', 'host', 'link', 'disk'] as const;
const titled = (lane: string) => lane[0].toUpperCase() + lane.slice(1);

/** In the order of tables and files. */
export const columns: readonly RowColumn[] = [
  shown('identity', 'key'),
  shown('identity', 'point.experiment'),
  shown('identity', 'kind'),
  { ...shown('identity', 'point.pointKey'), of: pointKeyOf },
  shown('identity', 'seed'),
  shown('identity', 'repeat'),
  shown('identity', 'createdAt'),

  shown('asked', 'strategy'),
  shown('asked', 'model.target.name', 'target'),
  { ...shown('asked', 'model.draft.name', 'draft'), meaning: 'name of the draft model; null without one' },
  {
    ...shown('asked', 'spec.drafter'),
    meaning: 'model, or who else proposes; null where nobody does',
    of: ({ spec, model }) => choicesIn(spec).drafter ?? (model.draft ? 'model' : null),
  },
  {
    ...shown('asked', 'spec.targetFormat'),
    meaning: "how the target's matrices are stored, or imagined to be; null: as they are published",
    of: ({ spec, kind, model }) =>
      choicesIn(spec).targetFormat ??
      (kind === 'measured' && model.target.format === 'bf16_packed' ? 'bf16_packed' : null),
  },
  shown('asked', 'machine.name', 'machine'),
  {
    ...shown('asked', 'machine.device'),
    meaning: 'kind of device that computed; measured runs only',
    of: ({ kind, machine }) => (kind === 'measured' ? (machine.device ?? usualDevice) : null),
  },
  shown('asked', 'workload.name', 'workload'),
  shown('asked', 'workload.prompts'),
  shown('asked', 'workload.maxNewTokens'),

  shown('result', 'result.tokensPerSecond'),
  {
    ...shown('result', 'result.tokensPerSecond', 'countedTokensPerSecond'),
    meaning: "newTokens / seconds, or generatedTokens / seconds where the point's accounting is as-published",
    of: ({ point, result: { generatedTokens, seconds, tokensPerSecond } }) =>
      point?.settings.accounting === 'as-published' ? generatedTokens / seconds : tokensPerSecond,
  },
  {
    ...shown('result', 'result.tokensPerSecond', 'decodeTokensPerSecond'),
    meaning: 'newTokens / decodeSeconds; null where prefill was all',
    of: ({ result: { newTokens, phases } }) =>
      phases.decode.seconds > 0 ? newTokens / phases.decode.seconds : null,
  },
  shown('result', 'result.seconds'),
  shown('result', 'result.phases.prefill.seconds', 'prefillSeconds'),
  shown('result', 'result.phases.decode.seconds', 'decodeSeconds'),
  shown('result', 'result.setupSeconds'),
  shown('result', 'result.newTokens'),
  shown('result', 'result.generatedTokens'),
  shown('identity', 'workload.promptTokens', 'totalPromptTokens'),
  ...lanes.map((lane) =>
    shown('result', `result.phases.decode.lanes.${lane}.utilization`, `${lane}Utilization`),
  ),
  ...lanes.map((lane) =>
    shown('result', `result.phases.prefill.lanes.${lane}.utilization`, `prefill${titled(lane)}Utilization`),
  ),
  ...(['compute', 'copy'] as const).map((queue) =>
    shown('result', `result.deviceUse.${queue}.decode.utilization`, `${queue}QueueUtilization`),
  ),
  shown('result', 'result.devicePower.decode.watts', 'deviceWatts'),
  shown('result', 'result.energy.joules'),
  shown('result', 'result.energy.joulesPerToken'),
  {
    ...shown('result', 'result.energy.joules', 'joulesPerRequest'),
    meaning: 'joules / prompts',
    of: joulesPerRequest,
  },
  {
    ...shown('result', 'result.seconds', 'requestSeconds'),
    meaning:
      'of a request that comes one of requestsPerSecond: waiting for its batch, and the batch; else null',
    of: (record) => requestSeconds(record, choicesIn(record.spec).requests),
  },
  {
    ...shown('result', 'result.energy.joules', 'requestCost'),
    unit: '',
    meaning: 'half of its energy by referenceJoules and half of its time by referenceSeconds',
    of: (record) => requestCost(record, choicesIn(record.spec).requests),
  },
  shown('result', 'result.crossbars.bytes', 'crossbarBytes'),
  shown('result', 'result.crossbars.writeSeconds'),
  shown('result', 'result.crossbars.writeJoules'),
  shown('result', 'result.acceptance.rate', 'acceptanceRate'),
  shown('result', 'result.acceptance.tokensPerRound'),
  shown('result', 'result.passes'),
  ...(['device', 'host'] as const).flatMap((memory) => [
    shown('result', `result.memory.${memory}.peakBytes`, `${memory}PeakBytes`),
    shown('result', `result.memory.${memory}.budgetBytes`, `${memory}BudgetBytes`),
  ]),
  shown('result', 'result.bytesMoved.disk', 'diskBytes'),
  shown('result', 'result.bytesMoved.link', 'linkBytes'),
  shown('result', 'result.noiseEffect.sameTokens'),
  shown('result', 'result.noiseEffect.tokensBefore'),
  shown('result', 'result.nearTies'),
  shown('result', 'result.outputDigest'),

  shown('conditions', 'conditions.stolenShare'),
  shown('conditions', 'conditions.othersShare'),
  shown('conditions', 'conditions.isDisturbed'),

  shown('provenance', 'provenance.commit'),
  shown('provenance', 'provenance.dirty'),
  shown('provenance', 'provenance.cpu'),
  shown('provenance', 'provenance.cores'),
  shown('provenance', 'machine.core'),
  { ...shown('provenance', 'result.device.name', 'gpu'), of: gpuOf },
];
