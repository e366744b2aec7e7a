/** The values that a planner tries of each axis: a few for all searches, and those between them for a climb. */

import type { MachineModel } from '../machine/machine-model.js';
import type { Checkpoint } from '../model/types.js';
import type { Policy, PolicyInput } from '../schedule/policy.js';
import type { AxisName, FieldsOn } from '../schedule/policy-fields.js';
import type { Acceptance } from '../speculate/acceptance.js';

/** What decides which values there are. */
export interface AxesRequest {
  readonly target: Checkpoint;
  readonly numPrompts: number;
  /** Fields that the caller has settled. */
  readonly fixed?: PolicyInput;
  readonly acceptance?: Acceptance | null;
  /** What computes. @default a device that reads no host memory where it lies */
  readonly machine?: Pick<MachineModel, 'formats' | 'measuredUnder'>;
}

/** Every axis that a policy field names, and no other; a value may settle several fields that only make sense together. */
export type AxisValues = { readonly [Axis in AxisName]: readonly Partial<Pick<Policy, FieldsOn<Axis>>>[] };

/** In how many waves the prompts go through. */
const waveCounts = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64];
const batchSizes = [8, 32, 64, 128, 256];
const candidateCounts = [1, 2, 3, 4, 6, 8, 12, 16];
const draftWindows = [64, 128, 256];

const dropped = { expertCache: 'none', expertPrefetch: 'none', foreseenLayers: 1 } as const;
const routed = { experts: 'routed', hostExpertRows: 0 } as const;
/** Of experts that stay or come ahead no part does: whoever tries them lets go of the host's share of each. */
const following = { ...routed, ...dropped, hostShare: 0 } as const;
const ahead = { ...following, expertPrefetch: 'router' } as const;
const staying = { expertCache: 'farthest' } as const;
/** Which experts come, when, and what becomes of them; and how many rows the host takes over. */
const waysOfExperts: AxisValues['experts'] = [
  { experts: 'all', hostExpertRows: 0, ...dropped },
  ...[0, 1, 4, 16].map((hostExpertRows) => ({ ...routed, hostExpertRows, ...dropped })),
  ahead,
  { ...ahead, foreseenLayers: 2 },
  { ...following, ...staying },
  { ...ahead, ...staying },
  { ...ahead, ...staying, foreseenLayers: 2, hostExpertRows: 4 },
];

const waysBetween: AxisValues['experts'] = [
  ...[2, 8].map((hostExpertRows) => ({ ...routed, hostExpertRows, ...dropped })),
  { ...following, ...staying, hostExpertRows: 4 },
  { ...ahead, foreseenLayers: 2, hostExpertRows: 4 },
  { ...ahead, ...staying, foreseenLayers: 3, hostExpertRows: 4 },
];

const copied = { keptExperts: 'copied', keptAttention: 'copied' } as const;
/** What kernels read where it lies in host memory. */
const waysOfKept: AxisValues['inPlace'] = [
  copied,
  { ...copied, keptExperts: 'in-place' },
  { keptExperts: 'in-place', keptAttention: 'in-place' },
];

/** A cap of the link is what such reading passes by. */
function readsHostUncapped(machine: AxesRequest['machine']): boolean {
  return machine?.formats.hostReach !== undefined && machine.measuredUnder?.linkBytesPerSecond === undefined;
}

/** The most candidates in a round for which the acceptance says how many are accepted. */
function mostAnswered(acceptance: Acceptance | null): number {
  if (acceptance === null) return Number.POSITIVE_INFINITY;
  if (acceptance.kind === 'recorded') return acceptance.candidates;
  return acceptance.byPosition.length === 1 ? Number.POSITIVE_INFINITY : acceptance.byPosition.length;
}

/** What each axis tries, in the order of a search; values first that ask for least memory. */
export function valuesOfAxes(
  { target, numPrompts, fixed = {}, acceptance = null, machine }: AxesRequest,
  batches: number,
): AxisValues {
  const perBatch = Math.ceil(numPrompts / batches);
  const largest = Math.min(fixed.decodeBatch ?? perBatch, perBatch);
  const decodeBatches = [...new Set(waveCounts.map((waves) => Math.ceil(perBatch / waves)))];
  const sizes = [...batchSizes.filter((size) => size < largest), largest];
  const mostCandidates = mostAnswered(acceptance);
  const answered = candidateCounts.filter((count) => count <= mostCandidates);
  return {
    batch: decodeBatches.map((decodeBatch) => ({ decodeBatch, microBatch: decodeBatch })),
    places: [
      { attention: 'host', prefillAttention: 'device', projections: 'device', cache: 'host' },
      { attention: 'host', prefillAttention: 'host', projections: 'device', cache: 'host' },
      { attention: 'host', prefillAttention: 'device', projections: 'host', cache: 'host' },
      { attention: 'host', prefillAttention: 'host', projections: 'host', cache: 'host' },
      { attention: 'device', prefillAttention: 'device', projections: 'device', cache: 'host' },
      { attention: 'device', prefillAttention: 'device', projections: 'device', cache: 'device' },
    ],
    prefillBatch: startingAt(8, [...sizes, 1]).map((prefillBatch) => ({ prefillBatch })),
    prefillOrder: [{ prefillOrder: 'batch-major' }, { prefillOrder: 'layer-major' }],
    microBatch: [1, 2, 4, 8].map((parts) => ({ microBatch: Math.ceil(largest / parts) })),
    prefetch: [{}, ...[1, 2, 3, 4, 0].map((prefetchDepth) => ({ prefetchDepth }))],
    pinned: [{}, { pinnedLayers: 0 }],
    residents: [{ residents: 'layers' }, { residents: 'tensors' }],
    inPlace: readsHostUncapped(machine) ? waysOfKept : [],
    attentionWeights: [{ attentionWeights: 'streamed' }, { attentionWeights: 'resident' }],
    refill: [{ refill: 'no' }, { refill: 'yes' }],
    hostShare: [0, 0.1, 0.2, 0.35, 0.5].map((hostShare) => ({ hostShare })),
    experts: target.layers.some(({ experts }) => experts.length > 1) ? waysOfExperts : [],
    coalesceExperts: [{ coalesceExperts: 'no' }, { coalesceExperts: 'yes' }],
    candidates: startingAt(4, answered.length > 0 ? answered : candidateCounts).map((candidates) => ({
      candidates,
    })),
    alternates: [
      { alternates: 0, alternateTokens: 1 },
      { alternates: 4, alternateTokens: 1 },
      { alternates: 2, alternateTokens: 4 },
      { alternates: 4, alternateTokens: 4 },
    ],
    adaptCandidates: [{ adaptCandidates: 'no' }, { adaptCandidates: 'yes' }],
    joinBatches: [{ joinBatches: 'no' }, { joinBatches: 'yes' }],
    outcomes: [1, 4, 8].map((outcomes) => ({ outcomes })),
    draftCache: [
      { draftCache: 'recompute' },
      { draftCache: 'resident' },
      ...draftWindows.map((draftWindow) => ({ draftCache: 'window', draftWindow }) as const),
    ],
    draftBatch: startingAt(8, sizes).map((draftBatch) => ({ draftBatch })),
    draftPlacement: [{ draftPlacement: 'after-prefill' }, { draftPlacement: 'start' }],
  };
}

/** Values between those, and beside them, that a climb tries besides: a search would have too many of them. */
export function valuesBetween({ target, acceptance = null }: AxesRequest): Partial<AxisValues> {
  const mostCandidates = mostAnswered(acceptance);
  const withExperts = target.layers.some(({ experts }) => experts.length > 1);
  return {
    prefetch: [6, 8].map((prefetchDepth) => ({ prefetchDepth })),
    hostShare: [0.05, 0.15, 0.25, 0.3, 0.4, 0.6].map((hostShare) => ({ hostShare })),
    experts: withExperts ? waysBetween : [],
    candidates: [5, 7, 10, 14]
      .filter((count) => count <= mostCandidates)
      .map((candidates) => ({ candidates })),
    alternates: [
      { alternates: 3, alternateTokens: 1 },
      { alternates: 3, alternateTokens: 3 },
    ],
    draftBatch: [2, 4, 16].map((draftBatch) => ({ draftBatch })),
  };
}

/** The same values, the one nearest to `first` in front. */
function startingAt(first: number, values: readonly number[]): number[] {
  const start = values.reduce((best, value) =>
    Math.abs(value - first) < Math.abs(best - first) ? value : best,
  );
  return [start, ...values.filter((value) => value !== start)];
}
