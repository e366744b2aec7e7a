/**
 * The search: the closed form leads every family to a few good policies, the simulator sorts them on one seed and goes
 * on from the best, one coordinate at a time. What cannot win by its bound is never simulated. No clock and no
 * randomness: equal jobs give equal plans.
 */

import { formatOf } from '../model/packed.js';
import type { RunOutcome } from '../run/types.js';
import { mostOutcomes } from '../schedule/outcomes.js';
import type { PolicyInput } from '../schedule/policy.js';
import type { AxisName } from '../schedule/policy-fields.js';
import { type Appraisal, Appraiser, type PlanningJob } from './appraise.js';
import { Experience } from './experience.js';
import { type Contender, chosenBeside, type Family, nameOf } from './space.js';
import { predict } from './trials.js';

export interface SearchOptions {
  /** Simulations that a search may spend. @default 24 */
  readonly mostSimulations?: number;
  /** Policies that are tried in any case, before all others; those of no family are passed over. */
  readonly known?: readonly Contender[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SearchProgress) => void) | undefined;
}

export interface SearchProgress {
  readonly numSimulated: number;
  /** null once the finalists are tried: how many seeds they need shows on the way. */
  readonly mostSimulations: number | null;
  /** Best so far on the search's seed; 0 before the first simulation. */
  readonly tokensPerSecond: number;
}

/** A policy with its prediction. */
export interface Predicted {
  readonly contender: Contender;
  readonly outcome: RunOutcome;
  readonly appraisal: Appraisal;
}

export interface SearchResult {
  /** All that was simulated, fastest first. */
  readonly predicted: readonly Predicted[];
  /** Different policies looked at in closed form. */
  readonly numConsidered: number;
  /** Contenders refused for their memory. */
  readonly numRefused: number;
  readonly appraiser: Appraiser;
}

/** With draws that all policies share, more found nothing better on the machines and models of the tests. */
export const defaultSimulations = 24;
/** Sweeps over all coordinates, at most. */
const mostSweeps = 2;
/** Coordinates that may gain only together: more candidates pay where their rows and their cache cost little. */
const inPairs = [
  ['candidates', 'hostShare'],
  ['candidates', 'places'],
] as const satisfies readonly (readonly AxisName[])[];
/** Simulated at first: so many of all, and so many of each family. */
const firstOfAll = 6;
const firstOfFamily = 4;
/**
 * A bound is for the average course of acceptance; a draw may be so much luckier, most with few sequences: one sequence
 * of 32 tokens was up to 1.57 times as fast as in the middle of nine draws.
 */
const luckWith = (sequences: number) => 1 + Math.max(0.08, 0.6 / Math.sqrt(sequences));
/**
 * The closed form, corrected by what it erred by before, is trusted to this much where a policy of the same kind has been
 * simulated: what it puts further behind is not simulated.
 */
const trust = 0.05;
/** And where none has: in the wind tunnel simulations came to 0.52 to 1.18 of it, kind by kind. */
const firstTrust = 0.2;

/** @returns an empty list when nothing fits. */
export async function search(
  job: PlanningJob,
  families: readonly Family[],
  options: SearchOptions = {},
): Promise<SearchResult> {
  const { mostSimulations = defaultSimulations, known = [], signal, onProgress } = options;
  const appraiser = new Appraiser(job);
  const luck = luckWith(job.promptLengths.length);
  const predicted = new Map<string, Predicted>();
  const experience = new Experience();
  const best = () => fastest(predicted.values());
  const isPromising = (appraisal: Appraisal): boolean => {
    if (predicted.has(appraisal.key)) return false;
    const { tokensPerSecond, isOfKnownKind } = experience.estimate(appraisal);
    const leader = best()?.outcome.tokensPerSecond ?? 0;
    return tokensPerSecond > leader * (1 - (isOfKnownKind ? trust : firstTrust));
  };
  /** What promises most first, by what is known then; until nothing does any more. */
  const simulateAll = async (appraisals: readonly Appraisal[], isOver = () => false): Promise<void> => {
    let left = appraisals.filter(isPromising);
    while (left.length > 0 && !isOver() && predicted.size < mostSimulations) {
      const next = experience.mostPromising(left);
      await simulate(next);
      left = left.filter((other) => other !== next && isPromising(other));
    }
  };
  const simulate = async (appraisal: Appraisal, isWanted = false): Promise<void> => {
    if (predicted.has(appraisal.key) || predicted.size >= mostSimulations) return;
    if (!isWanted && [...predicted.values()].some(({ appraisal: known }) => predictsAlike(known, appraisal)))
      return;
    const leader = best();
    if (!isWanted && leader && appraisal.boundTokensPerSecond * luck < leader.outcome.tokensPerSecond) return;
    const { outcome } = await predict(job, appraisal.contender, signal);
    predicted.set(appraisal.key, { contender: appraisal.contender, outcome, appraisal });
    experience.add(appraisal, outcome.tokensPerSecond);
    onProgress?.({
      numSimulated: predicted.size,
      mostSimulations,
      tokensPerSecond: best()?.outcome.tokensPerSecond ?? 0,
    });
  };

  const leaders: Leader[] = [];
  for (const family of families) {
    signal?.throwIfAborted();
    const before = new Set(appraiser.appraisals);
    descend(family, family.starts, appraiser);
    // Both ways of storing the weights may have a good policy that the other one's descent does not come by.
    const twin = family.target && leaders.find((leader) => leader.family === twinOf(family, families));
    if (twin) descend(family, [twin.found[0].contender.policy], appraiser);
    const found = appraiser.appraisals.filter((appraisal) => !before.has(appraisal)).sort(byEstimate);
    if (found.length > 0) leaders.push({ family, found });
    await new Promise(setImmediate);
  }
  for (const contender of known) {
    const isOffered = familyOf(families, contender) !== undefined;
    const appraisal = isOffered ? appraiser.appraise(contender) : null;
    if (appraisal) await simulate(appraisal, true);
  }
  // One of each family in any case: the choice of a way is what a reader wants to see.
  const shown = worthShowing(leaders);
  for (const { found } of shown) await simulate(found[0], true);
  const all = [...appraiser.appraisals].sort(byEstimate);
  const first = [
    ...shown.flatMap(({ found }) => takeDifferent(found, firstOfFamily)),
    ...takeDifferent(all, firstOfAll),
  ];
  await simulateAll([...new Set(first)].sort(byEstimate));

  // From the best, and from what becomes the best on the way, to neighbours that might be better; then from others
  // that are nearly as good, because each may have a better neighbour of its own.
  const explored = new Set<string>();
  const nextLeader = () => {
    const worthIt = (best()?.outcome.tokensPerSecond ?? 0) * (1 - trust);
    return [...predicted.values()]
      .sort(byTokensPerSecond)
      .find(({ appraisal, outcome }) => outcome.tokensPerSecond >= worthIt && !explored.has(appraisal.key));
  };
  for (let leader = nextLeader(); leader && predicted.size < mostSimulations; leader = nextLeader()) {
    explored.add(leader.appraisal.key);
    const family = familyOf(families, leader.contender);
    const near = [...neighbours(family, leader.contender), ...twinsOf(leader.contender, families)].flatMap(
      (contender) => appraiser.appraise(contender) ?? [],
    );
    // A better one is gone on from at once.
    const before = best();
    await simulateAll([...new Set(near)].sort(byEstimate), () => best() !== before);
  }
  return {
    predicted: [...predicted.values()].sort(byTokensPerSecond),
    numConsidered: appraiser.appraisals.length,
    numRefused: appraiser.numRefused,
    appraiser,
  };
}

interface Leader {
  readonly family: Family;
  /** The best first. */
  readonly found: readonly Appraisal[];
}

/** The same family of the target as the job has it stored. */
function twinOf({ strategy, speculation, proposer }: Family, families: readonly Family[]): Family {
  return familyOf(families, { strategy, policy: { speculation }, proposer });
}

/** The best family of each way of proposing, of each who proposes, and of each way of storing the weights. */
function worthShowing(leaders: readonly Leader[]): Leader[] {
  const best = new Map<string, Leader>();
  for (const leader of leaders) {
    const { strategy, speculation, proposer, target } = leader.family;
    const kinds = [
      `${strategy} ${speculation}`,
      ...(proposer ? [`by ${nameOf(proposer)}`] : []),
      ...(target ? [`as ${formatOf(target)}`] : []),
    ];
    for (const kind of kinds) {
      const other = best.get(kind);
      if (!other || byEstimate(leader.found[0], other.found[0]) < 0) best.set(kind, leader);
    }
  }
  return leaders.filter((leader) => [...best.values()].includes(leader));
}

/** Coordinate descent on the closed form, from the first start that fits. */
function descend(
  { strategy, proposer, target, coordinates }: Family,
  starts: readonly PolicyInput[],
  appraiser: Appraiser,
): void {
  let current: Appraisal | null = null;
  for (const policy of starts) {
    current = appraiser.appraise({ strategy, policy, proposer, target });
    if (current) break;
  }
  if (!current) return;
  const improve = (values: readonly PolicyInput[], from: Appraisal): Appraisal =>
    values.reduce((best, value) => {
      const next = appraiser.appraise({
        ...best.contender,
        policy: { ...best.contender.policy, ...value },
      });
      return next && next.tokensPerSecond > best.tokensPerSecond ? next : best;
    }, from);
  const sweep = (from: Appraisal) => coordinates.reduce((best, { values }) => improve(values, best), from);
  for (let count = 0; count < mostSweeps; count += 1) {
    const before: Appraisal = current;
    current = sweep(current);
    if (current === before) break;
  }
  const before = current;
  for (const pair of inPairs) {
    const [some = [], others = []] = pair.map(
      (name) => coordinates.find((coordinate) => coordinate.name === name)?.values,
    );
    current = improve(
      some.flatMap((one) => others.map((other) => ({ ...one, ...other }))),
      current,
    );
  }
  if (current !== before) sweep(current);
}

/** The best ones that differ in what matters most; the simulator's exploration finds the best of their likes. */
function takeDifferent(sorted: readonly Appraisal[], most: number): Appraisal[] {
  const taken = new Map<string, Appraisal>();
  for (const appraisal of sorted) {
    const { strategy, policy } = appraisal.contender;
    const { speculation, decodeBatch, candidates, draftCache, attention, projections, hostShare } = policy;
    const { expertPrefetch, expertCache, hostExpertRows = 0 } = policy;
    const kind = [
      strategy,
      speculation,
      decodeBatch,
      candidates,
      draftCache,
      attention,
      projections,
      hostShare,
      expertPrefetch,
      expertCache,
      hostExpertRows > 0,
      chosenBeside(appraisal.contender),
    ].join();
    if (!taken.has(kind)) taken.set(kind, appraisal);
    if (taken.size === most) break;
  }
  return [...taken.values()];
}

/** Fields whose effect is one of the schedule, which a closed form does not see. */
const scheduled = [
  ...(['microBatch', 'decodeBatch', 'candidates', 'draftBatch', 'prefillBatch'] as const),
  ...(['adaptCandidates', 'joinBatches'] as const),
];

/** One micro-batch has nothing to coalesce, and outcomes are only prepared for where the draft's cache is kept. */
const effective = (policy: Appraisal['policy']) =>
  `${policy.microBatch < policy.decodeBatch && policy.coalesceExperts} ${mostOutcomes(policy)}`;

/** Not worth a simulation beside the other: equal in closed form, to a millionth, and in what that does not see. */
export function predictsAlike(a: Appraisal, b: Appraisal): boolean {
  return (
    a.contender.strategy === b.contender.strategy &&
    a.contender.proposer === b.contender.proposer &&
    a.contender.target === b.contender.target &&
    a.policy.speculation === b.policy.speculation &&
    scheduled.every((field) => a.policy[field] === b.policy[field]) &&
    effective(a.policy) === effective(b.policy) &&
    Math.abs(a.tokensPerSecond / b.tokensPerSecond - 1) < 1e-6
  );
}

export function familyOf(
  families: readonly Family[],
  { strategy, policy, proposer, target }: Contender,
): Family {
  return families.find(
    (family) =>
      family.strategy === strategy &&
      family.speculation === policy.speculation &&
      family.proposer === proposer &&
      family.target === target,
  ) as Family;
}

/** Contenders that differ in one coordinate. */
export function neighbours({ coordinates }: Family, contender: Contender): Contender[] {
  return coordinates.flatMap(({ values }) =>
    values.map((value) => ({ ...contender, policy: { ...contender.policy, ...value } })),
  );
}

/** The same policies with the weights stored in each other way that there is a choice of. */
function twinsOf(contender: Contender, families: readonly Family[]): Contender[] {
  const ways = new Set(families.map(({ target }) => target));
  return [...ways].flatMap((target) => (target === contender.target ? [] : { ...contender, target }));
}

function byEstimate(a: Appraisal, b: Appraisal): number {
  return b.tokensPerSecond - a.tokensPerSecond || (a.key < b.key ? -1 : 1);
}

function byTokensPerSecond(a: Predicted, b: Predicted): number {
  return b.outcome.tokensPerSecond - a.outcome.tokensPerSecond || byEstimate(a.appraisal, b.appraisal);
}

function fastest(predicted: Iterable<Predicted>): Predicted | undefined {
  return [...predicted].sort(byTokensPerSecond)[0];
}
