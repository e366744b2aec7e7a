/** One figure for each value of a column, side by side: what varies beside a figure's own columns. */

import { UserError } from '@specoffload/input';
import type { Figure } from '@specoffload/kernel';
import { nameOfColumn } from './labels.js';
import { panels } from './panels.js';
import { cellOf, type FigureRow } from './points.js';
import type { Titles } from './theme.js';

/** More than these nobody compares. */
const mostPanels = 24;

/** @throws UserError for more values than a page holds */
export function byPanel(
  rows: readonly FigureRow[],
  panel: string,
  titles: Titles,
  draw: (rows: readonly FigureRow[]) => Figure,
): Figure {
  const groups = new Map<string, FigureRow[]>();
  for (const row of rows) {
    const value = String(cellOf(row[panel]));
    const group = groups.get(value);
    if (group) group.push(row);
    else groups.set(value, [row]);
  }
  if (groups.size > mostPanels)
    throw new UserError(
      `invalid panel: ${panel} has ${groups.size} values; expected at most ${mostPanels}, keep the rows of some`,
    );
  const drawn = [...groups].map(([value, members]) => ({
    title: `${nameOfColumn(panel)} ${value}`,
    figure: draw(members),
  }));
  return panels(drawn, { ...titles, sharesScale: true, ...(groups.size === 1 && { columns: 1 }) });
}
