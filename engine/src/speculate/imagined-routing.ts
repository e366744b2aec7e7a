/** What routers choose in a prediction: as a run has told it, turn by turn or on average, or drawn. */

import type { Random } from '../model/random.js';
import type { Oracle } from './acceptance.js';
import type { RoutingReport, RoutingTrace } from './routing-counter.js';

/** How often each expert was chosen in a run, by layer, and by which turns if it tells them; null where nobody has looked. */
export type Routing = Pick<RoutingReport, 'rowsByExpert' | 'trace'> | null;

export interface RoutingDraws {
  /** How unequally experts are chosen: the spread (sigma) of their log-normal popularity. @default 0 */
  readonly skew?: number | undefined;
  readonly routing?: Routing | undefined;
  /** Popularity is drawn once for a layer, and not anew for every pass. @default false */
  readonly isLasting?: boolean;
  /** Share of the foreseen experts that are chosen. @default 0.85 */
  readonly precision?: number | undefined;
}

/** In between what is measured of trained models, see `foreseer.ts`. */
const usualPrecision = 0.85;

/** Up to this many rows, each row's experts are drawn; for more, every expert gets its expected share. */
const mostDrawnRows = 512;

/** Of an expert that was never chosen, beside one that was chosen once: a run is short, and zero would be for ever. */
const leastPopularity = 0.1;

export function imagineRouting(
  random: Random,
  draws: RoutingDraws,
): Pick<Oracle, 'chooseExperts' | 'foreseeExperts'> {
  const { routing, precision = usualPrecision } = draws;
  if (routing?.trace) return replay(routing.trace);
  const draw = createRouter(random, draws);
  /** By layer: what has been foreseen and not been chosen yet. */
  const drawn: (readonly number[])[][] = [];
  return {
    chooseExperts: (rows, numExperts, expertsPerToken, layer) =>
      drawn[layer]?.shift() ?? draw(rows, numExperts, expertsPerToken, layer),
    foreseeExperts: (rows, numExperts, expertsPerToken, layer) => {
      const counts = draw(rows, numExperts, expertsPerToken, layer);
      drawn[layer] ??= [];
      drawn[layer].push(counts);
      const foreseen = chosenOf(counts).map((expert) =>
        random.uniform() < precision ? expert : random.uint32() % numExperts,
      );
      return [...new Set(foreseen)];
    },
  };
}

function chosenOf(counts: readonly number[]): number[] {
  return [...counts.keys()].filter((expert) => counts[expert] > 0);
}

/** Every layer's router is asked as often as in the run, and answers the same. */
function replay({ chosen, foreseen }: RoutingTrace): Pick<Oracle, 'chooseExperts' | 'foreseeExperts'> {
  const nextChosen: number[] = [];
  const nextForeseen: number[] = [];
  return {
    chooseExperts: (_rows, numExperts, _expertsPerToken, layer) => {
      const turn = nextChosen[layer] ?? 0;
      nextChosen[layer] = turn + 1;
      const counts = new Array<number>(numExperts).fill(0);
      const own = chosen[layer]?.[turn] ?? [];
      for (let index = 0; index < own.length; index += 2) counts[own[index]] = own[index + 1];
      return counts;
    },
    foreseeExperts: (_rows, _numExperts, _expertsPerToken, layer) => {
      const turn = Math.max(nextForeseen[layer] ?? 0, nextChosen[layer] ?? 0);
      nextForeseen[layer] = turn + 1;
      return foreseen[layer]?.[turn] ?? [];
    },
  };
}

/** A router that chooses experts by popularity: as a run has shown it, or log-normal. */
function createRouter(
  random: Random,
  { skew = 0, routing = null, isLasting = false }: RoutingDraws,
): Oracle['chooseExperts'] {
  const known = routing?.rowsByExpert.map((rows) => rows.map((count) => Math.max(count, leastPopularity)));
  const lasting: (readonly number[])[] = [];
  const drawPopularity = (counts: readonly number[]) =>
    counts.map(() => (skew > 0 ? Math.exp(skew * random.normal()) : 1));
  const popularityOf = (layer: number, counts: readonly number[]) => {
    if (!isLasting) return drawPopularity(counts);
    lasting[layer] ??= drawPopularity(counts);
    return lasting[layer];
  };
  return (rows, numExperts, expertsPerToken, layer) => {
    const counts = new Array<number>(numExperts).fill(0);
    const own = known?.[layer];
    const popularity = own?.length === numExperts ? own : popularityOf(layer, counts);
    const total = popularity.reduce((sum, share) => sum + share, 0);
    if (rows > mostDrawnRows)
      return popularity.map((share) => Math.min(rows, (rows * expertsPerToken * share) / total));
    const left = [...popularity];
    for (let row = 0; row < rows; row += 1) {
      let rest = total;
      const chosen: number[] = [];
      for (let choice = 0; choice < expertsPerToken; choice += 1) {
        let coin = random.uniform() * rest;
        let pick = 0;
        while (pick < numExperts - 1 && coin >= left[pick]) {
          coin -= left[pick];
          pick += 1;
        }
        while (left[pick] === 0) pick = (pick + 1) % numExperts; // rounding carried the coin past the end
        rest -= left[pick];
        left[pick] = 0;
        counts[pick] += 1;
        chosen.push(pick);
      }
      for (const pick of chosen) left[pick] = popularity[pick];
    }
    return counts;
  };
}
