/** What the memory pools hold while a run goes on, against the walls they must not pass. */

import type { Figure } from '@specoffload/kernel';
import { formatBytes, formatSeconds } from '../terminal/format.js';
import { createFigure, hoverLines, label, mutedInk, type Titles } from './theme.js';

export interface PoolSeries {
  /** `device` or `host`. */
  readonly name: string;
  /** Each holds until the next one; in order of time. */
  readonly samples: readonly { readonly seconds: number; readonly bytes: number }[];
  readonly budgetBytes: number;
}

const poolColors: Readonly<Record<string, string>> = { device: '#ee8b2a', host: '#4e79a7' };

/** `memoryOverTime([{ name: 'device', samples, budgetBytes: 2e9 }])`: a panel for each pool. */
export function memoryOverTime(pools: readonly PoolSeries[], titles: Partial<Titles> = {}): Figure {
  const traces = pools.flatMap(({ name, samples, budgetBytes }, i) => {
    const axes = { xaxis: 'x', yaxis: `y${i === 0 ? '' : i + 1}` };
    const color = poolColors[name] ?? mutedInk;
    const ends = [samples[0]?.seconds ?? 0, samples.at(-1)?.seconds ?? 0];
    return [
      {
        ...{ type: 'scatter', mode: 'lines', name: label(name), ...axes },
        x: samples.map(({ seconds }) => seconds),
        y: samples.map(({ bytes }) => bytes),
        line: { shape: 'hv', color, width: 1.4 },
        fill: 'tozeroy',
        fillcolor: `${color}33`,
        hovertext: samples.map(({ seconds, bytes }) =>
          hoverLines(
            `${name} at ${formatSeconds(seconds)}`,
            `${formatBytes(bytes)} of ${formatBytes(budgetBytes)}`,
          ),
        ),
        hoverinfo: 'text',
      },
      {
        ...{ type: 'scatter', mode: 'lines', ...axes, x: ends, y: [budgetBytes, budgetBytes] },
        name: label(`${name} budget, ${formatBytes(budgetBytes)}`),
        line: { color, width: 1.6, dash: 'dash' },
        hoverinfo: 'skip',
      },
    ];
  });
  const panels = Object.fromEntries(
    pools.map(({ name, budgetBytes }, i) => [
      `yaxis${i === 0 ? '' : i + 1}`,
      {
        title: { text: `${label(name)} memory` },
        ...{ tickformat: '~s', ticksuffix: 'B', range: [0, budgetBytes * 1.08] },
        domain: panelDomain(i, pools.length),
      },
    ]),
  );
  return createFigure({ title: 'memory over time', ...titles }, traces, {
    ...panels,
    xaxis: { title: { text: 'seconds' }, anchor: `y${pools.length > 1 ? pools.length : ''}` },
    height: 180 + 180 * pools.length,
    hovermode: 'closest',
  });
}

/** The first panel is the upper one. */
function panelDomain(index: number, count: number): [number, number] {
  const gap = 0.1;
  const height = (1 - gap * (count - 1)) / count;
  const low = (count - 1 - index) * (height + gap);
  return [low, low + height];
}
