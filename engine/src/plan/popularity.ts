/** How often a row chooses an expert: equally often by the models' numbers, or as a run has recorded it. */

import type { LayerCosts, ModelCosts } from '../schedule/layer-costs.js';
import { likelyRows, type RoutingReport } from '../speculate/routing-counter.js';

/** Shares of a kind's experts, and the chance that a row chooses one of those; the most popular ones last. */
export type Popularity = readonly { readonly share: number; readonly chance: number }[];

/** Experts that are about as popular are one: a search asks thousands of times. */
const mostShares = 24;
/** A row may leave out any expert. */
const mostChance = 1 - 1e-9;

type Routing = Pick<RoutingReport, 'rowsByExpert'>;

type KnownPopularities = Map<ModelCosts, readonly Popularity[]>;
const known = new WeakMap<Routing, KnownPopularities>();

/** By kind of layer. */
export function popularities(costs: ModelCosts, routing?: Routing): readonly Popularity[] {
  if (!routing) return costs.kinds.map(({ costs: kind }) => equally(kind));
  const ofRouting: KnownPopularities = known.get(routing) ?? new Map();
  known.set(routing, ofRouting);
  const found = ofRouting.get(costs) ?? costs.kinds.map(({ costs: kind }) => recorded(kind, costs, routing));
  ofRouting.set(costs, found);
  return found;
}

function equally({ expertsPerToken, numExperts }: LayerCosts): Popularity {
  return [{ share: 1, chance: Math.min(mostChance, expertsPerToken / numExperts) }];
}

/** Of all layers of a kind together; as the formula has it where the record says nothing. */
function recorded(kind: LayerCosts, { layers }: ModelCosts, { rowsByExpert }: Routing): Popularity {
  const chances = layers.flatMap((layer, index) => {
    const rows = layer === kind ? (rowsByExpert[index] ?? []) : [];
    const total = rows.reduce((sum, count) => sum + count, 0);
    if (total === 0 || rows.length !== kind.numExperts) return [];
    return likelyRows(rows, kind.expertsPerToken).map((count) =>
      Math.min(mostChance, (count * kind.expertsPerToken) / total),
    );
  });
  if (chances.length === 0) return equally(kind);
  chances.sort((a, b) => a - b);
  const numShares = Math.min(mostShares, chances.length);
  return Array.from({ length: numShares }, (_, index) => {
    const from = Math.floor((index * chances.length) / numShares);
    const some = chances.slice(from, Math.floor(((index + 1) * chances.length) / numShares));
    const sum = some.reduce((total, chance) => total + chance, 0);
    return { share: some.length / chances.length, chance: sum / some.length };
  });
}

/** Of the experts that so many rows choose, the share that are among the most popular ones. */
export function shareOfMostPopular(popularity: Popularity, rows: number, kept: number): number {
  let [left, hits, all] = [kept, 0, 0];
  for (const { share, chance } of popularity.toReversed()) {
    const used = 1 - (1 - chance) ** rows;
    hits += Math.min(left, share) * used;
    all += share * used;
    left = Math.max(0, left - share);
  }
  return all > 0 ? hits / all : 0;
}

/**
 * Of the experts that so many rows choose, the share that have been used so lately that no others have taken their places
 * since: in Che's way (the time in which as many others are used as there are places), but in whole passes, since every
 * layer comes once a pass.
 */
export function shareOfLatest(popularity: Popularity, rows: number, kept: number): number {
  const usedWithin = (chance: number, passes: number) => 1 - (1 - chance) ** (rows * passes);
  const touched = (passes: number) =>
    popularity.reduce((sum, { share, chance }) => sum + share * usedWithin(chance, passes), 0);
  let passes = 0;
  while (passes < mostPasses && touched(passes + 1) <= kept) passes += 1;
  let [hits, all] = [0, 0];
  for (const { share, chance } of popularity) {
    const used = usedWithin(chance, 1);
    hits += share * used * usedWithin(chance, passes);
    all += share * used;
  }
  return all > 0 ? hits / all : 0;
}

/** Whoever was not used for longer counts as never used. */
const mostPasses = 64;
