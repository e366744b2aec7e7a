/** The columns that every row has: what they are called, what they mean, and where a record holds them. */

import type { LaneName, PhaseName } from '@specoffload/engine';
import { pointKeyOf } from './point.js';
import type { RunRecord } from './record.js';

/** What a cell can hold. Lists are acceptance rates by position. */
export type RowValue = string | number | boolean | null | readonly number[];

/** How DuckDB and Parquet hold a column. */
export type ColumnType = 'VARCHAR' | 'BIGINT' | 'DOUBLE' | 'BOOLEAN' | 'TIMESTAMP';

export interface RowColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** Empty for names, counts and flags. */
  readonly unit: '' | 's' | 'B' | 'tokens' | 'tokens/s' | '0 to 1' | 'ISO 8601';
  readonly meaning: string;
  /** `asked`: an axis or a setting of the same name takes its place. */
  readonly group: 'identity' | 'asked' | 'result' | 'conditions' | 'provenance';
  readonly of: (record: RunRecord) => RowValue;
}

type Unit = RowColumn['unit'];
type Of = RowColumn['of'];

const column =
  (group: RowColumn['group'], type: ColumnType) =>
  (name: string, unit: Unit, meaning: string, of: Of): RowColumn => ({
    name,
    type,
    unit,
    meaning,
    group,
    of,
  });

const phaseSeconds =
  (phase: PhaseName): Of =>
  ({ result }) =>
    result.phases[phase].seconds;
const utilization =
  (phase: PhaseName, lane: LaneName): Of =>
  ({ result }) =>
    result.phases[phase].lanes[lane].utilization;
/** Of what only measured runs know. */
const measured =
  (of: (record: Extract<RunRecord, { kind: 'measured' }>) => RowValue | undefined): Of =>
  (record) =>
    record.kind === 'measured' ? (of(record) ?? null) : null;

const identity = column('identity', 'VARCHAR');
const asked = column('asked', 'VARCHAR');
const askedCount = column('asked', 'BIGINT');
const count = column('result', 'BIGINT');
const amount = column('result', 'DOUBLE');

/** In the order of tables and files. */
export const columns: readonly RowColumn[] = [
  identity('key', '', 'digest of everything that determines the run, and its folder', (r) => r.key),
  identity('experiment', '', 'folder of the record', (r) => r.point?.experiment ?? null),
  identity('kind', '', 'measured or simulated', (r) => r.kind),
  identity(
    'pointKey',
    '',
    'digest of what was asked for, seed and repeat left out: only runs that share it are repeats of each other',
    pointKeyOf,
  ),
  column('identity', 'BIGINT')('seed', '', 'of what is drawn', (r) => r.seed),
  column('identity', 'BIGINT')(
    'repeat',
    '',
    'number among the runs that differ in nothing else, from 0',
    (r) => r.repeat,
  ),
  column('identity', 'TIMESTAMP')('createdAt', 'ISO 8601', 'start of the run, UTC', (r) => r.createdAt),

  asked('strategy', '', 'name of the strategy', (r) => r.strategy),
  asked('target', '', 'name of the target model', (r) => r.model.target.name),
  asked('draft', '', 'name of the draft model; null without one', (r) => r.model.draft?.name ?? null),
  asked('machine', '', 'name of the machine', (r) => r.machine.name),
  asked('workload', '', 'name of the prompts', (r) => r.workload.name),
  askedCount('prompts', '', 'number of prompts', (r) => r.workload.prompts),
  askedCount('maxNewTokens', 'tokens', 'limit of each sequence', (r) => r.workload.maxNewTokens),

  amount('tokensPerSecond', 'tokens/s', 'newTokens / seconds', (r) => r.result.tokensPerSecond),
  amount(
    'countedTokensPerSecond',
    'tokens/s',
    "newTokens / seconds, or generatedTokens / seconds where the point's accounting is as-published",
    (r) =>
      r.point?.settings.accounting === 'as-published'
        ? r.result.generatedTokens / r.result.seconds
        : r.result.tokensPerSecond,
  ),
  amount(
    'decodeTokensPerSecond',
    'tokens/s',
    'newTokens / decodeSeconds; null where prefill was all',
    ({ result: { newTokens, phases } }) =>
      phases.decode.seconds > 0 ? newTokens / phases.decode.seconds : null,
  ),
  amount('seconds', 's', 'prefill and decode', (r) => r.result.seconds),
  amount('prefillSeconds', 's', 'prefill', phaseSeconds('prefill')),
  amount('decodeSeconds', 's', 'decode', phaseSeconds('decode')),
  amount(
    'setupSeconds',
    's',
    'before prefill; measured runs only',
    measured((r) => r.result.setupSeconds),
  ),
  count('newTokens', 'tokens', "within each sequence's own limit", (r) => r.result.newTokens),
  count(
    'generatedTokens',
    'tokens',
    "with those beyond a sequence's own limit",
    (r) => r.result.generatedTokens,
  ),
  column('identity', 'BIGINT')(
    'totalPromptTokens',
    'tokens',
    'of all prompts together',
    (r) => r.workload.promptTokens,
  ),
  amount(
    'deviceUtilization',
    '0 to 1',
    'share of decode that the device lane was busy',
    utilization('decode', 'device'),
  ),
  amount(
    'hostUtilization',
    '0 to 1',
    'share of decode that the host lane was busy',
    utilization('decode', 'host'),
  ),
  amount(
    'linkUtilization',
    '0 to 1',
    'share of decode that the link lane was busy',
    utilization('decode', 'link'),
  ),
  amount(
    'diskUtilization',
    '0 to 1',
    'share of decode that the disk lane was busy',
    utilization('decode', 'disk'),
  ),
  amount('prefillDeviceUtilization', '0 to 1', 'the same of prefill', utilization('prefill', 'device')),
  amount('prefillHostUtilization', '0 to 1', 'the same of prefill', utilization('prefill', 'host')),
  amount('prefillLinkUtilization', '0 to 1', 'the same of prefill', utilization('prefill', 'link')),
  amount('prefillDiskUtilization', '0 to 1', 'the same of prefill', utilization('prefill', 'disk')),
  amount(
    'acceptanceRate',
    '0 to 1',
    'accepted / proposed; null without speculation',
    (r) => r.result.acceptance?.rate ?? null,
  ),
  amount(
    'tokensPerRound',
    'tokens',
    'of one sequence in one round; null without speculation',
    (r) => r.result.acceptance?.tokensPerRound ?? null,
  ),
  count('passes', '', 'target passes, prefill included', (r) => r.result.passes),
  amount('devicePeakBytes', 'B', 'most device memory in use', (r) => r.result.memory.device.peakBytes),
  amount(
    'deviceBudgetBytes',
    'B',
    'device memory that was allowed',
    (r) => r.result.memory.device.budgetBytes,
  ),
  amount('hostPeakBytes', 'B', 'most host memory in use', (r) => r.result.memory.host.peakBytes),
  amount('hostBudgetBytes', 'B', 'host memory that was allowed', (r) => r.result.memory.host.budgetBytes),
  amount('diskBytes', 'B', 'read from disk', (r) => r.result.bytesMoved.disk),
  amount('linkBytes', 'B', 'moved over the link', (r) => r.result.bytesMoved.link),
  count(
    'nearTies',
    'tokens',
    'that rounding could have chosen otherwise; measured runs only',
    measured((r) => r.result.nearTies),
  ),
  column('result', 'VARCHAR')(
    'outputDigest',
    '',
    'digest of all new tokens; measured runs only',
    measured((r) => r.result.outputDigest),
  ),

  column('conditions', 'DOUBLE')(
    'stolenShare',
    '0 to 1',
    "processors' time that the hypervisor gave away",
    measured((r) => r.conditions?.stolenShare),
  ),
  column('conditions', 'DOUBLE')(
    'othersShare',
    '0 to 1',
    "processors' time that other processes took",
    measured((r) => r.conditions?.othersShare),
  ),
  column('conditions', 'BOOLEAN')(
    'isDisturbed',
    '',
    'whether either was too large to trust the run',
    measured((r) => r.conditions?.isDisturbed),
  ),

  column('provenance', 'VARCHAR')('commit', '', 'of the code; null outside git', (r) => r.provenance.commit),
  column('provenance', 'BOOLEAN')(
    'dirty',
    '',
    'whether tracked files differed from the commit',
    (r) => r.provenance.dirty,
  ),
  column('provenance', 'VARCHAR')('cpu', '', 'processor that ran or predicted it', (r) => r.provenance.cpu),
  column('provenance', 'BIGINT')('cores', '', 'of that processor', (r) => r.provenance.cores),
  column('provenance', 'VARCHAR')(
    'core',
    '',
    'native, or its TypeScript twin; measured runs only',
    measured((r) => r.machine.core),
  ),
];
