/** What the device did with its time: busy, or idle, and what it waited for. */

import type { Figure } from '@specoffload/kernel';
import { formatPercent, formatSeconds } from '../terminal/format.js';
import { createFigure, deviceTimeColors, hoverLines, label, type Titles } from './theme.js';

export interface DeviceTime {
  readonly name: string;
  /** Of the phase. */
  readonly seconds: number;
  readonly busySeconds: number;
  /** Seconds by what was waited for; missing in records that do not say. */
  readonly idle?: Readonly<Record<'weights' | 'attention' | 'draft' | 'nothing', number>> | undefined;
}

const meanings = {
  busy: 'busy',
  weights: 'waits for weights',
  attention: 'waits for attention or its cache',
  draft: 'waits for the draft',
  nothing: 'nothing to do',
} as const;

/** `deviceTime([{ name: 'serial', seconds: 12.6, busySeconds: 9.8, idle: {…} }])`: a bar for each, adding up to 100 %. */
export function deviceTime(runs: readonly DeviceTime[], titles: Partial<Titles> = {}): Figure {
  const parts = runs.map(partsOf);
  const reasons = (Object.keys(meanings) as (keyof typeof meanings)[]).filter((reason) =>
    parts.some((part) => part[reason] > 0),
  );
  const traces = reasons.map((reason) => {
    const shares = runs.map(({ seconds }, i) => (seconds > 0 ? parts[i][reason] / seconds : 0));
    const isUnexplained = reason === 'nothing' && runs.every(({ idle }) => idle === undefined);
    const meaning = isUnexplained ? 'idle' : meanings[reason];
    return {
      ...{ type: 'bar', orientation: 'h', name: meaning },
      y: runs.map(({ name }) => label(name)),
      x: shares,
      marker: { color: deviceTimeColors[reason], line: { color: 'white', width: 1 } },
      text: shares.map((share) => (share >= 0.045 ? formatPercent(share) : '')),
      textposition: 'inside',
      insidetextanchor: 'middle',
      textfont: { color: reason === 'nothing' ? '#1f2933' : 'white', size: 12 },
      hovertext: runs.map(({ name }, i) =>
        hoverLines(name, `${meaning}: ${formatPercent(shares[i])}, ${formatSeconds(parts[i][reason])}`),
      ),
      hoverinfo: 'text',
    };
  });
  return createFigure({ title: "the device's time", ...titles }, traces, {
    barmode: 'stack',
    xaxis: { tickformat: '.0%', range: [0, 1], title: { text: 'share of the phase' } },
    yaxis: { type: 'category', autorange: 'reversed', showgrid: false, ticks: '' },
    legend: { traceorder: 'normal' },
    height: Math.max(280, 190 + 38 * runs.length),
    hovermode: 'closest',
  });
}

function partsOf({ seconds, busySeconds, idle }: DeviceTime): Record<keyof typeof meanings, number> {
  const unexplained = { weights: 0, attention: 0, draft: 0, nothing: Math.max(0, seconds - busySeconds) };
  return { busy: busySeconds, ...unexplained, ...idle };
}
