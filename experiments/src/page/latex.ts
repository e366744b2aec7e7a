/** An experiment as tables for a paper: medians with their intervals, what axes bring, and where all of it comes from. */

import { formatValue, titleOfColumn } from '../figures/labels.js';
import { describeVerdict, type EffectTable, type RankedPoint, winnersOf } from '../statistics/index.js';
import { tablesOfEffects } from './effects.js';
import { commentLine, escapeLatex } from './latex-text.js';
import { provenanceLine, type ReportedBy } from './provenance-line.js';
import type { Subject } from './subject.js';

interface LatexColumn {
  readonly title: string;
  readonly isNumber: boolean;
  /** LaTeX. */
  readonly cell: (point: RankedPoint) => string;
}

/** A table of more lines is broken across pages. */
const mostLines = 40;

/** @param by the command that asks for it, and the code that answers */
export function renderLatex(subject: Subject, by: ReportedBy): string {
  const provenance = provenanceLine(subject, by);
  const tables = [
    pointsTable(subject, provenance),
    ...tablesOfEffects(subject).map((table, i) => effectsTable(subject, table, i, provenance)),
  ];
  return [
    commentLine(provenance),
    commentLine('Needs \\usepackage{booktabs}, and \\usepackage{longtable} where a table is a long one.'),
    ...tables,
    '',
  ].join('\n');
}

function pointsTable(subject: Subject, provenance: string): string {
  const { name, question, points } = subject;
  const columns = columnsOf(subject);
  const hasIntervals = points.some(({ sample }) => sample.low !== null);
  const winner = winnersOf(
    subject.runs.map(({ record }) => record),
    subject,
  );
  const isWon = points.some(winner);
  const caption = [
    escapeLatex(question === '' ? name : question),
    `Medians${hasIntervals ? ', and in brackets 95\\,\\% intervals' : ' without intervals: fewer than three runs of each'}.`,
    ...(isWon ? ['Bold: distinguishably better than all that it is compared with.'] : []),
  ].join(' ');
  return tabular({
    ...{ label: name, caption, provenance },
    columns: columns.map(({ title, isNumber }) => ({ title, isNumber })),
    rows: points.map((point) =>
      columns.map(({ cell }, i) =>
        i === indexOfMetric(subject) && winner(point) ? `\\textbf{${cell(point)}}` : cell(point),
      ),
    ),
  });
}

const indexOfMetric = ({ axes, points }: Subject) => axes.length + (isMixed(points) ? 1 : 0);

const isMixed = (points: Subject['points']) => new Set(points.map(({ kind }) => kind)).size > 1;

function columnsOf({ axes, points, metric }: Subject): LatexColumn[] {
  const amount = (value: number) => escapeLatex(formatValue(metric, value));
  const isCompared = points.some(({ overBaseline }) => overBaseline !== null);
  const column = (title: string, isNumber: boolean, cell: LatexColumn['cell']) => ({ title, isNumber, cell });
  return [
    ...axes.map(({ name, values }) =>
      column(
        name,
        values.every((value) => typeof value === 'number'),
        ({ axes: at }) => (at[name] === undefined ? '' : escapeLatex(formatValue(name, at[name]))),
      ),
    ),
    ...(isMixed(points) ? [column('kind', false, ({ kind }) => kind)] : []),
    column(titleOfColumn(metric), true, ({ sample }) => amount(sample.median)),
    ...(points.some(({ sample }) => sample.low !== null)
      ? [column('95 %', true, ({ sample }) => intervalOf(sample, amount))]
      : []),
    column('runs', true, ({ sample }) => String(sample.n)),
    ...(isCompared
      ? [
          column('times baseline', true, ({ isBaseline, overBaseline }) =>
            isBaseline ? '1' : (overBaseline?.ratio?.toFixed(2) ?? ''),
          ),
          ...(points.some(({ overBaseline }) => overBaseline?.low != null)
            ? [
                column('95 %', true, ({ overBaseline }) =>
                  overBaseline ? intervalOf(overBaseline, (ratio) => ratio.toFixed(2)) : '',
                ),
              ]
            : []),
          column('verdict', false, (point) => escapeLatex(describeVerdict(point))),
        ]
      : []),
  ];
}

function effectsTable(
  { name, metric }: Subject,
  { title, rows, numLeftOut }: EffectTable,
  index: number,
  provenance: string,
): string {
  const rest = numLeftOut > 0 ? ` ${numLeftOut} more are nearer to 1.` : '';
  return tabular({
    ...{ label: `${name}-effects-${index + 1}`, provenance },
    caption: `${escapeLatex(`${title}; ${titleOfColumn(metric)}.${rest}`)}`,
    columns: [
      { title: 'what', isNumber: false },
      { title: 'times', isNumber: true },
      { title: '95 %', isNumber: true },
      { title: 'verdict', isNumber: false },
    ],
    rows: rows.map(({ name: what, effect, verdict }) => [
      escapeLatex(what),
      effect.ratio?.toFixed(3) ?? '',
      intervalOf(effect, (ratio) => ratio.toFixed(3)),
      escapeLatex(verdict),
    ]),
  });
}

/** `[1.92, 2.01]`; in braces, since LaTeX takes what follows a line's end in brackets for a distance. */
function intervalOf(
  { low, high }: { readonly low: number | null; readonly high: number | null },
  text: (value: number) => string,
): string {
  return low === null || high === null ? '' : `{[${text(low)},~${text(high)}]}`;
}

interface Table {
  /** Of the experiment. */
  readonly label: string;
  /** LaTeX. */
  readonly caption: string;
  readonly provenance: string;
  readonly columns: readonly { readonly title: string; readonly isNumber: boolean }[];
  /** LaTeX. */
  readonly rows: readonly (readonly string[])[];
}

function tabular({ label, caption, provenance, columns, rows }: Table): string {
  const layout = columns.map(({ isNumber }) => (isNumber ? 'r' : 'l')).join('');
  const line = (cells: readonly string[]) => `    ${cells.join(' & ')} \\\\`;
  const head = line(columns.map(({ title }) => escapeLatex(title)));
  // Names in a label are read by LaTeX as they stand: nothing but letters, digits and hyphens.
  const titled = `\\caption{${caption}}\\label{tab:${label.replace(/[^A-Za-z0-9-]/g, '-')}}`;
  const footnote = `{\\footnotesize ${escapeLatex(provenance)}\\par}`;
  if (rows.length > mostLines)
    return [
      `\\begin{longtable}{${layout}}`,
      `  ${titled}\\\\`,
      ...['    \\toprule', head, '    \\midrule', '    \\endfirsthead'],
      ...['    \\toprule', head, '    \\midrule', '    \\endhead', '    \\bottomrule', '    \\endfoot'],
      ...rows.map(line),
      `\\end{longtable}`,
      footnote,
    ].join('\n');
  return [
    '\\begin{table}',
    '  \\centering',
    `  ${titled}`,
    `  \\begin{tabular}{${layout}}`,
    ...['    \\toprule', head, '    \\midrule', ...rows.map(line), '    \\bottomrule'],
    '  \\end{tabular}',
    '  \\par\\smallskip',
    `  ${footnote}`,
    '\\end{table}',
  ].join('\n');
}
