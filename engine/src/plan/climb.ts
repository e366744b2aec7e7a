/**
 * The climb: from the best that the search has found to whatever neighbour simulations, not the closed form, show to be
 * faster, over seeds of its own. What is decided afterwards, on others, does not owe anything to luck on these.
 */

import { sum } from '../extremes.js';
import type { AxisName } from '../schedule/policy-fields.js';
import type { Appraisal, Appraiser } from './appraise.js';
import { familyOf, predictsAlike } from './search.js';
import type { Contender, Family } from './space.js';
import { type Trials, throughputs } from './trials.js';

export interface ClimbOptions {
  readonly families: readonly Family[];
  readonly appraiser: Appraiser;
  readonly trials: Trials;
  /** Runs that it may predict. */
  readonly mostPredictions: number;
  /** Tasks that these may have together: a deterministic measure of how long they take. */
  readonly mostTasks: number;
  readonly onTried?: () => void;
}

/** Seeds on which a neighbour may be compared. */
export const climbSeeds = 7;
const fewestSeeds = 3;
/** Neighbours further behind than this in closed form are not tried; of those that gained, none was. */
const farBehind = 0.12;
/** What is gained on average counts from here on. */
const leastGain = 0.003;
/** Who is so far behind on the first seed is not tried on another: several times what ratios differ by from seed to seed. */
const lostAtOnce = 0.03;
/** Beyond so many standard errors of the mean a gain or a loss is clear before all seeds are through. */
const clear = 1;
/** And of so many errors a gain has to be in the end: of some fifty moves that change nothing few are taken for one. */
const believed = 0.5;
/** Tried last: they decide how many passes there are, so it takes more seeds to tell what they bring. */
const aboutRounds: readonly AxisName[] = ['adaptCandidates', 'alternates', 'candidates'];
/** All moves once, and once more from where they have led. */
const mostSweeps = 2;

/** A coordinate's value. */
interface Move {
  readonly name: AxisName;
  readonly value: Contender['policy'];
}

/** @returns where it ends: the contender itself where no neighbour is faster, or nothing may be spent */
export async function climb(from: Contender, options: ClimbOptions): Promise<Contender> {
  const { families, appraiser, trials, mostPredictions, mostTasks, onTried } = options;
  const moves = movesIn(familyOf(families, from));
  const tried = new Set<string>();
  let current = appraiser.appraise(from) as Appraisal;
  const isSpent = () => trials.numPredictions >= mostPredictions || trials.numTasks >= mostTasks;
  tried.add(current.key);
  for (let count = 0; count < mostSweeps; count += 1) {
    const before: Appraisal = current;
    // The most promising first: what is spent may not do for all.
    for (const { name, value } of inOrder(moves, current, appraiser)) {
      const next = appraiser.appraise(moved(current.contender, value));
      if (!next || tried.has(next.key) || isFarBehind(next, current)) continue;
      tried.add(next.key);
      if (name !== 'prefetch' && predictsAlike(next, current)) continue;
      if (isSpent()) return current.contender;
      if (await isFaster(next.contender, current.contender, trials)) current = next;
      onTried?.();
    }
    if (current === before) break;
  }
  return current.contender;
}

function movesIn({ coordinates }: Family): Move[] {
  return coordinates.flatMap(({ name, values, between }) =>
    [...values, ...between].map((value) => ({ name, value })),
  );
}

function moved(contender: Contender, value: Contender['policy']): Contender {
  return { ...contender, policy: { ...contender.policy, ...value } };
}

/** Those about rounds last; by closed form from where the climb is; equal ones keep their order. */
function inOrder(moves: readonly Move[], { contender }: Appraisal, appraiser: Appraiser): readonly Move[] {
  const estimates = new Map(
    moves.map((move) => [move, appraiser.appraise(moved(contender, move.value))?.tokensPerSecond ?? 0]),
  );
  const isAboutRounds = ({ name }: Move) => Number(aboutRounds.includes(name));
  return [...moves].sort(
    (a, b) => isAboutRounds(a) - isAboutRounds(b) || (estimates.get(b) ?? 0) - (estimates.get(a) ?? 0),
  );
}

function isFarBehind(next: Appraisal, current: Appraisal): boolean {
  return next.tokensPerSecond < current.tokensPerSecond * (1 - farBehind);
}

/**
 * Tried on one seed after the other until it is clear: on common draws it soon is where the rounds stay what they are, and
 * late where they do not, since the slowest sequence makes whole passes.
 */
async function isFaster(next: Contender, current: Contender, trials: Trials): Promise<boolean> {
  for (let count = 1; count <= climbSeeds; count += 1) {
    const own = throughputs(await trials.of(next, count));
    const others = throughputs(await trials.of(current, count));
    const gains = own.map((value, seed) => Math.log(value / others[seed]));
    const mean = sum(gains) / count;
    if (count === 1) {
      if (mean < -lostAtOnce) return false;
      continue;
    }
    const variance = sum(gains.map((gain) => (gain - mean) ** 2)) / (count - 1);
    const error = Math.sqrt(variance / count);
    if (mean + clear * error < leastGain) return false;
    if (count >= fewestSeeds && mean - clear * error > leastGain) return true;
    if (count === climbSeeds) return mean - believed * error > leastGain;
  }
  return false;
}
