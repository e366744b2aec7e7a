/** How busy each lane is, run by run. */

import { inUsualOrder, type LaneName } from '@specoffload/engine';
import type { Figure } from '@specoffload/kernel';
import { formatPercent } from '../terminal/format.js';
import { createFigure, hoverLines, label, type Titles, taskColors } from './theme.js';

export interface LaneShares {
  readonly name: string;
  /** Share of the phase that each lane was busy, 0 to 1. */
  readonly lanes: Readonly<Record<LaneName, number>>;
}

const laneColors: Readonly<Record<LaneName, string>> = {
  disk: taskColors.load,
  link: taskColors.upload,
  host: taskColors.attention,
  device: taskColors.mix,
};

/** `laneUtilisation([{ name: 'serial', lanes: { disk: 0.84, link: 0.63, host: 0.01, device: 0.78 } }])` */
export function laneUtilisation(runs: readonly LaneShares[], titles: Partial<Titles> = {}): Figure {
  const traces = inUsualOrder(runs.flatMap(({ lanes }) => Object.keys(lanes))).map((lane) => ({
    ...{ type: 'bar', name: lane },
    x: runs.map(({ name }) => label(name)),
    y: runs.map(({ lanes }) => lanes[lane] ?? 0),
    marker: { color: laneColors[lane] },
    text: runs.map(({ lanes }) => (runs.length <= 8 ? formatPercent(lanes[lane] ?? 0) : '')),
    textposition: 'outside',
    cliponaxis: false,
    textfont: { size: 11 },
    hovertext: runs.map(({ name, lanes }) =>
      hoverLines(name, `${lane} busy ${formatPercent(lanes[lane] ?? 0)}`),
    ),
    hoverinfo: 'text',
  }));
  return createFigure({ title: 'how busy each lane is', ...titles }, traces, {
    barmode: 'group',
    xaxis: { type: 'category', showgrid: false },
    yaxis: { tickformat: '.0%', range: [0, 1.05], title: { text: 'share of the phase' } },
    hovermode: 'closest',
  });
}
