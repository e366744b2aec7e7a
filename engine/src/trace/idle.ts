/**
 * Where the device's idle time goes. A gap on its lane is charged to what the next task on it waited for last, up to
 * the moment when that task was ready; the rest of it, and a gap that lasts to the end of its phase, to nothing.
 */

import type { LanePlace } from '../machine/topology.js';
import type { IdleCause, TaskLabel } from './types.js';

/**
 * What a task stands for where it is the last that another one waited for:
 * - `weights`: disk and link bring them, or the host computes an expert where they are;
 * - `attention`: the host computes it, or the KV cache crosses the link or is put in order;
 * - `draft`: its proposals;
 * - `nothing`: work of the device itself, behind which only overheads and the building of the next graph remain.
 */
export function causeOf({ kind }: Pick<TaskLabel, 'kind'>, lane: LanePlace): IdleCause {
  if (kind === 'draft') return 'draft';
  if ('computesOn' in lane && lane.computesOn === 'device') return 'nothing';
  return kind === 'load' || kind === 'upload' || kind === 'expert' ? 'weights' : 'attention';
}
