/**
 * HeteGen's split of a layer's attention: of the projections before and behind the scores the host computes a share
 * where the weights lie, beside the device. Only where memory is imagined: on local lanes these weights come whole.
 */

import { loadOf, routes } from './attention-parts.js';
import { mixes, projects, scores } from './layer-costs.js';
import type { Flow, PassContext } from './pass-context.js';
import type { OpenTask, Task } from './task.js';

/** @param share of the projections, the host's */
export function attendShared(
  context: PassContext,
  flow: Flow,
  layer: number,
  arrival: number | null,
  share: number,
  frees: Task['frees'],
): void {
  computeShared(context, flow, layer, 'project', arrival, share);
  const score = context.push(flow, 'attention', 'device', `attention layer.${layer}`, [flow.last]);
  scores(score, loadOf(context, flow, layer));
  flow.last = score.id;
  const mixed = computeShared(context, flow, layer, 'mix', arrival, share);
  mixed.frees = frees;
  routes(context, mixed, flow, layer);
}

/** @returns what puts both parts together */
function computeShared(
  context: PassContext,
  flow: Flow,
  layer: number,
  kind: 'project' | 'mix',
  arrival: number | null,
  share: number,
): OpenTask {
  const costs = context.costs.layers[layer];
  const name = `${kind} layer.${layer}`;
  const start = flow.last;
  const fill = kind === 'project' ? projects : mixes;
  const compute = (memory: 'host' | 'device', after: readonly number[], part: number) => {
    const task = context.push(flow, kind, memory, name, after);
    fill(task, costs, flow.rows);
    task.bytes *= part;
    task.flops *= part;
    return task.id;
  };
  const onDevice = compute('device', context.afterPrevious(flow, arrival), 1 - share);
  const onHost = compute('host', [start], share);
  const merge = context.push(flow, 'merge', 'device', `merge ${name}`, [onDevice, onHost]);
  merge.bytes = flow.rows * context.costs.hiddenBytes;
  flow.last = merge.id;
  return merge;
}
