/** Which policies a planner looks at: one value of every coordinate, as far as machine, workload and caller allow. */

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
import type { AxisName } from '../schedule/policy-fields.js';
import {
  type Strategy,
  type StrategyName,
  speculationsOf,
  strategyNames,
  strategies as strategyTable,
  usesDraft,
} from '../schedule/strategies/index.js';
import type { Acceptance } from '../speculate/acceptance.js';
import { type AxesRequest, valuesBetween, valuesOfAxes } from './axis-values.js';

/** One of those who may propose, and how often it is right. */
export interface Proposer {
  readonly drafter: DrafterName | Drafter;
  /** Null for a drafter without a model of its own. */
  readonly draft: Checkpoint | null;
  readonly acceptance: Acceptance;
  /** Fields for which the acceptance holds. */
  readonly policy?: PolicyInput;
}

export interface SpaceRequest extends AxesRequest {
  readonly draft: Checkpoint | null;
  /** @default model: the draft model */
  readonly drafter?: DrafterName | Drafter | undefined;
  /** In place of draft, drafter and acceptance: a planner chooses among them. */
  readonly proposers?: readonly Proposer[] | undefined;
  /** The same target, stored otherwise, to choose among. */
  readonly storedOtherwise?: readonly Checkpoint[] | undefined;
  /** Leaves out every other strategy. */
  readonly strategies?: readonly StrategyName[];
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

/** One choice among a few. */
export interface Coordinate {
  readonly name: AxisName;
  readonly values: readonly PolicyInput[];
  /** What a climb tries besides. */
  readonly between: readonly PolicyInput[];
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
    const between: Partial<Record<AxisName, readonly PolicyInput[]>> = valuesBetween(request);
    const coordinates = (
      Object.entries(valuesOfAxes(request, batches)) as [AxisName, readonly PolicyInput[]][]
    ).flatMap(([name, values]) => {
      if (!isPlanned(strategy, name)) return [];
      if (name === 'outcomes' && speculation !== 'ahead') return [];
      if (name === 'joinBatches' && speculation !== 'interleaved') return [];
      if (drafting.includes(name) && !(usesDraft({ speculation }) && heeded.includes(name))) return [];
      // A field that the caller has settled stays as it is; what else a value says still counts.
      const left = values.filter(isAllowed);
      return left.length > 0
        ? [{ name, values: left, between: (between[name] ?? []).filter(isAllowed) }]
        : [];
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
