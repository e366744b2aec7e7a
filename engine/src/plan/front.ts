/** The policies between which only taste decides: what more throughput costs in device memory, latency or energy. */

import { currentSignal, UserError } from '@specoffload/input';
import { limitsOf, type MachineModel, withBudgets } from '../machine/machine-model.js';
import type { RunOutcome } from '../run/types.js';
import type { Appraisal, Appraiser } from './appraise.js';
import { assertJob, type PlannedPolicy, type PlanRequest, toPlanned } from './plan.js';
import { search } from './search.js';
import { type Family, planSpace } from './space.js';
import { medianOf, predict, seedsOf, Trials } from './trials.js';

/** What a policy may spend besides time over the whole job; less is better. */
export const frontAims = ['device-memory', 'latency', 'energy'] as const;
export type FrontAim = (typeof frontAims)[number];

export interface FrontRequest extends PlanRequest {
  /** One or several. */
  readonly aims: readonly FrontAim[];
  /** Told after each part of the search. */
  readonly onPart?: (done: number, total: number) => void;
}

export interface FrontPoint {
  readonly planned: PlannedPolicy;
  /** With the device memory that it was planned for. */
  readonly machine: MachineModel;
  /** Median over the seeds. */
  readonly tokensPerSecond: number;
  /** The most of the device's memory that was taken at once. */
  readonly deviceBytes: number;
  /**
   * Seconds that a sequence's place is taken, from its prompt to its last token, on average: sequences under way at once,
   * by sequences that are done per second.
   */
  readonly latencySeconds: number;
  /** null where the machine does not say what it draws. */
  readonly joulesPerToken: number | null;
}

export interface Front {
  /** The fastest first; none is as good as another in all that was asked for. */
  readonly points: readonly FrontPoint[];
  readonly seeds: readonly number[];
  /** Different policies that were simulated, those on no front included. */
  readonly numSimulated: number;
}

/** Shares of the device's memory for which policies are searched, in whole MB. */
const memoryShares = [1, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125];
/** Parts of the prompts that are under way at once. */
const batchParts = [1, 2, 4, 8, 16, 32, 64];
/** Simulations that a search for one share and part may spend, and, for energy, on what promises to take least. */
const simulationsOfPart = 8;
const simulationsForEnergy = 6;
/** A gain below this is none: a policy that is no further ahead anywhere is left out. */
const leastGain = 0.01;
/** Over which the front is decided. */
const defaultFrontSeeds = 3;

/** A policy on the machine that it was found for. */
interface Candidate {
  readonly appraisal: Appraisal;
  readonly appraiser: Appraiser;
  readonly machine: MachineModel;
  readonly costs: Costs;
}

type Costs = Pick<FrontPoint, 'tokensPerSecond' | 'deviceBytes' | 'latencySeconds' | 'joulesPerToken'>;

/**
 * Searches the fastest policies under tighter and tighter limits, and keeps those that no other is as good as.
 * @throws UserError as `planRun`, and for energy on a machine that does not say what it draws
 */
export async function planFront(request: FrontRequest): Promise<Front> {
  const { aims, seed = 1, numSeeds = defaultFrontSeeds, signal = currentSignal(), onPart } = request;
  assertJob(request);
  assertPower(request);
  const parts = partsOf(request);
  const candidates: Candidate[] = [];
  let refusal: UserError | null = null;
  for (const [index, part] of parts.entries()) {
    const found = await searchPart({ ...request, ...part, ...(signal ? { signal } : {}) });
    candidates.push(...found.candidates);
    refusal ??= found.refusal;
    onPart?.(index + 1, parts.length);
  }
  if (candidates.length === 0)
    throw refusal ?? new UserError('there is no policy that fits; use larger budgets, or leave a draft out');
  const seeds = seedsOf(seed, numSeeds);
  const points: FrontPoint[] = [];
  for (const { appraisal, appraiser, machine } of undominated(candidates, ({ costs }) => costs, aims)) {
    const trials = new Trials({ ...request, machine }, seeds, signal);
    const trial = await trials.of(appraisal.contender, numSeeds);
    const each = trial.outcomes.map((outcome) => costsOf(outcome, request));
    const median = (pick: (costs: Costs) => number) => medianOf(each.map(pick));
    points.push({
      planned: toPlanned(trial, appraiser),
      machine,
      tokensPerSecond: median(({ tokensPerSecond }) => tokensPerSecond),
      deviceBytes: median(({ deviceBytes }) => deviceBytes),
      latencySeconds: median(({ latencySeconds }) => latencySeconds),
      joulesPerToken: each[0].joulesPerToken === null ? null : median((costs) => costs.joulesPerToken ?? 0),
    });
  }
  return {
    points: undominated(points, (point) => point, aims),
    seeds,
    numSimulated: candidates.length,
  };
}

function assertPower({ aims, machine }: FrontRequest): void {
  if (aims.length === 0)
    throw new UserError(`there is nothing to weigh against throughput; expected ${frontAims.join(', ')}`);
  if (aims.includes('energy') && !machine.lanes.some(({ power }) => power))
    throw new UserError(
      `${machine.name} does not say what its lanes draw, so that no energy can be predicted; add "power" to its lanes, or choose a machine whose file has it`,
    );
}

/** The limits under which the fastest is searched, in all combinations. */
function partsOf({ aims, machine, fixed = {}, promptLengths }: FrontRequest) {
  const { deviceBytes } = limitsOf(machine);
  const machines = (aims.includes('device-memory') ? memoryShares : [1]).map((share) =>
    share === 1
      ? machine
      : withBudgets(machine, { deviceBytes: Math.floor((share * deviceBytes) / 1e6) * 1e6 }),
  );
  const sizes = new Set(batchParts.map((count) => Math.ceil(promptLengths.length / count)));
  const asked =
    aims.includes('latency') && fixed.decodeBatch === undefined
      ? [...sizes].map((decodeBatch) => ({ ...fixed, decodeBatch }))
      : [fixed];
  return machines.flatMap((one) => asked.map((held) => ({ machine: one, fixed: held })));
}

async function searchPart(
  request: FrontRequest,
): Promise<{ readonly candidates: readonly Candidate[]; readonly refusal: UserError | null }> {
  const { machine, signal, aims } = request;
  const families: Family[] = planSpace({ ...request, numPrompts: request.promptLengths.length });
  const found = await search(request, families, { mostSimulations: simulationsOfPart, signal });
  const { appraiser, predicted } = found;
  const toCandidate = (appraisal: Appraisal, outcome: RunOutcome): Candidate => ({
    appraisal,
    appraiser,
    machine,
    costs: costsOf(outcome, request),
  });
  const candidates = predicted.map(({ appraisal, outcome }) => toCandidate(appraisal, outcome));
  if (aims.includes('energy'))
    for (const appraisal of thrifty(appraiser, machine).slice(0, simulationsForEnergy)) {
      if (predicted.some((known) => known.appraisal === appraisal)) continue;
      const { outcome } = await predict(request, appraisal.contender, signal);
      candidates.push(toCandidate(appraisal, outcome));
    }
  return { candidates, refusal: appraiser.refusal };
}

/** Those that the closed form finds to take little, the least first: each faster than all before it. */
function thrifty({ appraisals }: Appraiser, machine: MachineModel): Appraisal[] {
  const joulesOf = new Map(appraisals.map((appraisal) => [appraisal, estimateJoules(appraisal, machine)]));
  const sorted = [...appraisals].sort(
    (a, b) => (joulesOf.get(a) as number) - (joulesOf.get(b) as number) || (a.key < b.key ? -1 : 1),
  );
  let fastest = 0;
  return sorted.filter(({ tokensPerSecond }) => {
    if (tokensPerSecond <= fastest * (1 + leastGain)) return false;
    fastest = tokensPerSecond;
    return true;
  });
}

/** Without what each byte takes. */
function estimateJoules({ closedForm: { seconds, phases } }: Appraisal, { lanes }: MachineModel): number {
  return lanes.reduce((sum, { name, power }) => {
    const { idleWatts = 0, busyWatts = 0 } = power ?? {};
    const busySeconds = phases.prefill.lanes[name] + phases.decode.lanes[name];
    return sum + idleWatts * seconds + (busyWatts - idleWatts) * Math.min(seconds, busySeconds);
  }, 0);
}

function costsOf(
  { policy, seconds, tokensPerSecond, memoryBytes, energy }: RunOutcome,
  { promptLengths }: Pick<PlanRequest, 'promptLengths'>,
): Costs {
  const underWay = Math.min(promptLengths.length, policy.batches * policy.decodeBatch);
  return {
    tokensPerSecond,
    deviceBytes: memoryBytes.device,
    latencySeconds: (seconds * underWay) / promptLengths.length,
    joulesPerToken: energy?.joulesPerToken ?? null,
  };
}

/** The fastest first, without what another is as good as in all of the aims, or nearly, and better somewhere. */
export function undominated<T>(
  items: readonly T[],
  costsIn: (item: T) => Costs,
  aims: readonly FrontAim[],
): T[] {
  const sorted = items
    .map((item) => ({
      item,
      rate: costsIn(item).tokensPerSecond,
      spent: aims.map((aim) => spending[aim](costsIn(item))),
    }))
    .sort((a, b) => b.rate - a.rate);
  const isBeaten = (own: (typeof sorted)[number], at: number) =>
    sorted.some(
      (other, index) =>
        other !== own &&
        other.rate >= own.rate * (1 - leastGain) &&
        other.spent.every((value, aim) => value <= own.spent[aim] * (1 + leastGain)) &&
        (index < at || other.spent.some((value, aim) => value < own.spent[aim] * (1 - leastGain))),
    );
  return sorted.filter((own, at) => !isBeaten(own, at)).map(({ item }) => item);
}

const spending: Readonly<Record<FrontAim, (costs: Costs) => number>> = {
  'device-memory': ({ deviceBytes }) => deviceBytes,
  latency: ({ latencySeconds }) => latencySeconds,
  energy: ({ joulesPerToken }) => joulesPerToken ?? 0,
};
