/** What the device did with its time: busy, or idle, and what it waited for. */

import type { Figure } from '@specoffload/kernel';
import { formatSeconds } from '../terminal/format.js';
import { phaseShares } from './phase-shares.js';
import { deviceTimeColors, type Titles } from './theme.js';

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
  const stacked = reasons.map((reason) => {
    const isUnexplained = reason === 'nothing' && runs.every(({ idle }) => idle === undefined);
    return {
      name: isUnexplained ? 'idle' : meanings[reason],
      color: deviceTimeColors[reason],
      shares: runs.map(({ seconds }, i) => (seconds > 0 ? parts[i][reason] / seconds : 0)),
      details: parts.map((part) => formatSeconds(part[reason])),
      style: {
        insidetextanchor: 'middle',
        textfont: { color: reason === 'nothing' ? '#1f2933' : 'white', size: 12 },
      },
    };
  });
  const names = runs.map(({ name }) => name);
  return phaseShares(names, stacked, { title: "the device's time", ...titles });
}

function partsOf({ seconds, busySeconds, idle }: DeviceTime): Record<keyof typeof meanings, number> {
  const unexplained = { weights: 0, attention: 0, draft: 0, nothing: Math.max(0, seconds - busySeconds) };
  return { busy: busySeconds, ...unexplained, ...idle };
}
