/** What a sweep's end looks like to people: the points, best first, and what came of the others. */

import { join } from 'node:path';
import { largest, smallest } from '@specoffload/engine';
import type { ExperimentDefinition } from '../definitions/definition.js';
import { describeAxes } from '../definitions/expand.js';
import { displayPath } from '../paths.js';
import type { SettingValue } from '../store/record.js';
import { formatCount, formatSeconds, plural, threeDigits } from '../terminal/format.js';
import { type Column, formatTable } from '../terminal/table.js';
import { describeSearch } from './bayesian/describe.js';
import type { SweepOutcome } from './outcome.js';
import type { SweepProgress } from './progress.js';
import type { ScoredPoint } from './ranking.js';

/** Nobody reads more lines than this. */
const mostLines = 20;

export function describeOutcome(outcome: SweepOutcome): string {
  const { experiment, runs, before, stored, elapsedSeconds, folder, ranking, metric } = outcome;
  const lines = [
    `${experiment}: ${plural(stored, 'run')} in ${formatSeconds(elapsedSeconds)}` +
      `${before > 0 ? `, ${formatCount(before)} were there before` : ''}${outcome.isComplete ? '' : `, ${formatCount(runs - before - stored)} are missing`}`,
  ];
  if (ranking.length > 0) lines.push('', formatRanking(ranking, metric));
  const { pruned, refused, failed, disturbed, agreement } = outcome;
  if (disturbed > 0)
    lines.push(
      '',
      `${plural(disturbed, 'run')} of ${formatCount(stored)} came while the machine did something else as well: their records say so`,
    );
  if (agreement !== null && agreement.compared > 0)
    lines.push(
      '',
      agreement.errors.length === 0
        ? `same tokens: all runs of the same texts wrote the same${agreement.ties === 0 ? '' : `, but for ${plural(agreement.ties, 'run')} that parted where rounding decides`}`
        : 'OTHER TOKENS',
      ...agreement.errors.map((sentence) => `  ${sentence}`),
    );
  if (pruned.length > 0) lines.push('', `let go by halving: ${plural(pruned.length, 'point')}`);
  if (outcome.search !== null) lines.push('', ...describeSearch(outcome.search));
  if (outcome.beliefs.length > 0) lines.push('', describeBeliefs(outcome));
  lines.push(
    ...describeList(
      `no run can serve ${plural(refused.length, 'point')}`,
      refused.map(({ axes, reason }) => `${describeAxes(axes)}: ${reason}`),
    ),
    ...describeList(
      `${plural(failed.length, 'run')} failed`,
      failed.map(
        ({ axes, seed, repeat, message }) =>
          `${describeAxes(axes)}, seed ${seed}, repeat ${repeat}: ${message}`,
      ),
    ),
  );
  lines.push('', `records in ${displayPath(folder)}`);
  return lines.join('\n');
}

/** Thompson sampling's best guess, and how sure it is. */
function describeBeliefs({ beliefs, metric, folder }: SweepOutcome): string {
  const [{ axes, mean, sigma, pulls }] = beliefs as [SweepOutcome['beliefs'][number]];
  return (
    `after ${plural(
      beliefs.reduce((sum, belief) => sum + belief.pulls, 0),
      'run',
    )} believed best: ${describeAxes(axes)}, ${metric} ${threeDigits(mean)} ± ${threeDigits(sigma)} ` +
    `by ${plural(pulls, 'run')}; what was believed round by round is in ${displayPath(join(folder, 'beliefs.json'))}`
  );
}

/** What is there and what is missing, before anything runs. */
export function describeStock(
  { name, kind }: Pick<ExperimentDefinition, 'name' | 'kind'>,
  stock: { points: number; total: number; before: number; refused: number; seconds: number | null },
): string {
  const { points, total, before, refused, seconds } = stock;
  return (
    `${name}: ${plural(points, 'point')}, ${plural(total, `${kind} run`)}` +
    `${before > 0 ? `, ${formatCount(before)} done already` : ''}` +
    `${refused > 0 ? `, ${formatCount(refused)} points refused earlier` : ''}` +
    `${seconds === null || total === before ? '' : `, about ${formatSeconds(seconds)}`}`
  );
}

export function describeHalt(name: string, maxSeconds: number, { total, done }: SweepProgress): string {
  return `${name}: no run was started after ${formatSeconds(maxSeconds)}; ${formatCount(total - done)} of ${formatCount(total)} are left, start the same sweep again to go on`;
}

export function describeUnpaid(
  { name }: Pick<ExperimentDefinition, 'name'>,
  unpaid: readonly string[],
): string {
  return `${name}: of the points looked at, ${formatCount(unpaid.length)} propose where that is not predicted to pay, such as ${unpaid[0]}`;
}

function describeList(title: string, items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const more = items.length > mostLines ? [`  and ${formatCount(items.length - mostLines)} more`] : [];
  return ['', title, ...items.slice(0, mostLines).map((item) => `  ${item}`), ...more];
}

function formatRanking(ranking: readonly ScoredPoint[], metric: string): string {
  const shown = ranking.slice(0, mostLines);
  const table = formatTable<ScoredPoint>(
    [
      ...axisColumns(shown),
      { title: metric, text: ({ median }) => (median === null ? '-' : threeDigits(median)) },
      ...(shown.some(({ values }) => values.length > 1)
        ? [
            {
              title: 'least to most',
              text: ({ values }: ScoredPoint) =>
                `${threeDigits(smallest(values))} to ${threeDigits(largest(values))}`,
            },
            { title: 'runs', text: ({ values }: ScoredPoint) => String(values.length) },
          ]
        : []),
    ],
    shown,
  );
  const rest = ranking.length - shown.length;
  return rest > 0 ? `${table}\nand ${plural(rest, 'more point')}, see specoffload runs list` : table;
}

/** One column for each axis. */
export function axisColumns<Row extends { readonly axes: Readonly<Record<string, SettingValue>> }>(
  rows: readonly Row[],
): Column<Row>[] {
  const names = Object.keys(rows[0]?.axes ?? {});
  return names.map((title) => ({
    title,
    align: rows.every(({ axes }) => typeof axes[title] === 'number') ? 'right' : 'left',
    text: ({ axes }) => {
      const value = axes[title];
      return typeof value === 'object' ? value.join('/') : String(value);
    },
  }));
}
