/** What the main job found, for people: one table, and sentences that explain it. */

import { inUsualOrder, type LaneName, type LaneReport } from '@specoffload/engine';
import type { RunRecord } from '../store/index.js';
import { formatBytes, formatPercent, formatSeconds, plural, threeDigits } from '../terminal/format.js';
import { type Column, formatTable } from '../terminal/table.js';
import { type Comparison, describeDifference } from './compare.js';
import { busiestLane } from './describe-run.js';

/** The strategy, and how its weights were stored where that is packed. */
export function runName({ strategy, model }: RunRecord): string {
  return isPacked(model) ? `${strategy}, packed` : strategy;
}

function isPacked({ target }: RunRecord['model']): boolean {
  return target.format === 'bf16_packed';
}

/** One row per strategy; the first is what the others are compared with. */
export function formatComparison(records: readonly RunRecord[]): string {
  const base = records[0].result.tokensPerSecond;
  const lanesOf = ({ result }: RunRecord) => Object.keys(result.phases.decode.lanes);
  const lane = (name: LaneName): Column<RunRecord> => ({
    title: name,
    text: ({ result }) => {
      const { [name]: report } = result.phases.decode.lanes as Readonly<Record<LaneName, LaneReport>>;
      return report ? formatPercent(report.utilization) : '-';
    },
  });
  return formatTable<RunRecord>(
    [
      { title: 'strategy', align: 'left', text: runName },
      { title: 'tokens/s', text: ({ result }) => threeDigits(result.tokensPerSecond) },
      { title: 'x none', text: ({ result }) => (result.tokensPerSecond / base).toFixed(2) },
      { title: 'prefill', text: ({ result }) => formatSeconds(result.phases.prefill.seconds) },
      { title: 'decode', text: ({ result }) => formatSeconds(result.phases.decode.seconds) },
      { title: 'tok/round', text: ({ result }) => result.acceptance?.tokensPerRound.toFixed(2) ?? '-' },
      {
        title: 'accepted',
        text: ({ result }) => (result.acceptance ? formatPercent(result.acceptance.rate) : '-'),
      },
      ...[...inUsualOrder(records.flatMap(lanesOf))].reverse().map(lane),
      { title: 'device peak', text: ({ result }) => formatBytes(result.memory.device.peakBytes) },
      { title: 'read', text: ({ result }) => formatBytes(result.bytesMoved.disk) },
    ],
    records,
  );
}

/** What the numbers mean: who binds, what speculation brought, and whether interleaving it paid. */
export function explain(records: readonly RunRecord[]): string[] {
  const of = (strategy: string) => records.find((record) => record.strategy === strategy);
  const [none, serial, specoffload] = [of('none'), of('serial'), of('specoffload')];
  const lines = [`Busiest in decode: ${records.map(describeBusiest).join('; ')}.`];
  if (none && serial && specoffload)
    lines.push(describeSpeedup(none, serial, specoffload), describeInterleaving(serial, specoffload));
  const packed = records.find(({ model }) => isPacked(model));
  const plain = packed && of(packed.strategy);
  if (packed && plain && plain !== packed) lines.push(describePacked(plain, packed));
  return lines;
}

function describePacked(plain: RunRecord, packed: RunRecord): string {
  const share = packed.model.target.bytes / plain.model.target.bytes;
  return (
    `${packed.strategy} from the same weights packed without loss (${share.toFixed(2)} of the bytes) wrote ${ratio(packed, plain).toFixed(2)} times the tokens per second (one run of each), ` +
    `${decodeRatio(packed, plain).toFixed(2)} times in decode alone: it reads ${formatBytes(packed.result.bytesMoved.disk)} instead of ${formatBytes(plain.result.bytesMoved.disk)}, since layers are smaller and more of them stay in memory.`
  );
}

function describeBusiest(record: RunRecord): string {
  const { lane, utilization } = busiestLane(record.result.phases.decode);
  return `${runName(record)} the ${lane} (${formatPercent(utilization)})`;
}

function describeSpeedup(none: RunRecord, serial: RunRecord, specoffload: RunRecord): string {
  const better = ratio(specoffload, serial) > 1 ? specoffload : serial;
  const { acceptance, passes } = better.result;
  const tokensPerRound = acceptance?.tokensPerRound.toFixed(2) ?? '1.00';
  const speedup = ratio(better, none).toFixed(2);
  if (ratio(better, none) <= 1)
    return (
      `Speculation did not pay here: the better of the two, ${better.strategy}, had ${speedup} times the speed of none (one run of each), ` +
      `for a round yields ${tokensPerRound} tokens per sequence and its draft takes time.`
    );
  return (
    `${better.strategy} wrote ${speedup} times the tokens per second of none (one run of each), ${decodeRatio(better, none).toFixed(2)} times in decode alone: ` +
    `a round yields ${tokensPerRound} tokens per sequence, ` +
    `so the weights are needed for ${passes} passes instead of ${none.result.passes}.`
  );
}

/** Prefill is the same work for everybody and hides what happens after it. */
function decodeRatio(a: RunRecord, b: RunRecord): number {
  const decodeRate = ({ result }: RunRecord) => result.newTokens / result.phases.decode.seconds;
  return decodeRate(a) / decodeRate(b);
}

function describeInterleaving(serial: RunRecord, specoffload: RunRecord): string {
  const speed = ratio(specoffload, serial);
  if (speed >= 1)
    return `specoffload was ${speed.toFixed(2)} times as fast as serial here, one run of each: it drafts for one batch while the other is verified.`;
  return (
    `specoffload was SLOWER than serial here (${speed.toFixed(2)} times its speed, one run of each): ` +
    'each of its two batches has passes of its own, so it reads ' +
    `${formatBytes(specoffload.result.bytesMoved.disk)} where serial reads ${formatBytes(serial.result.bytesMoved.disk)}.`
  );
}

function ratio(a: RunRecord, b: RunRecord): number {
  return a.result.tokensPerSecond / b.result.tokensPerSecond;
}

/** One run's tokens against the reference's. */
export interface TokenCheck {
  readonly strategy: string;
  readonly comparison: Comparison;
}

export function describeTokenCheck(checks: readonly TokenCheck[], numTokens: number): string[] {
  const differing = checks.filter(({ comparison }) => comparison.differences.length > 0);
  if (differing.length === 0)
    return [`Same tokens: all ${checks.length + 1} runs wrote the same ${numTokens}.`];
  return differing.flatMap(({ strategy, comparison: { numTies, numErrors, differences } }) => [
    numErrors === 0
      ? `${strategy} wrote the same tokens as none, but for ${plural(numTies, 'tie')}, where rounding may decide:`
      : `${strategy} wrote other tokens than none:`,
    ...differences.map((difference) => `  ${describeDifference(difference)}`),
  ]);
}
