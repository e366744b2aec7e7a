/** Plain text tables: a header, a rule, rows; numbers right, names left. A cell is one line, whatever is in it. */

import { printable } from '@specoffload/input';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  readonly text: (row: Row) => string;
}

export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => printable(column.text(row))));
  const titles = columns.map(({ title }) => printable(title));
  const widths = titles.map((title, i) =>
    cells.reduce((widest, line) => Math.max(widest, line[i].length), title.length),
  );
  const pad = (text: string, i: number) =>
    columns[i].align === 'left' ? text.padEnd(widths[i]) : text.padStart(widths[i]);
  const line = (texts: readonly string[]) => texts.map(pad).join('  ').trimEnd();
  return [line(titles), widths.map((width) => '─'.repeat(width)).join('  '), ...cells.map(line)].join('\n');
}
