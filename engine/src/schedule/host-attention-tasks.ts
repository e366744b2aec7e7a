/** A layer's attention all on the host: hidden states come from the device, and go back with what the router chose. */

import { isImagined } from '../machine/formats.js';
import type { WeightGroup } from '../model/types.js';
import { loadOf, routes, scoresAndProjects } from './attention-parts.js';
import { cacheFields } from './feeds.js';
import type { HostAttentionOp, HostAttentionResult } from './ops.js';
import type { Flow, PassContext } from './pass-context.js';
import type { OpenTask, Task } from './task.js';
import { storedWeights } from './work.js';

/** Projections, scores and router on the host, with the weights where they are stored. */
export function attendOnHost(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
  arrival: number | null,
  frees: Task['frees'],
): void {
  // Where nothing is computed hidden states are nowhere: calibrations count their way as part of the attention.
  if (isImagined(context.placement.formats)) {
    const task = attention(context, flow, layer, group, context.afterPrevious(flow, arrival));
    task.frees = frees;
    flow.last = task.id;
    return;
  }
  const { frame, index, rows } = flow;
  const down = context.push(flow, 'project', 'device', `hidden layer.${layer}`, [flow.last], () => ({
    kind: 'read-hidden',
    frame,
    layer,
    rows,
  }));
  const scored = attention(context, flow, layer, group, [down.id]);
  const found = keepResult<HostAttentionResult>(scored);
  // After the previous frame's too, so that the last frame's is the last of all.
  const after = index > 0 ? [scored.id, context.flows[index - 1].last] : [scored.id];
  const up = context.push(flow, 'mix', 'device', `adopt layer.${layer}`, after, () => ({
    kind: 'adopt',
    frame,
    layer,
    rows,
    found: found(),
  }));
  for (const task of [down, up]) {
    task.bytes = rows * context.costs.hiddenBytes;
    task.productRows = 0;
  }
  up.frees = frees;
  flow.last = up.id;
}

function attention(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
  after: readonly number[],
): OpenTask {
  const task = context.push(flow, 'attention', 'host', `attention layer.${layer}`, after, () =>
    hostAttentionOp(context, flow, layer, group),
  );
  scoresAndProjects(context, task, flow, layer);
  routes(context, task, flow, layer);
  return task;
}

function hostAttentionOp(
  context: PassContext,
  flow: Flow,
  layer: number,
  group: WeightGroup,
): HostAttentionOp {
  const { costs, request } = context;
  const { frame, rows, feeds } = flow;
  return {
    kind: 'host-attention',
    frame,
    layer,
    rows,
    cacheBytes: loadOf(context, flow, layer).cacheBytes,
    ...cacheFields(costs.layers[layer].attention, feeds),
    weights: storedWeights(context.layoutOf(group), request.stream.stagedAddressOf(request.pass, group)),
    foresees: context.foreseen(flow, layer),
  };
}

/** What the task returns, for those that follow it. */
function keepResult<Result>(task: OpenTask): () => Result {
  const { onEnd } = task;
  let kept: unknown;
  task.onEnd = (result) => {
    kept = result;
    onEnd?.(result);
  };
  return () => kept as Result;
}
