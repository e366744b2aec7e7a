/** What each axis brings, and what two bring together, for `specoffload runs rank`. */

import {
  type EffectRow,
  type Effects,
  effectTables,
  type IncompleteGrid,
  isComplete,
} from '../../statistics/index.js';
import { formatCount, plural } from '../../terminal/format.js';
import { type Column, formatTable } from '../../terminal/table.js';

/** None where there is one axis only. */
export function describeEffects(effects: readonly (Effects | IncompleteGrid)[]): string[] {
  return effects.flatMap((one) => (isComplete(one) ? describeComplete(one) : [describeGap(one)]));
}

const columns: Column<EffectRow>[] = [
  { title: 'what', align: 'left', text: ({ name }) => name },
  { title: 'times', text: ({ effect }) => effect.ratio?.toFixed(3) ?? '-' },
  {
    title: '95 %',
    text: ({ effect: { low, high } }) =>
      low === null || high === null ? '-' : `${low.toFixed(3)} to ${high.toFixed(3)}`,
  },
  { title: 'verdict', align: 'left', text: ({ verdict }) => verdict },
];

function describeComplete(effects: Effects): string[] {
  return effectTables(effects).map(({ title, rows, numLeftOut }) => {
    const rest = numLeftOut > 0 ? `\nand ${formatCount(numLeftOut)} nearer to 1, see --json` : '';
    return `${title}\n\n${formatTable(columns, rows)}${rest}`;
  });
}

function describeGap({ kind, points, combinations }: IncompleteGrid): string {
  const why = points === combinations ? 'values above zero' : 'every combination of the axes';
  return `no effects of the axes (${kind}): they need ${why}; ${formatCount(points)} of ${plural(combinations, 'combination')} are there`;
}
