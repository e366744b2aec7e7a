/** Effects as lines of a table, in the words of every ranking, report and paper. */

import type { RunRecord } from '../store/index.js';
import type { SettingValue } from '../store/record.js';
import type { AttributedChange, AxisChange, Effects } from './effects.js';
import type { PairedRatio } from './paired-ratio.js';
import { describeVerdict } from './verdict.js';

export interface EffectRow {
  readonly name: string;
  readonly effect: PairedRatio;
  /** What it may be called. */
  readonly verdict: string;
}

export interface EffectTable {
  readonly title: string;
  readonly rows: readonly EffectRow[];
  /** How many more lines there are. */
  readonly numLeftOut: number;
}

/** Nobody reads more interactions. */
const mostInteractions = 12;

/** @param spell how a value of an axis is written */
export function effectTables(
  { kind, main, interactions, attribution }: Effects,
  spell: (axis: string, value: SettingValue) => string = (_, value) => String(value),
): EffectTable[] {
  const nameOf = ({ axis, from, to }: AxisChange) => `${axis} ${spell(axis, from)} → ${spell(axis, to)}`;
  const toRow = (name: string, effect: PairedRatio, isInteraction = false): EffectRow => ({
    ...{ name, effect, verdict: describe(kind, effect, isInteraction) },
  });
  const shown = interactions.slice(0, mostInteractions);
  const tables: EffectTable[] = [
    {
      title: `Effects (${kind}), each over all other axes`,
      rows: main.map((effect) => toRow(nameOf(effect.changes[0]!), effect)),
      numLeftOut: 0,
    },
    {
      title: `Interactions (${kind}): times the one brings more with the other`,
      rows: shown.map((effect) => toRow(effect.changes.map(nameOf).join(' × '), effect, true)),
      numLeftOut: interactions.length - shown.length,
    },
  ];
  if (attribution === null) return tables;
  const at = Object.entries(attribution.at).map(([axis, value]) => `${axis} ${spell(axis, value)}`);
  const part = (how: string, which: (change: AttributedChange) => PairedRatio) =>
    attribution.changes.map((change) => toRow(`${nameOf(change)}, ${how}`, which(change)));
  return [
    ...tables,
    {
      title: `From the baseline to the best (${kind}${at.length > 0 ? `; ${at.join(', ')}` : ''})`,
      rows: [
        ...part('alone', ({ alone }) => alone),
        ...part('added last', ({ last }) => last),
        toRow('all together', attribution.together),
      ],
      numLeftOut: 0,
    },
  ];
}

function describe(kind: RunRecord['kind'], effect: PairedRatio, isInteraction: boolean): string {
  const words = describeVerdict({ kind, isBaseline: false, overBaseline: effect });
  if (!isInteraction) return words;
  return words === 'faster' ? 'more together' : words === 'slower' ? 'less together' : words;
}
