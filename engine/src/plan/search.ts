/**
 * The search: the closed form leads every family to a few good policies, the simulator decides among them and goes
 * on from the best, one coordinate at a time. What cannot win by its bound is never simulated. No clock and no
 * randomness: equal jobs give equal plans.
 */

import { simulateRun } from '../run/simulate.js';
import type { RunOutcome } from '../run/types.js';
import { type Appraisal, Appraiser, type PlanningJob } from './appraise.js';
import type { Candidate, Family } from './space.js';

export interface SearchOptions {
  /** Simulations that a search may spend. @default 30 */
  readonly mostSimulations?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: SearchProgress) => void) | undefined;
}

export interface SearchProgress {
  readonly numSimulated: number;
  readonly mostSimulations: number;
  /** Best so far; 0 before the first simulation. */
  readonly tokensPerSecond: number;
}

/** A policy with its prediction. */
export interface Predicted {
  readonly candidate: Candidate;
  readonly outcome: RunOutcome;
  readonly appraisal: Appraisal;
}

export interface SearchResult {
  /** All that was simulated, fastest first. */
  readonly predicted: readonly Predicted[];
  /** Different policies looked at in closed form. */
  readonly numConsidered: number;
  /** Candidates refused for their memory. */
  readonly numRefused: number;
  readonly appraiser: Appraiser;
}

/** Sweeps over all coordinates, at most. */
const mostSweeps = 2;
/** Simulated at first: so many of all, and so many of each family. */
const firstOfAll = 6;
const firstOfFamily = 4;
/** A bound is for the average course of acceptance; a draw may be so much luckier, with few sequences most. */
const luck = 1.08;
/** The closed form is trusted to this much: a neighbour that it puts further behind is not simulated. */
const trust = 0.08;

/** @returns an empty list when nothing fits. */
export async function search(
  job: PlanningJob,
  families: readonly Family[],
  options: SearchOptions = {},
): Promise<SearchResult> {
  const { mostSimulations = 30, signal, onProgress } = options;
  const appraiser = new Appraiser(job);
  const predicted = new Map<string, Predicted>();
  const best = () => fastest(predicted.values());
  const simulate = async (appraisal: Appraisal, isWanted = false): Promise<void> => {
    if (predicted.has(appraisal.key) || predicted.size >= mostSimulations) return;
    const leader = best();
    if (!isWanted && leader && appraisal.boundTokensPerSecond * luck < leader.outcome.tokensPerSecond) return;
    const { outcome } = await predict(job, appraisal.candidate, signal);
    predicted.set(appraisal.key, { candidate: appraisal.candidate, outcome, appraisal });
    onProgress?.({
      ...{ numSimulated: predicted.size, mostSimulations },
      tokensPerSecond: best()?.outcome.tokensPerSecond ?? 0,
    });
  };

  const leaders: { readonly family: Family; readonly found: readonly Appraisal[] }[] = [];
  for (const family of families) {
    signal?.throwIfAborted();
    const before = new Set(appraiser.appraisals);
    descend(family, appraiser);
    const found = appraiser.appraisals.filter((appraisal) => !before.has(appraisal)).sort(byEstimate);
    if (found.length > 0) leaders.push({ family, found });
    await new Promise(setImmediate);
  }
  // One of each family in any case: the choice of a way is what a reader wants to see.
  for (const { found } of leaders) await simulate(found[0], true);
  const all = [...appraiser.appraisals].sort(byEstimate);
  const first = [
    ...leaders.flatMap(({ found }) => takeDifferent(found, firstOfFamily)),
    ...takeDifferent(all, firstOfAll),
  ].sort(byEstimate);
  for (const appraisal of first) await simulate(appraisal);

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
    const { strategy, policy } = leader.candidate;
    const family = families.find(
      (one) => one.strategy === strategy && one.speculation === policy.speculation,
    ) as Family;
    const enough = leader.appraisal.tokensPerSecond * (1 - trust);
    const promising = neighbours(family, leader.candidate)
      .flatMap((candidate) => appraiser.appraise(candidate) ?? [])
      .filter(({ key, tokensPerSecond }) => tokensPerSecond > enough && !predicted.has(key))
      .sort(byEstimate);
    const before = best();
    for (const appraisal of promising) {
      await simulate(appraisal);
      if (best() !== before) break;
    }
  }
  return {
    predicted: [...predicted.values()].sort(byTokensPerSecond),
    numConsidered: appraiser.appraisals.length,
    numRefused: appraiser.numRefused,
    appraiser,
  };
}

/** Simulates one policy; its timeline is dropped. */
export async function predict(
  job: PlanningJob,
  { strategy, policy }: Candidate,
  signal?: AbortSignal,
): Promise<{ readonly outcome: RunOutcome }> {
  // Field by field: what a caller's job holds besides is not for the simulation.
  const { target, draft, promptLengths, maxNewTokens, machine, acceptance, seed = 1 } = job;
  const {
    spans: _spans,
    memoryLog: _memoryLog,
    ...outcome
  } = await simulateRun({
    ...{ target, draft, promptLengths, maxNewTokens, machine, acceptance, seed, strategy, policy },
    ...(signal ? { signal } : {}),
  });
  return { outcome };
}

/** Coordinate descent on the closed form, from the first start that fits. */
function descend({ strategy, starts, coordinates }: Family, appraiser: Appraiser): void {
  let current: Appraisal | null = null;
  for (const policy of starts) {
    current = appraiser.appraise({ strategy, policy });
    if (current) break;
  }
  if (!current) return;
  for (let sweep = 0; sweep < mostSweeps; sweep += 1) {
    const before: Appraisal = current;
    for (const { values } of coordinates)
      for (const value of values) {
        const next = appraiser.appraise({ strategy, policy: { ...current.candidate.policy, ...value } });
        if (next && next.tokensPerSecond > current.tokensPerSecond) current = next;
      }
    if (current === before) return;
  }
}

/** The best ones that differ in what matters most; the simulator's exploration finds the best of their likes. */
function takeDifferent(sorted: readonly Appraisal[], most: number): Appraisal[] {
  const taken = new Map<string, Appraisal>();
  for (const appraisal of sorted) {
    const { strategy, policy } = appraisal.candidate;
    const { speculation, decodeBatch, candidates, draftCache, attention, projections, hostShare } = policy;
    const kind = [
      strategy,
      speculation,
      decodeBatch,
      candidates,
      draftCache,
      attention,
      projections,
      hostShare,
    ].join();
    if (!taken.has(kind)) taken.set(kind, appraisal);
    if (taken.size === most) break;
  }
  return [...taken.values()];
}

/** Candidates that differ in one coordinate. */
function neighbours({ coordinates }: Family, { strategy, policy }: Candidate): Candidate[] {
  return coordinates.flatMap(({ values }) =>
    values.map((value) => ({ strategy, policy: { ...policy, ...value } })),
  );
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
