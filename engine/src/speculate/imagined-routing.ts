/** What routers choose in a prediction: as a run has told it, turn by turn or on average, or drawn. */

import type { Random } from '../model/random.js';
import type { Oracle } from './acceptance.js';
import { likelyRows, type RoutingReport, type RoutingTrace } from './routing-counter.js';

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
export const usualPrecision = 0.85;

/** Up to this many rows, each row's experts are drawn; for more, every expert gets its expected share. */
const mostDrawnRows = 512;

/** Of an expert that was never chosen, beside one that was chosen once: a run is short, and zero would be for ever. */
const leastPopularity = 0.1;

export function imagineRouting(
  random: Random,
  draws: RoutingDraws,
): Pick<Oracle, 'chooseExperts' | 'foreseeExperts'> {
  const { routing, precision = usualPrecision } = draws;
  const turns = new Turns();
  if (routing?.trace) return replay(routing.trace, turns);
  const draw = createRouter(random, draws);
  /** By layer and turn: what has been foreseen and not been chosen yet. */
  const drawn: Map<number, readonly number[]>[] = [];
  return {
    chooseExperts: (rows, numExperts, expertsPerToken, layer) => {
      const turn = turns.choose(layer);
      const counts = drawn[layer]?.get(turn);
      drawn[layer]?.delete(turn);
      return counts ?? draw(rows, numExperts, expertsPerToken, layer);
    },
    foreseeExperts: (rows, numExperts, expertsPerToken, layer, distance) => {
      if (numExperts === 1) return [];
      const turn = turns.foresee(layer, distance);
      drawn[layer] ??= new Map();
      const counts = drawn[layer].get(turn) ?? draw(rows, numExperts, expertsPerToken, layer);
      drawn[layer].set(turn, counts);
      const foreseen = chosenOf(counts).map((expert) =>
        random.uniform() < precision ** distance ? expert : random.uint32() % numExperts,
      );
      return [...new Set(foreseen)];
    },
  };
}

/** Which turn of a layer's router is asked for: micro-batches pass all layers in one order. */
class Turns {
  readonly #chosen: number[] = [];
  readonly #foreseen: number[][] = [];

  choose(layer: number): number {
    const turn = this.#chosen[layer] ?? 0;
    this.#chosen[layer] = turn + 1;
    return turn;
  }

  foresee(layer: number, distance: number): number {
    this.#foreseen[layer] ??= [];
    const turn = Math.max(this.#foreseen[layer][distance] ?? 0, this.#chosen[layer] ?? 0);
    this.#foreseen[layer][distance] = turn + 1;
    return turn;
  }
}

function chosenOf(counts: readonly number[]): number[] {
  return [...counts.keys()].filter((expert) => counts[expert] > 0);
}

/** Every layer's router is asked as often as in the run, and answers the same. */
function replay(
  { chosen, foreseen }: RoutingTrace,
  turns: Turns,
): Pick<Oracle, 'chooseExperts' | 'foreseeExperts'> {
  return {
    chooseExperts: (_rows, numExperts, _expertsPerToken, layer) => {
      const counts = new Array<number>(numExperts).fill(0);
      const own = chosen[layer]?.[turns.choose(layer)] ?? [];
      for (let index = 0; index < own.length; index += 2) counts[own[index]] = own[index + 1];
      return counts;
    },
    foreseeExperts: (_rows, _numExperts, _expertsPerToken, layer, distance) =>
      foreseen[distance - 1]?.[layer]?.[turns.foresee(layer, distance)] ?? [],
  };
}

/** A router that chooses experts by popularity: as a run has shown it, or log-normal. */
function createRouter(
  random: Random,
  { skew = 0, routing = null, isLasting = false }: RoutingDraws,
): Oracle['chooseExperts'] {
  const known: (readonly number[] | undefined)[] = [];
  const recorded = (layer: number, expertsPerToken: number) => {
    known[layer] ??= likelyRows(routing?.rowsByExpert[layer] ?? [], expertsPerToken).map((count) =>
      Math.max(count, leastPopularity),
    );
    return known[layer];
  };
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
    const own = recorded(layer, expertsPerToken);
    const popularity = own.length === numExperts ? own : popularityOf(layer, counts);
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
