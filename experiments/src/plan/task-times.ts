/** How long the tasks of a run take, each kind on average: what SpecOffload's own planner gets from its hardware profile. */

import { type PhaseName, type SimulationRequest, type Span, UserError } from '@specoffload/engine';

/** Seconds. */
export interface TaskTimes {
  /** One layer's attention for one batch, on the host. */
  readonly attention: number;
  /** One layer's weights over the link. */
  readonly transfer: number;
  /** One layer's FFN for one batch, on the device, with its share of embedding and head. */
  readonly ffn: number;
  /** The draft's first step for one draft batch: it reads the whole context. */
  readonly draftFirst: number;
  /** Each further step. */
  readonly draftStep: number;
  /** One layer for one micro-batch of prompts: its weights, then its arithmetic. */
  readonly prefillLayer: number;
}

/**
 * Means over a predicted or measured run of SpecOffload as published.
 * @throws UserError when the run has no decode, or proposed nothing.
 */
export function meanTaskTimes(
  spans: readonly Span[],
  target: SimulationRequest['target'],
  candidates: number,
): TaskTimes {
  const numLayers = target.layers.length;
  const secondsOf = (chosen: readonly Span[]) =>
    chosen.reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
  const meanOf = (chosen: readonly Span[], count: number, what: string) => {
    if (chosen.length === 0 || count === 0)
      throw new UserError(`the run has no ${what}; expected one that speculates and decodes`);
    return secondsOf(chosen) / count;
  };
  const tasksOf = (phase: PhaseName, wanted: (span: Span) => boolean) =>
    spans.filter((span) => span.phase === phase && span.pass >= 0 && wanted(span));
  const isTargets = ({ lane, kind }: Span) => lane === 'device' && kind !== 'draft';
  const isUpload = ({ kind }: Span) => kind === 'upload';
  const layersOf = (phase: PhaseName) =>
    numLayers * new Set(tasksOf(phase, isTargets).map(({ pass, batch }) => `${pass} ${batch}`)).size;
  const attention = tasksOf('decode', ({ lane, kind }) => lane === 'host' && kind === 'attention');
  const uploads = tasksOf('decode', isUpload);
  const first = tasksOf('decode', ({ kind, name }) => kind === 'draft' && name.endsWith(' step 0'));
  const further = tasksOf('decode', ({ kind, name }) => kind === 'draft' && !name.endsWith(' step 0'));
  const prefill = tasksOf('prefill', (span) => isUpload(span) || isTargets(span));
  const heads = tasksOf('prefill', ({ kind }) => kind === 'head').length;
  return {
    attention: meanOf(attention, attention.length, 'attention on the host'),
    transfer: meanOf(uploads, uploads.length, 'weights that travel'),
    ffn: meanOf(tasksOf('decode', isTargets), layersOf('decode'), 'work of the target on the device'),
    draftFirst: meanOf(first, first.length, 'draft'),
    draftStep: candidates > 1 ? meanOf(further, first.length * (candidates - 1), 'draft') : 0,
    prefillLayer: meanOf(prefill, heads * numLayers, 'prefill'),
  };
}
