/**
 * Why the device was idle. A gap on its lane is charged to whatever the task behind the gap waited for last, up to the
 * moment at which that task was ready. The rest of the gap, and one with no task behind it, is charged to `nothing`.
 */

import type { LanePlace } from '../topology/topology.js';
import type { IdleCause, TaskLabel } from './types.js';

/**
 * What the device is said to have waited for when this task was the last one that its next work depended on:
 * - `weights`: they were on their way over disk or link, or the host computed an expert where its weights lie;
 * - `attention`: the host computed it, or the KV cache crossed the link or was realigned;
 * - `draft`: tokens were still being proposed;
 * - `nothing`: the task was the device's own, so that only overheads and building the next graph came in between.
 */
export function causeOf({ kind }: Pick<TaskLabel, 'kind'>, lane: LanePlace): IdleCause {
  if (kind === 'draft') return 'draft';
  if ('computesOn' in lane && lane.computesOn === 'device') return 'nothing';
  return kind === 'load' || kind === 'upload' || kind === 'expert' ? 'weights' : 'attention';
}
