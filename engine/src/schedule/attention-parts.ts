/** What attention tasks on any lane say of their work, and of the router that ends them. */

import { projectsAndMixes, scores } from './layer-costs.js';
import type { MixResult } from './ops.js';
import { type Flow, type FlowLoad, type PassContext, unrouted } from './pass-context.js';
import type { OpenTask } from './task.js';

export function loadOf({ costs }: PassContext, { loads }: Flow, layer: number): FlowLoad {
  return loads[costs.layers[layer].kind];
}

export function scoresAndProjects(context: PassContext, task: OpenTask, flow: Flow, layer: number): void {
  scores(task, loadOf(context, flow, layer));
  projectsAndMixes(task, context.costs.layers[layer], flow.rows);
}

/** Lets the task's end tell how many of the frame's rows chose each expert. Groups of several need not know. */
export function routes(context: PassContext, task: OpenTask, flow: Flow, layer: number): void {
  const { costs, request } = context;
  const { numExperts, expertsPerToken, expertsPerGroup } = costs.layers[layer];
  if (expertsPerGroup > 1) return;
  const { rows } = flow;
  const routing = { ...unrouted };
  flow.routing = routing;
  const next = context.foreseen(flow, layer);
  task.imagine = (oracle) => ({
    rowsPerExpert: oracle.chooseExperts(rows, numExperts, expertsPerToken, layer),
    foreseen: next.map((to) => {
      const { numExperts, expertsPerToken } = costs.layers[to];
      return oracle.foreseeExperts(rows, numExperts, expertsPerToken, to, to - layer);
    }),
  });
  task.onEnd = (result) => {
    routing.result = result as MixResult;
    if (numExperts > 1) request.onRouted?.(layer, routing.result);
  };
}
