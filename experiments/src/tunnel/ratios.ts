/** The ratios that make one run resemble another, and how far apart two runs are in them. */

import {
  activationBytes,
  type Checkpoint,
  cacheBytesPerToken,
  computeLane,
  expertElements,
  interpolate,
  type LayerSpec,
  limitsOf,
  type MachineModel,
  type PolicyInput,
  weightBytes,
} from '@specoffload/engine';
import type { PassLoads, RunCourse } from './loads.js';

/** What a ratio is called, in the order of tables and files. */
export const ratioNames = [
  'draft over pass',
  'link over pass',
  'arithmetic over pass',
  'attention over pass',
  'host arithmetic over device arithmetic',
  'host arithmetic over pass',
  'weights read by the host over the link',
  'share of experts that a pass needs',
  'tokens per round',
  'prefill over run',
  'device memory over model',
  'host memory over model',
  'draft over model',
  'attention weights over device memory',
  'activations of all prompts over device memory',
  'KV cache over device memory',
  'kept draft cache over device memory',
] as const;

export type RatioName = (typeof ratioNames)[number];

export type Ratios = Readonly<Record<RatioName, number>>;

export interface RatioPair {
  readonly name: RatioName;
  readonly theirs: number;
  readonly ours: number;
}

/** A run as far as ratios look at it. */
export interface Situation {
  readonly loads: PassLoads;
  /** Of the whole run. */
  readonly course: Pick<RunCourse, 'tokensPerRound' | 'prefillShare'>;
  readonly machine: MachineModel;
  readonly target: Checkpoint;
  readonly draft: Checkpoint;
  /** Of a full batch that verifies. */
  readonly policy: PolicyInput;
  /** Of all sequences that are in flight. */
  readonly promptLengths: readonly number[];
  readonly maxNewTokens: number;
}

export function ratiosOf(situation: Situation): Ratios {
  const { loads, course, machine, target, draft } = situation;
  const { passSeconds } = loads;
  const { formats } = machine;
  const memory = limitsOf(machine);
  const { deviceCacheFactor = 1, draftCacheFactor = 1 } = memory;
  const rows = rowsPerExpert(situation);
  const hostRate = productRate(machine, 'host', rows);
  return {
    'draft over pass': loads.draftSeconds / passSeconds,
    'link over pass': loads.linkSeconds / passSeconds,
    'arithmetic over pass': loads.deviceSeconds / passSeconds,
    'attention over pass': loads.hostSeconds / passSeconds,
    'host arithmetic over device arithmetic': hostRate / productRate(machine, 'device', rows),
    'host arithmetic over pass': expertFlops(target, rows) / hostRate / passSeconds,
    'weights read by the host over the link':
      computeLane(machine, 'host').memoryBytesPerSecond /
      widening(target, formats) /
      (loads.linkBytes / loads.linkSeconds),
    'share of experts that a pass needs': shareOfExperts(situation),
    'tokens per round': course.tokensPerRound,
    'prefill over run': course.prefillShare,
    // A device that holds weights as fp32 holds half as many of them.
    'device memory over model': memory.deviceBytes / (target.bytes * widening(target, formats)),
    'host memory over model': memory.hostBytes / target.bytes,
    'draft over model': draft.bytes / target.bytes,
    'attention weights over device memory':
      (attentionBytes(target) * widening(target, formats)) / memory.deviceBytes,
    'activations of all prompts over device memory': prefillBytes(situation) / memory.deviceBytes,
    'KV cache over device memory': (deviceCacheFactor * cacheBytesOf(target, situation)) / memory.deviceBytes,
    'kept draft cache over device memory':
      (draftCacheFactor * cacheBytesOf(draft, situation)) / memory.deviceBytes,
  };
}

/** What a layer-major prefill of all prompts holds: two hidden states of every token, and the normed one. */
function prefillBytes({ target, machine, promptLengths }: Situation): number {
  const tokens = promptLengths.reduce((sum, length) => sum + length, 0);
  return activationBytes(machine.formats, 3 * tokens * target.spec.hiddenSize);
}

/** Keys and values of all sequences at their end. */
export function cacheBytesOf(
  { spec }: Checkpoint,
  { machine, promptLengths, maxNewTokens }: Pick<Situation, 'machine' | 'promptLengths' | 'maxNewTokens'>,
): number {
  const tokens = promptLengths.reduce((sum, length) => sum + length + maxNewTokens, 0);
  return tokens * cacheBytesPerToken(spec, machine.formats);
}

/** Rows of an expert's products in a pass that verifies a full batch, whose experts share the work. */
export function rowsPerExpert({ target, policy }: Pick<Situation, 'target' | 'policy'>): number {
  const { decodeBatch = 1, candidates = 1 } = policy;
  return (
    decodeBatch *
    (candidates + 1) *
    meanOf(target, ({ expertsPerToken, numExperts }) => expertsPerToken / numExperts)
  );
}

/** Of a pass over all sequences that speculates nothing: what `experts: routed` has to bring. */
function shareOfExperts({ target, promptLengths }: Situation): number {
  return meanOf(
    target,
    ({ expertsPerToken, numExperts }) => 1 - (1 - expertsPerToken / numExperts) ** promptLengths.length,
  );
}

/** Over the layers. */
function meanOf({ spec: { layers } }: Checkpoint, pick: (ffn: LayerSpec['ffn']) => number): number {
  return layers.reduce((sum, { ffn }) => sum + pick(ffn), 0) / layers.length;
}

function attentionBytes({ layers }: Checkpoint): number {
  return layers.reduce((sum, { attention }) => sum + attention.storedBytes, 0);
}

/** FLOP/s of an expert's products. */
export function productRate(machine: MachineModel, lane: 'host' | 'device', rows: number): number {
  const { kinds, arithmetic } = computeLane(machine, lane);
  return interpolate(kinds.expert?.arithmetic ?? arithmetic)(rows);
}

/** Operations of all experts of a pass. */
export function expertFlops({ spec }: Checkpoint, rows: number): number {
  const elementsOf = (layer: LayerSpec) => layer.ffn.numExperts * expertElements(spec, layer);
  return 2 * rows * spec.layers.reduce((sum, layer) => sum + elementsOf(layer), 0);
}

/** Bytes that the device holds for each byte stored. */
export function widening({ tensors, bytes }: Checkpoint, formats: MachineModel['formats']): number {
  let deviceBytes = 0;
  for (const ref of tensors.values()) deviceBytes += weightBytes(formats, ref);
  return deviceBytes / bytes;
}

export function pairRatios(theirs: Ratios, ours: Ratios): RatioPair[] {
  return ratioNames.map((name) => ({ name, theirs: theirs[name], ours: ours[name] }));
}

/** Sum of squares of the logarithms of ours / theirs: a ratio twice as large is as wrong as one half as large. */
export function distance(pairs: readonly RatioPair[]): number {
  return pairs.reduce((sum, { theirs, ours }) => sum + Math.log(ours / theirs) ** 2, 0);
}

/** Within a tenth. */
export function isMatched({ theirs, ours }: RatioPair): boolean {
  return Math.abs(Math.log(ours / theirs)) < Math.log(1.1);
}
