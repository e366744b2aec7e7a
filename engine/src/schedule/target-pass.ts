/**
 * One pass of the target over one or more frames: the graph of a forward pass whose weights arrive through the
 * stream, and whose steps run where the policy puts them. All frames pass a layer before its weights are freed.
 *
 * Per layer: attention, then experts in ascending order, each as soon as its weights are there.
 */

import { drawRows } from '../speculate/row-draws.js';
import { attend } from './attention-tasks.js';
import { followsRouters } from './expert-cache.js';
import { feedTokens, verifiedTexts } from './feeds.js';
import { feedForward } from './ffn-tasks.js';
import { choosesTokens, movesRows } from './layer-costs.js';
import type { HeadResult } from './ops.js';
import { type Flow, PassContext, type PassRequest } from './pass-context.js';
import type { Task } from './task.js';

/** Tasks to be added, and those of them to wait for: of every frame the last. */
export interface PassPart {
  readonly tasks: readonly Task[];
  readonly last: readonly number[];
}

export class TargetPass {
  /** Per frame: the head's output, when the last part has ended. */
  readonly results: (HeadResult | null)[];
  readonly #context: PassContext;

  constructor(request: PassRequest) {
    this.#context = new PassContext(request);
    this.results = request.frames.map(() => null);
  }

  /**
   * All at once; where experts stay or come ahead, layer by layer, each part made when the routers that end the one before have chosen:
   * only of what is needed it has to be found out then where it is.
   */
  *parts(): Generator<PassPart> {
    const context = this.#context;
    const { policy } = context.request;
    for (const flow of context.flows) embed(context, flow);
    for (const [layer, { attention, experts }] of context.placement.checkpoint.layers.entries()) {
      attend(context, layer, attention);
      const routers = context.latest();
      const isGrown = followsRouters(policy) && experts.length > 1;
      if (isGrown) {
        yield context.takePart();
        const chosen = experts.filter((_, expert) => isChosen(context, expert));
        context.request.stream.need(layer, chosen);
      }
      for (const [expert, group] of experts.entries())
        if (!isGrown || isChosen(context, expert)) feedForward(context, layer, expert, group, routers);
      if (isGrown) bringForeseen(context, layer);
    }
    for (const flow of context.flows) chooseTokens(context, flow, this.results);
    yield context.takePart();
  }
}

/** Of a layer's experts so many have to be chosen for all of them to come before its router is asked. */
export const nearlyAll = 0.9;

/** Behind what this layer needs, what the next ones are expected to: by their routers, or by how many rows choose. */
function bringForeseen(context: PassContext, layer: number): void {
  const { stream, pass, phase, policy } = context.request;
  if (policy.expertPrefetch === 'none') return;
  const next = context.placement.checkpoint.layers.slice(layer + 1, layer + 1 + policy.foreseenLayers);
  for (const [index, { experts }] of next.entries()) {
    const foreseen = new Set(context.flows.flatMap(({ routing }) => routing.result.foreseen?.[index] ?? []));
    if (foreseen.size > 0) {
      const groups = experts.filter((_, expert) => foreseen.has(expert));
      context.tasks.push(...stream.foresee(pass, phase, index + 1, groups));
    } else if (experts.length > 1 && chosenShare(context, layer + 1 + index) >= nearlyAll)
      context.tasks.push(...stream.expect(pass, phase, experts));
  }
}

/** Of a layer's experts those that some row of the pass chooses, were all as popular: nearly all where a prompt is read. */
function chosenShare({ flows, costs }: PassContext, layer: number): number {
  const { numExperts, expertsPerToken } = costs.layers[layer];
  const rows = flows.reduce((sum, flow) => sum + flow.rows, 0);
  return 1 - (1 - expertsPerToken / numExperts) ** rows;
}

function isChosen({ flows }: PassContext, expert: number): boolean {
  return flows.some(({ routing }) => routing.result.rowsPerExpert[expert] > 0);
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
function chooseTokens(context: PassContext, flow: Flow, results: (HeadResult | null)[]): void {
  const { frames, wantsLogits = false, sampling } = context.request;
  const { frame, index, batch, last, stores } = flow;
  const { headRows: rowIndices, feeds } = frames[index];
  const rows = rowIndices.length;
  const place = context.placeOf(context.placement.checkpoint.head);
  const task = context.push(flow, 'head', place, `head batch ${batch}`, [last, ...stores], () => ({
    kind: 'head',
    ...{ frame, rowIndices, wantsLogits },
    draws: sampling ? drawRows(sampling, feeds.flatMap(verifiedTexts)) : undefined,
  }));
  choosesTokens(task, context.costs, rows);
  const { hiddenBytes, headElements } = context.costs;
  const { hiddenSize } = context.spec;
  if (place !== 'device') movesRows(task, hiddenBytes, (hiddenBytes * headElements) / hiddenSize ** 2);
  task.imagine = () => imagineHead(rows);
  task.onEnd = (result) => {
    results[index] = result as HeadResult;
  };
  flow.last = task.id;
}

const noLeads = new Float32Array();

/** In a prediction the target always chooses token 0, and no choice is close. */
function imagineHead(rows: number): HeadResult {
  return { ids: new Int32Array(rows), margins: noLeads, routerMargins: noLeads, logits: null };
}
