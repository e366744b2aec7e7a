/** Which policies a planner looks at: one value of every coordinate, as far as machine, workload and caller allow. */

import type { Checkpoint } from '../model/types.js';
import type { Policy, PolicyInput } from '../schedule/policy.js';
import {
  type Strategy,
  type StrategyName,
  speculationsOf,
  strategyNames,
  strategies as strategyTable,
  usesDraft,
} from '../schedule/strategies/index.js';

/** Values that a field is held to, such as `localPolicyFields`. */
export type AllowedValues = { readonly [Field in keyof Policy]?: readonly Policy[Field][] };

export interface SpaceRequest {
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  readonly numPrompts: number;
  /** Of which nothing says what more are worth. @default no such limit */
  readonly mostCandidates?: number;
  /** Leaves out every other strategy. */
  readonly strategies?: readonly StrategyName[];
  /** Fields that the caller has settled. */
  readonly fixed?: PolicyInput;
  readonly allowed?: AllowedValues;
}

/** A policy and the strategy it is for. */
export interface Candidate {
  readonly strategy: StrategyName;
  readonly policy: PolicyInput;
}

/** One choice among a few; a value may settle several fields that only make sense together. */
export interface Coordinate {
  readonly name: string;
  readonly values: readonly PolicyInput[];
}

/** A way of speculating: where a search begins, and what it may change. */
export interface Family {
  readonly strategy: StrategyName;
  readonly speculation: Policy['speculation'];
  /** The first of these that fits is where a search begins. */
  readonly starts: readonly PolicyInput[];
  readonly coordinates: readonly Coordinate[];
}

/** This project's own strategies, which are planned in every respect, unless the caller names others. */
const own = strategyNames.filter((name) => strategyTable[name].planned === 'everything');

/**
 * How a strategy may be planned: this project's own in every respect, a competitor only in its batches and, where the
 * caller asks for it, with a draft. What makes it that system stays as it is.
 */
function familiesOf(strategies: readonly StrategyName[] = own, hasDraft: boolean) {
  const competitors = strategies.filter((name) => !own.includes(name));
  return [...own.filter((name) => strategies.includes(name)), ...competitors].flatMap((name) =>
    speculationsOf(strategyTable[name])
      .filter((speculation) => !usesDraft({ speculation }) || hasDraft)
      .map((speculation) => ({
        ...{ strategy: name, speculation },
        settled: settledBy(strategyTable[name]),
      })),
  );
}

/** Whether any policy that is planned may need a draft: of one's own ways, and of a competitor with one added. */
export function planMaySpeculate({
  strategies,
  fixed = {},
}: Pick<SpaceRequest, 'strategies' | 'fixed'>): boolean {
  return familiesOf(strategies, true).some(
    ({ speculation }) => usesDraft({ speculation }) && agrees({ speculation }, fixed),
  );
}

/** What is planned of a competitor. */
const batching = ['batch', 'prefillBatch', 'prefillOrder', 'microBatch', 'pinned'];
const drafting = ['candidates', 'draftCache', 'draftBatch', 'draftPlacement'];

function isPlanned(strategy: StrategyName, coordinate: string): boolean {
  const { planned } = strategyTable[strategy];
  return planned === 'everything' || [...batching, ...drafting, ...planned].includes(coordinate);
}

/** What is not for a planner to find: everything else that a competitor's preset says defines it. */
function settledBy({ planned, defaults }: Strategy): PolicyInput {
  if (planned === 'everything') return {};
  const isFree = (field: string) => field === 'batches' || planned.includes(field as keyof Policy);
  return Object.fromEntries(Object.entries(defaults).filter(([field]) => !isFree(field)));
}

/** In how many waves the prompts go through. */
const waveCounts = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64];
const batchSizes = [8, 32, 64, 128, 256];
const candidateCounts = [1, 2, 3, 4, 6, 8, 12, 16];
const draftWindows = [64, 128, 256];

export function planSpace(request: SpaceRequest): Family[] {
  const { draft, strategies, allowed = {} } = request;
  return familiesOf(strategies, draft !== null).flatMap(({ strategy, speculation, settled }) => {
    const fixed = { ...settled, ...request.fixed };
    const isAllowed = (values: PolicyInput) => agrees(values, fixed) && within(values, allowed);
    if (!isAllowed({ speculation })) return [];
    const batches = fixed.batches ?? strategyTable[strategy].defaults.batches;
    const coordinates = [
      ...commonCoordinates(request, batches),
      ...(usesDraft({ speculation }) ? draftCoordinates(request, batches) : []),
    ].flatMap(({ name, values }) => {
      if (!isPlanned(strategy, name)) return [];
      // A field that the caller has settled stays as it is; what else a value says still counts.
      const left = values.filter(isAllowed);
      return left.length > 0 ? [{ name, values: left }] : [];
    });
    const first = Object.assign({}, ...coordinates.map(({ values }) => values[0])) as PolicyInput;
    // Whatever decides most about memory, in all combinations, the largest batches first.
    const starts = ['batch', 'draftCache', 'places', 'prefetch', 'prefillBatch']
      .reduce<PolicyInput[]>(
        (made, name) => {
          const values = coordinates.find((coordinate) => coordinate.name === name)?.values ?? [{}];
          const tried = name === 'batch' || name === 'draftCache' ? values : [values[0], values.at(-1) ?? {}];
          return made.flatMap((policy) => [...new Set(tried)].map((value) => ({ ...policy, ...value })));
        },
        [first],
      )
      .map((policy) => ({ ...policy, speculation, batches, ...fixed }));
    return [{ strategy, speculation, starts, coordinates }];
  });
}

/** Values first that ask for least memory. */
function commonCoordinates({ target, numPrompts, fixed = {} }: SpaceRequest, batches: number): Coordinate[] {
  const perBatch = Math.ceil(numPrompts / batches);
  const decodeBatches = [...new Set(waveCounts.map((waves) => Math.ceil(perBatch / waves)))];
  const upTo = (most: number) => [...batchSizes.filter((size) => size < most), most];
  const largest = Math.min(fixed.decodeBatch ?? perBatch, perBatch);
  const perExpert = target.layers[0].experts.length > 1;
  return [
    { name: 'batch', values: decodeBatches.map((decodeBatch) => ({ decodeBatch, microBatch: decodeBatch })) },
    {
      name: 'places',
      values: [
        { attention: 'host', prefillAttention: 'device', projections: 'device', cache: 'host' },
        { attention: 'host', prefillAttention: 'host', projections: 'device', cache: 'host' },
        { attention: 'host', prefillAttention: 'device', projections: 'host', cache: 'host' },
        { attention: 'host', prefillAttention: 'host', projections: 'host', cache: 'host' },
        { attention: 'device', prefillAttention: 'device', projections: 'device', cache: 'host' },
        { attention: 'device', prefillAttention: 'device', projections: 'device', cache: 'device' },
      ],
    },
    {
      name: 'prefillBatch',
      values: startingAt(8, [...upTo(largest), 1]).map((prefillBatch) => ({ prefillBatch })),
    },
    { name: 'prefillOrder', values: [{ prefillOrder: 'batch-major' }, { prefillOrder: 'layer-major' }] },
    { name: 'microBatch', values: [1, 2, 4, 8].map((parts) => ({ microBatch: Math.ceil(largest / parts) })) },
    { name: 'prefetch', values: [{}, { prefetchDepth: 1 }, { prefetchDepth: 2 }, { prefetchDepth: 0 }] },
    { name: 'pinned', values: [{}, { pinnedLayers: 0 }] },
    {
      name: 'attentionWeights',
      values: [{ attentionWeights: 'streamed' }, { attentionWeights: 'resident' }],
    },
    { name: 'refill', values: [{ refill: 'no' }, { refill: 'yes' }] },
    { name: 'hostShare', values: [0, 0.1, 0.2, 0.35, 0.5].map((hostShare) => ({ hostShare })) },
    ...(perExpert
      ? [
          {
            name: 'experts',
            values: [
              { experts: 'all', hostExpertRows: 0 },
              { experts: 'routed', hostExpertRows: 0 },
              { experts: 'routed', hostExpertRows: 4 },
              { experts: 'routed', hostExpertRows: 16 },
            ] as const,
          },
        ]
      : []),
  ];
}

function draftCoordinates(
  { numPrompts, mostCandidates = Number.POSITIVE_INFINITY, fixed = {} }: SpaceRequest,
  batches: number,
): Coordinate[] {
  const perBatch = Math.ceil(numPrompts / batches);
  const largest = Math.min(fixed.decodeBatch ?? perBatch, perBatch);
  const sizes = [...batchSizes.filter((size) => size < largest), largest];
  const answered = candidateCounts.filter((count) => count <= mostCandidates);
  const counts = answered.length > 0 ? answered : candidateCounts;
  return [
    { name: 'candidates', values: startingAt(4, counts).map((candidates) => ({ candidates })) },
    {
      name: 'draftCache',
      values: [
        { draftCache: 'recompute' },
        { draftCache: 'resident' },
        ...draftWindows.map((draftWindow) => ({ draftCache: 'window', draftWindow }) as const),
      ],
    },
    { name: 'draftBatch', values: startingAt(8, sizes).map((draftBatch) => ({ draftBatch })) },
    { name: 'draftPlacement', values: [{ draftPlacement: 'after-prefill' }, { draftPlacement: 'start' }] },
  ];
}

/** The same values, the one nearest to `first` in front. */
function startingAt(first: number, values: readonly number[]): number[] {
  const start = values.reduce((best, value) =>
    Math.abs(value - first) < Math.abs(best - first) ? value : best,
  );
  return [start, ...values.filter((value) => value !== start)];
}

function agrees(values: PolicyInput, fixed: PolicyInput): boolean {
  return Object.entries(values).every(([field, value]) => {
    const wanted = fixed[field as keyof Policy];
    return wanted === undefined || wanted === value;
  });
}

function within(values: PolicyInput, allowed: AllowedValues): boolean {
  return Object.entries(values).every(([field, value]) => {
    const words = allowed[field as keyof Policy] as readonly unknown[] | undefined;
    return words === undefined || words.includes(value);
  });
}
