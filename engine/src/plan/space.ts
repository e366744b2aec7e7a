/** Which policies a planner looks at: one value of every coordinate, as far as machine, workload and caller allow. */

import type { MachineModel } from '../machine/machine-model.js';
import { formatOf } from '../model/packed.js';
import type { Checkpoint } from '../model/types.js';
import type { Drafter } from '../schedule/drafter.js';
import { type DrafterName, drafterNamed } from '../schedule/drafters.js';
import {
  type AllowedValues,
  draftFieldNames,
  type Policy,
  type PolicyInput,
  policyFields,
} from '../schedule/policy.js';
import type { AxisName, FieldsOn } from '../schedule/policy-fields.js';
import {
  type Strategy,
  type StrategyName,
  speculationsOf,
  strategyNames,
  strategies as strategyTable,
  usesDraft,
} from '../schedule/strategies/index.js';
import type { Acceptance } from '../speculate/acceptance.js';

/** One of those who may propose, and how often it is right. */
export interface Proposer {
  readonly drafter: DrafterName | Drafter;
  /** Null for a drafter without a model of its own. */
  readonly draft: Checkpoint | null;
  readonly acceptance: Acceptance;
  /** Fields for which the acceptance holds. */
  readonly policy?: PolicyInput;
}

export interface SpaceRequest {
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  /** @default model: the draft model */
  readonly drafter?: DrafterName | Drafter | undefined;
  readonly acceptance?: Acceptance | null;
  /** In place of draft, drafter and acceptance: a planner chooses among them. */
  readonly proposers?: readonly Proposer[] | undefined;
  /** The same target, stored otherwise, to choose among. */
  readonly storedOtherwise?: readonly Checkpoint[] | undefined;
  readonly numPrompts: number;
  /** What computes. @default a device that reads no host memory where it lies */
  readonly machine?: Pick<MachineModel, 'formats' | 'measuredUnder'>;
  /** Leaves out every other strategy. */
  readonly strategies?: readonly StrategyName[];
  /** Fields that the caller has settled. */
  readonly fixed?: PolicyInput;
  readonly allowed?: AllowedValues;
}

/** A policy and the strategy it is for. */
export interface Contender {
  readonly strategy: StrategyName;
  readonly policy: PolicyInput;
  /** Where there is a choice among several. */
  readonly proposer?: Proposer | undefined;
  /** As it is stored, where that is not as the job has it. */
  readonly target?: Checkpoint | undefined;
}

/** @returns null where there was no choice, or nobody proposes */
export function nameOf(proposer: Proposer | undefined): string | null {
  if (!proposer) return null;
  return typeof proposer.drafter === 'string' ? proposer.drafter : proposer.drafter.name;
}

/** What a contender chooses beside strategy and policy: the same text for the same choice, none where there was none. */
export function chosenBeside({ proposer, target }: Pick<Contender, 'proposer' | 'target'>): string {
  const who = proposer ? ` ${nameOf(proposer)}` : '';
  return target ? `${who} ${formatOf(target)}` : who;
}

/** Every axis that a policy field names, and no other; a value may settle several fields that only make sense together. */
type AxisValues = { readonly [Axis in AxisName]: readonly Partial<Pick<Policy, FieldsOn<Axis>>>[] };

/** One choice among a few. */
export interface Coordinate {
  readonly name: AxisName;
  readonly values: readonly PolicyInput[];
}

/** A way of speculating: where a search begins, and what it may change. */
export interface Family extends Pick<Contender, 'strategy' | 'proposer' | 'target'> {
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
        strategy: name,
        speculation,
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
const batching: readonly string[] = [
  'batch',
  'prefillBatch',
  'prefillOrder',
  'microBatch',
  'pinned',
] satisfies AxisName[];
const axesOf = (fields: readonly (keyof Policy)[]): readonly string[] =>
  fields.flatMap((name): readonly string[] => {
    const { axis } = policyFields[name];
    return 'notSearched' in axis ? [] : axis;
  });
const drafting = axesOf(draftFieldNames);

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

/** Whatever decides most about memory. */
const startAxes: readonly AxisName[] = ['batch', 'draftCache', 'places', 'prefetch', 'prefillBatch'];

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

const copied = { keptExperts: 'copied', keptAttention: 'copied' } as const;
/** What kernels read where it lies in host memory. */
const waysOfKept: AxisValues['inPlace'] = [
  copied,
  { ...copied, keptExperts: 'in-place' },
  { keptExperts: 'in-place', keptAttention: 'in-place' },
];

/** A cap of the link is what such reading passes by. */
function readsHostUncapped(machine: SpaceRequest['machine']): boolean {
  return machine?.formats.hostReach !== undefined && machine.measuredUnder?.linkBytesPerSecond === undefined;
}

/** The families of the target as the job has it stored, then those of each other way. */
export function planSpace(request: SpaceRequest): Family[] {
  const { storedOtherwise = [] } = request;
  return [
    ...familiesByProposer(request),
    ...storedOtherwise.flatMap((target) =>
      familiesByProposer({ ...request, target }).map((family) => ({ ...family, target })),
    ),
  ];
}

function familiesByProposer(request: SpaceRequest): Family[] {
  const { proposers } = request;
  if (!proposers) return familiesFor(request);
  const alone = familiesFor({ ...request, draft: null, drafter: 'model' });
  return [
    ...alone,
    ...proposers.flatMap((proposer) =>
      familiesFor({ ...request, ...proposer, fixed: { ...request.fixed, ...proposer.policy } })
        .filter(({ speculation }) => usesDraft({ speculation }))
        .map((family) => ({ ...family, proposer })),
    ),
  ];
}

/** The most candidates in a round for which the acceptance says how many are accepted. */
function mostAnswered(acceptance: Acceptance | null): number {
  if (acceptance === null) return Number.POSITIVE_INFINITY;
  if (acceptance.kind === 'recorded') return acceptance.candidates;
  return acceptance.byPosition.length === 1 ? Number.POSITIVE_INFINITY : acceptance.byPosition.length;
}

/** Of one who proposes. */
function familiesFor(request: SpaceRequest): Family[] {
  const { strategies, allowed = {} } = request;
  const drafter = drafterNamed(request.drafter, request.draft);
  const heeded = axesOf(drafter?.heeds ?? []);
  return familiesOf(strategies, drafter !== null).flatMap(({ strategy, speculation, settled }) => {
    const fixed = { ...settled, ...request.fixed };
    const isAllowed = (values: PolicyInput) => agrees(values, fixed) && within(values, allowed);
    if (!isAllowed({ speculation })) return [];
    const batches = fixed.batches ?? strategyTable[strategy].defaults.batches;
    const coordinates = (
      Object.entries(valuesOfAxes(request, batches)) as [AxisName, readonly PolicyInput[]][]
    ).flatMap(([name, values]) => {
      if (!isPlanned(strategy, name)) return [];
      if (name === 'outcomes' && speculation !== 'ahead') return [];
      if (name === 'joinBatches' && speculation !== 'interleaved') return [];
      if (drafting.includes(name) && !(usesDraft({ speculation }) && heeded.includes(name))) return [];
      // A field that the caller has settled stays as it is; what else a value says still counts.
      const left = values.filter(isAllowed);
      return left.length > 0 ? [{ name, values: left }] : [];
    });
    const first = Object.assign({}, ...coordinates.map(({ values }) => values[0])) as PolicyInput;
    // In all combinations, the largest batches first.
    const starts = startAxes
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

/** What each axis tries, in the order of a search; values first that ask for least memory. */
function valuesOfAxes(
  { target, numPrompts, fixed = {}, acceptance = null, machine }: SpaceRequest,
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
