/** A cost that released software has and this engine has not; for predictions. */

import type { Routes } from '../topology/topology.js';
import { createTask, type Task, type TaskHead } from './task.js';
import type { TaskIds } from './work.js';

/**
 * The released code shifts every sequence's cache, layer by layer, after each round. Source: SpecOffload (arXiv
 * 2505.10259), github.com/MobiSense/SpecOffload-public at b8b68c9.
 */
export function realignTask(routes: Routes, ids: TaskIds, pass: number, batch: number, rows: number): Task {
  const head: TaskHead = {
    id: ids.next(),
    lane: routes.computing('realign', 'host'),
    kind: 'realign',
    name: `realign batch ${batch}`,
    phase: 'decode',
    ...{ pass, batch, priority: pass, rows },
  };
  return createTask(head, { after: [], createOp: () => ({ kind: 'imagined' }) });
}
