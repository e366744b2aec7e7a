/**
 * One pass of the target over one or more frames: the graph of a forward pass whose weights arrive through the
 * stream, and whose steps run where the policy puts them. All frames pass a layer before its weights are freed.
 *
 * Per layer: attention, then experts in ascending order, each as soon as its weights are there.
 */

import { drawRows } from '../speculate/row-draws.js';
import { attend } from './attention-tasks.js';
import { feedTokens, verifiedText } from './feeds.js';
import { feedForward } from './ffn-tasks.js';
import { choosesTokens } from './layer-costs.js';
import type { HeadResult } from './ops.js';
import { type Flow, PassContext, type PassRequest } from './pass-context.js';
import type { Task } from './task.js';

export interface TargetPass {
  readonly tasks: readonly Task[];
  /** Per frame: the task after which `results` holds the head's output. */
  readonly heads: readonly number[];
  readonly results: (HeadResult | null)[];
}

export function buildTargetPass(request: PassRequest): TargetPass {
  const context = new PassContext(request);
  const results: (HeadResult | null)[] = request.frames.map(() => null);
  for (const flow of context.flows) embed(context, flow);
  for (const [layer, { attention, experts }] of context.placement.checkpoint.layers.entries()) {
    attend(context, layer, attention);
    const routers = context.latest();
    for (const [expert, group] of experts.entries()) feedForward(context, layer, expert, group, routers);
  }
  const heads = context.flows.map((flow) => chooseTokens(context, flow, results));
  return { tasks: context.tasks, heads, results };
}

function embed(context: PassContext, flow: Flow): void {
  const task = context.push(flow, 'embed', 'device', `embed batch ${flow.batch}`, [], () => ({
    kind: 'embed',
    frame: flow.frame,
    ids: feedTokens(flow.feeds),
  }));
  task.bytes = flow.rows * context.costs.hiddenBytes;
  flow.last = task.id;
}

/** The head, for the rows whose choice is wanted; its result goes to `results`. */
function chooseTokens(context: PassContext, flow: Flow, results: (HeadResult | null)[]): number {
  const { frames, wantsLogits = false, sampling } = context.request;
  const { frame, index, batch, last, stores } = flow;
  const { headRows: rowIndices, feeds } = frames[index];
  const rows = rowIndices.length;
  const task = context.push(flow, 'head', 'device', `head batch ${batch}`, [last, ...stores], () => ({
    kind: 'head',
    ...{ frame, rowIndices, wantsLogits },
    draws: sampling ? drawRows(sampling, feeds.map(verifiedText)) : undefined,
  }));
  choosesTokens(task, context.costs, rows);
  task.imagine = () => imagineHead(rows);
  task.onEnd = (result) => {
    results[index] = result as HeadResult;
  };
  return task.id;
}

const noLeads = new Float32Array();

/** In a prediction the target always chooses token 0, and no choice is close. */
function imagineHead(rows: number): HeadResult {
  return { ids: new Int32Array(rows), margins: noLeads, routerMargins: noLeads, logits: null };
}
