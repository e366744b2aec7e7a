/** What records hold of lanes and memories that not every machine has, in cells named as those of the usual ones. */

import { laneNames } from '@specoffload/engine';
import type { RunRecord } from './record.js';

const usual: ReadonlySet<string> = new Set([...laneNames, 'host', 'device']);

/** None, in records of machines that have the usual lanes and memories alone. */
export function cellsOfOthers({ result }: RunRecord): Readonly<Record<string, number>> {
  const cells: Record<string, number> = {};
  const { prefill, decode } = result.phases;
  for (const [lane, { utilization }] of othersOf(decode.lanes)) cells[`${lane}Utilization`] = utilization;
  for (const [lane, { utilization }] of othersOf(prefill.lanes))
    cells[`prefill${lane[0].toUpperCase()}${lane.slice(1)}Utilization`] = utilization;
  for (const [memory, { peakBytes, budgetBytes }] of othersOf(result.memory)) {
    cells[`${memory}PeakBytes`] = peakBytes;
    cells[`${memory}BudgetBytes`] = budgetBytes;
  }
  for (const [lane, bytes] of othersOf(result.bytesMoved)) cells[`${lane}Bytes`] = bytes;
  return cells;
}

function othersOf<Value>(byName: Readonly<Record<string, Value>>): [string, Value][] {
  return Object.entries(byName).filter(([name]) => !usual.has(name));
}
