/**
 * The decision: what the search has found on one seed is tried on others. Finalists are the best few that differ in
 * what makes their draws differ, and the best of every other kind; the worse ones get fewer seeds.
 */

import { sum } from '../extremes.js';
import { formatOf } from '../model/packed.js';
import type { TargetFormat } from '../model/target-format.js';
import type { OpenPolicy } from '../schedule/policy.js';
import type { AxisName } from '../schedule/policy-fields.js';
import { usesDraft } from '../schedule/strategies/index.js';
import type { Appraisal } from './appraise.js';
import { familyOf, neighbours, type SearchResult } from './search.js';
import { type Contender, chosenBeside, type Family, nameOf } from './space.js';
import { medianOf, type Trial, type Trials, throughputs } from './trials.js';

/** A way in which policies can differ in kind, not in degree. */
export interface Aspect {
  readonly name: string;
  readonly inWords: (
    strategy: string,
    policy: OpenPolicy,
    who?: string | null,
    format?: TargetFormat | null,
  ) => string;
}

export const aspects: readonly Aspect[] = [
  {
    name: 'who proposes, and when',
    inWords: (strategy, { speculation }, who = null) =>
      `${strategy === speculation ? strategy : `${strategy}, ${speculation}`}${who === null ? '' : ` by ${who}`}`,
  },
  {
    name: 'how the weights are stored',
    inWords: (_strategy, _policy, _who, format = null) =>
      format === null
        ? 'weights as they are'
        : format === 'bf16_packed'
          ? 'weights packed'
          : `weights in ${format}`,
  },
  {
    name: "the draft's cache",
    inWords: (_, policy) => (usesDraft(policy) ? policy.draftCache : 'no draft'),
  },
  {
    name: 'places of attention and KV cache',
    inWords: (_, { attention, cache }) => `attention on the ${attention}, cache on the ${cache}`,
  },
  { name: 'place of the projections', inWords: (_, { projections }) => `projections on the ${projections}` },
  {
    name: 'place of the FFNs',
    inWords: (_, { experts, hostExpertRows, hostShare, expertCache, expertPrefetch }) => {
      if (hostShare > 0) return 'a share of the FFNs on the host';
      if (experts === 'all') return 'FFNs on the device';
      if (expertCache !== 'none') return 'routed experts that stay';
      if (expertPrefetch !== 'none') return 'routed experts that come ahead';
      return hostExpertRows > 0 ? 'routed experts, some on the host' : 'routed experts on the device';
    },
  },
];

/** Finalists by what the search found, beside those of other kinds. */
const mostContenders = 5;
/** A policy further behind than this on the search's seed will not be first on others: it is several times a ratio's spread. */
const reach = 0.06;
/** Coordinates along which kinds differ. */
const inKind: readonly AxisName[] = ['places', 'draftCache', 'hostShare', 'experts'];
/** Fields in which a policy of another kind may differ from the leader's for its own good. */
const adapted: readonly AxisName[] = [
  'places',
  'candidates',
  'hostShare',
  'microBatch',
  'draftBatch',
  'prefillBatch',
];

/** Where a climb has led first, then the leader of the search. */
export function chooseFinalists(
  found: SearchResult,
  families: readonly Family[],
  summit: Appraisal | null,
): Contender[] {
  const { predicted } = found;
  const [leader] = predicted;
  const keys = new Set<string>();
  const finalists: Contender[] = [];
  const add = ({ key, contender }: Appraisal) => {
    if (keys.has(key)) return;
    keys.add(key);
    finalists.push(contender);
  };
  if (summit) add(summit);
  const shapes = new Set<string>();
  for (const { appraisal, outcome } of predicted) {
    const { speculation, decodeBatch, candidates } = outcome.policy;
    const { contender } = appraisal;
    const chosen = chosenBeside(contender);
    const shape = [contender.strategy, chosen, speculation, decodeBatch, candidates].join();
    const isNear = outcome.tokensPerSecond >= leader.outcome.tokensPerSecond * (1 - reach);
    if (!isNear || shapes.has(shape) || shapes.size === mostContenders) continue;
    shapes.add(shape);
    add(appraisal);
  }
  for (const appraisal of otherKinds(found, families)) add(appraisal);
  return finalists;
}

/** The best of each way of proposing; of each other aspect, the best that differs from the leader in it and drafts as it does or does not. */
function otherKinds(found: SearchResult, families: readonly Family[]): Appraisal[] {
  const { predicted, appraiser } = found;
  const [{ contender: leader, outcome }] = predicted;
  const others = new Map<string, Appraisal>();
  for (const { appraisal } of predicted) {
    const { strategy, policy, proposer } = appraisal.contender;
    for (const way of [`${strategy} ${policy.speculation}`, ...(proposer ? [`by ${nameOf(proposer)}`] : [])])
      if (!others.has(way)) others.set(way, appraisal);
  }
  // Of each way the best, and what differs from it in kind alone: where the best of another kind is to be found. What
  // the draft keeps decides how many sequences it can take at once.
  for (const { contender } of [...others.values()]) {
    const family = coordinatesOf(families, contender, inKind);
    const [draftBatch] = coordinatesOf(families, contender, ['draftBatch']).coordinates;
    for (const other of neighbours(family, contender))
      for (const size of [
        {},
        ...(other.policy.draftCache === contender.policy.draftCache ? [] : (draftBatch?.values ?? [])),
      ])
        appraiser.appraise({ ...other, policy: { ...other.policy, ...size } });
  }
  const isDrafting = usesDraft(outcome.policy);
  for (const { name, inWords } of aspects.slice(1)) {
    const wordsOf = ({ strategy, target }: Contender, policy: OpenPolicy) =>
      inWords(strategy, policy, null, target && formatOf(target));
    const own = wordsOf(leader, outcome.policy);
    const differs = ({ policy, contender }: Appraisal) =>
      usesDraft(policy) === isDrafting && wordsOf(contender, policy) !== own;
    let best = fastest(appraiser.appraisals.filter(differs));
    if (!best) continue;
    for (const coordinate of coordinatesOf(families, best.contender, adapted).coordinates) {
      const { contender } = best;
      const tried = coordinate.values.flatMap(
        (value) => appraiser.appraise({ ...contender, policy: { ...contender.policy, ...value } }) ?? [],
      );
      best = fastest([best, ...tried.filter(differs)]) as Appraisal;
    }
    others.set(name, best);
  }
  return [...others.values()];
}

/** The family with some of its coordinates. */
function coordinatesOf(
  families: readonly Family[],
  contender: Contender,
  names: readonly AxisName[],
): Family {
  const family = familyOf(families, contender);
  return { ...family, coordinates: family.coordinates.filter(({ name }) => names.includes(name)) };
}

function fastest(appraisals: readonly Appraisal[]): Appraisal | undefined {
  return appraisals.reduce<Appraisal | undefined>(
    (best, next) => (best && best.tokensPerSecond >= next.tokensPerSecond ? best : next),
    undefined,
  );
}

/** Seeds after which the worse half goes. */
const rungs = [3, 5];

/**
 * Successive halving over the seeds, as long as the order is open. Those that are left at the end have all of them.
 * @returns the choice first, then by median ratio to it over the seeds that both have
 */
export async function decide(
  trials: Trials,
  finalists: readonly Contender[],
  numSeeds: number,
  onTried: () => void = () => {},
): Promise<Trial[]> {
  const latest = new Map<Contender, Trial>();
  let running = [...finalists];
  for (const count of [...rungs.filter((rung) => rung < numSeeds), numSeeds]) {
    for (const contender of running) {
      latest.set(contender, await trials.of(contender, count));
      onTried();
    }
    const level = (contender: Contender) => meanLog(latest.get(contender) as Trial);
    // Equal ones keep the search's order: the sort is stable.
    running.sort((a, b) => level(b) - level(a));
    const first = latest.get(running[0]) as Trial;
    if (count < numSeeds)
      running = running
        .slice(0, Math.max(2, Math.ceil(running.length / 2)))
        .filter((contender) => isOpen(latest.get(contender) as Trial, first));
  }
  const choice = latest.get(running[0]) as Trial;
  const others = [...latest.values()].filter((trial) => trial !== choice);
  return [choice, ...others.sort((a, b) => medianRatio(b, choice) - medianRatio(a, choice))];
}

/**
 * By which policies are ranked, as the mean of their ratios is seed by seed. Not by the median: the slowest sequence of a
 * batch makes whole passes, so throughput jumps, and where it jumps says little.
 */
function meanLog(trial: Trial): number {
  return sum(throughputs(trial).map(Math.log)) / trial.outcomes.length;
}

/** One-sided quantiles of Student's t at 99 %, by the seeds that a rung has had. */
const quantiles: Readonly<Record<number, number>> = { 3: 6.96, 5: 3.75 };

/** Whether a trial may yet turn out the faster one: on common draws a small difference soon is a sure one. */
function isOpen({ outcomes }: Trial, first: Trial): boolean {
  const ratios = outcomes.map(({ tokensPerSecond }, seed) =>
    Math.log(tokensPerSecond / first.outcomes[seed].tokensPerSecond),
  );
  const count = ratios.length;
  const mean = sum(ratios) / count;
  const variance = sum(ratios.map((ratio) => (ratio - mean) ** 2)) / (count - 1);
  return mean + quantiles[count] * Math.sqrt(variance / count) >= 0;
}

/** Median over the seeds that both have of one's throughput over the other's. */
export function medianRatio(value: Trial, baseline: Trial): number {
  const numSeeds = Math.min(value.outcomes.length, baseline.outcomes.length);
  const ratios = value.outcomes
    .slice(0, numSeeds)
    .map(({ tokensPerSecond }, seed) => tokensPerSecond / baseline.outcomes[seed].tokensPerSecond);
  return medianOf(ratios);
}
