/**
 * One pass of the target over one or more frames: the graph of a forward pass whose weights arrive through the
 * stream, whose attention runs on the host and whose products run on the device.
 *
 * Per layer: project (device) -> attention (host) -> mix (device) -> experts in ascending order (device), each as
 * soon as its weights are there. All frames pass a layer before its weights are freed.
 */

import { sequenceFields } from '@specoffload/native';
import type { ModelConfig, WeightGroup } from '../model/types.js';
import type { Sequence } from '../speculate/sequence.js';
import type { PhaseName } from '../trace/types.js';
import type { GroupLayout } from './group-layout.js';
import type { HeadResult, MixResult } from './ops.js';
import type { ModelPlacement } from './placement.js';
import type { Task } from './task.js';
import type { WeightStream } from './weight-stream.js';
import { attentionWeights, expertWeights, type TaskIds } from './work.js';

/** Tokens that one sequence sends through the target. */
export interface Feed {
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  /** Tokens of the sequence that the cache already holds. */
  readonly cached: number;
}

/** The rows that go through the layers together, and the rows among them whose choice is wanted. */
export interface Frame {
  readonly batch: number;
  readonly feeds: readonly Feed[];
  readonly headRows: Int32Array;
}

export interface TargetPass {
  readonly tasks: readonly Task[];
  /** Per frame: the task after which `results` holds the head's output. */
  readonly heads: readonly number[];
  readonly results: (HeadResult | null)[];
}

export function buildTargetPass(
  placement: ModelPlacement,
  stream: WeightStream,
  ids: TaskIds,
  pass: number,
  phase: PhaseName,
  frames: readonly Frame[],
  wantsLogits = false,
): TargetPass {
  const { config, layers } = placement.checkpoint;
  const tasks: Task[] = [];
  const results: (HeadResult | null)[] = frames.map(() => null);
  const flows = frames.map((frame, index) => createFlow(config, frame, index));
  const common = { phase, pass, priority: pass } as const;
  const layoutOf = (id: string) => placement.layouts.get(id) as GroupLayout;
  for (const flow of flows)
    flow.last = push(tasks, {
      ...common,
      ...flow.task(ids, 'embed', `embed batch ${flow.batch}`, 'device'),
      after: [],
      bytes: flow.rows * config.hiddenSize * 4,
      flops: 0,
      createOp: () => ({ kind: 'embed', frame: flow.index, ids: flow.tokens }),
    });

  for (const [layer, { attention, experts }] of layers.entries()) {
    const attentionArrival = arrivalOf(stream, pass, attention);
    const projectionElements = config.hiddenSize * config.headDim * (config.numHeads + 2 * config.numKvHeads);
    const outputElements = config.hiddenSize * (config.headDim * config.numHeads + config.numExperts);
    for (const flow of flows) {
      const isLast = flow === flows.at(-1);
      const project = push(tasks, {
        ...common,
        ...flow.task(ids, 'project', `project layer.${layer}`, 'device'),
        after: [flow.last, ...attentionArrival],
        bytes: projectionElements * 4,
        flops: 2 * flow.rows * projectionElements,
        createOp: () => ({
          kind: 'project',
          ...{ frame: flow.index, layer, rows: flow.rows },
          weights: attentionWeights(layoutOf(attention.id), stream.addressOf(pass, attention)),
        }),
      });
      const attend = push(tasks, {
        ...common,
        ...flow.task(ids, 'attention', `attention layer.${layer}`, 'host'),
        after: [project],
        bytes: flow.cacheTokens * 2 * config.numKvHeads * config.headDim * 4,
        flops: 4 * flow.scores * config.numHeads * config.headDim,
        createOp: () => ({
          kind: 'attention',
          ...{ frame: flow.index, layer, rows: flow.rows },
          sequences: cacheFields(config, flow.feeds),
        }),
      });
      flow.last = push(tasks, {
        ...common,
        ...flow.task(ids, 'mix', `mix layer.${layer}`, 'device'),
        // After the previous frame's too, so that the last frame's is the weights' last user.
        after: [attend, ...lastOf(flows[flow.index - 1])],
        bytes: outputElements * 4,
        flops: 2 * flow.rows * outputElements,
        frees: isLast ? attentionArrival : [],
        createOp: () => ({
          kind: 'mix',
          ...{ frame: flow.index, layer, rows: flow.rows },
          weights: attentionWeights(layoutOf(attention.id), stream.addressOf(pass, attention)),
        }),
        onEnd: (result) => {
          flow.rowsPerExpert = (result as MixResult).rowsPerExpert;
        },
      });
    }
    for (const [expert, group] of experts.entries()) {
      const arrival = arrivalOf(stream, pass, group);
      for (const flow of flows) {
        const isLast = flow === flows.at(-1);
        const elements = 3 * config.hiddenSize * config.ffnSize;
        const expectedRows = (flow.rows * config.expertsPerToken) / config.numExperts;
        flow.last = push(tasks, {
          ...common,
          ...flow.task(ids, 'expert', `layer.${layer}.expert.${expert}`, 'device'),
          after: [flow.last, ...arrival, ...lastOf(flows[flow.index - 1])],
          bytes: elements * 4,
          flops: 2 * expectedRows * elements,
          get rows() {
            return flow.rowsPerExpert[expert] ?? expectedRows; // known once the router has chosen
          },
          frees: isLast ? arrival : [],
          isIdle: () => flow.rowsPerExpert[expert] === 0,
          createOp: () => ({
            kind: 'expert',
            ...{ frame: flow.index, layer, rows: flow.rows, expert },
            weights: expertWeights(layoutOf(group.id), stream.addressOf(pass, group)),
          }),
        });
      }
    }
  }

  const heads = flows.map((flow) => {
    const rowIndices = frames[flow.index].headRows;
    return push(tasks, {
      ...common,
      ...flow.task(ids, 'head', `head batch ${flow.batch}`, 'device'),
      rows: rowIndices.length,
      after: [flow.last],
      bytes: config.vocabSize * config.hiddenSize * 4,
      flops: 2 * rowIndices.length * config.vocabSize * config.hiddenSize,
      createOp: () => ({ kind: 'head', frame: flow.index, rowIndices, wantsLogits }),
      onEnd: (result) => {
        results[flow.index] = result as HeadResult;
      },
    });
  });
  return { tasks, heads, results };
}

/** One frame on its way through the layers. */
function createFlow(config: ModelConfig, { batch, feeds }: Frame, index: number) {
  const rows = feeds.reduce((sum, { ids }) => sum + ids.length, 0);
  const window = config.slidingWindow ?? Number.POSITIVE_INFINITY;
  let cacheTokens = 0;
  let scores = 0; // pairs of a new token and a key it sees
  for (const { ids, cached } of feeds) {
    cacheTokens += Math.min(cached + ids.length, window);
    for (let i = 1; i <= ids.length; i += 1) scores += Math.min(cached + i, window);
  }
  return {
    ...{ index, batch, feeds, rows, cacheTokens, scores },
    tokens: Int32Array.from(feeds.flatMap(({ ids }) => ids)),
    /** The task after which the frame's hidden state is complete. */
    last: -1,
    /** What the latest `mix` found: rows that chose each expert. */
    rowsPerExpert: [] as readonly number[],
    task: <K extends Task['kind'], L extends Task['lane']>(ids: TaskIds, kind: K, name: string, lane: L) => ({
      ...{ id: ids.next(), kind, name, lane, batch, rows },
    }),
  };
}

/** The native attention's description of each sequence's block, the same in every layer. */
export function cacheFields(
  config: ModelConfig,
  feeds: readonly Feed[],
  block: 'targetBlock' | 'draftBlock' = 'targetBlock',
): Float64Array {
  const fields = new Float64Array(feeds.length * sequenceFields);
  for (const [index, { sequence, ids, cached }] of feeds.entries()) {
    const { elementOffset, capacity } = sequence[block];
    const halfElements = config.numKvHeads * capacity * config.headDim;
    fields.set(
      [elementOffset, elementOffset + halfElements, capacity, cached, ids.length],
      index * sequenceFields,
    );
  }
  return fields;
}

/** The upload that a group's users wait for and the last of them frees; none when the group is pinned. */
function arrivalOf(stream: WeightStream, pass: number, group: WeightGroup): readonly number[] {
  const arrival = stream.arrival(pass, group);
  return arrival === null ? [] : [arrival];
}

/** The previous frame's latest task, none for the first frame: frames pass a weight's users one after the other. */
function lastOf(previous: { readonly last: number } | undefined): readonly number[] {
  return previous ? [previous.last] : [];
}

function push(tasks: Task[], task: Task): number {
  tasks.push(task);
  return task.id;
}
