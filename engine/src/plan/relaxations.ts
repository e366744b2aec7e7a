/** What would have to change to go faster: the plan on machines that are better in one way, on the seeds of the plan. */

import { UserError } from '@specoffload/input';
import {
  changedKinds,
  type KindRates,
  type Lane,
  type MachineModel,
  type Memory,
  withLane,
  withMemory,
} from '../machine/machine-model.js';
import { packedTwin } from '../model/packed-twin.js';
import type { RunOutcome } from '../run/types.js';
import { usesDraft } from '../schedule/strategies/index.js';
import { type Acceptance, type AcceptanceRates, averageRates } from '../speculate/acceptance.js';
import { isTransfer, type LaneName } from '../topology/topology.js';
import { type Appraisal, Appraiser, type PlanningJob } from './appraise.js';
import { type Plan, type PlannedPolicy, type PlanRequest, targetOf } from './plan.js';
import { familyOf, neighbours } from './search.js';
import { type Contender, type Family, nameOf, planSpace } from './space.js';
import { predict, Trials, throughputs } from './trials.js';

export interface Relaxation {
  /**
   * What the machine has more of, by its lane or memory: `link`, `host arithmetic`, `device memory`. `acceptance` and
   * `packing` are nothing that a machine has, and never what binds.
   */
  readonly resource: string;
  /** What was changed: `link x1.5`. */
  readonly change: string;
  /** Seed by seed, on the first seeds of the plan: with the change, and without. */
  readonly tokensPerSecondBySeed: readonly number[];
  readonly baselineBySeed: readonly number[];
  /** Whether another policy than the plan's is used, because it gains more. */
  readonly isReplanned: boolean;
}

export interface RelaxOptions {
  readonly signal?: AbortSignal;
  /** Of the plan's. @default 5 */
  readonly numSeeds?: number;
}

const factor = 1.5;
const acceptanceFactor = 1.1;
/** Smaller gains are within the error of the closed form between one policy and its neighbour. */
const leastPromise = 1.01;

/**
 * Predicts the plan on a machine with more of each resource. Who has more may still do as before, so of the same policy
 * and of what would be chosen instead, the better one counts; it is chosen on the search's seed and judged on others.
 * @param planned what the plan was made for
 */
export async function relaxResources(
  planned: PlanRequest,
  { ranked: [best], seeds: planSeeds }: Plan,
  { signal, numSeeds = 5 }: RelaxOptions = {},
): Promise<Relaxation[]> {
  // Who proposes is settled, and how the weights are stored.
  const proposer = planned.proposers?.find((one) => nameOf(one) === best.drafter);
  const settled = { proposers: undefined, storedOtherwise: undefined, target: targetOf(planned, best) };
  const request: PlanRequest = { ...planned, ...proposer, ...settled };
  const seeds = planSeeds.slice(0, Math.min(numSeeds, planSeeds.length));
  const base = best.tokensPerSecondBySeed.slice(0, seeds.length);
  const { strategy, policy } = best;
  const families = planSpace({ ...request, numPrompts: request.promptLengths.length });
  const here = new Predictions(request, signal);
  const relaxations: Relaxation[] = [];
  for (const { resource, change, lane, relaxed } of changesTo(
    request,
    planned.storedOtherwise === undefined,
  )) {
    const relaxation = { resource, change, baselineBySeed: base };
    const same: Contender = { strategy, policy };
    const others = insteadOf(best, relaxed, families);
    const there = new Predictions(relaxed, signal);
    // More memory changes nothing for a complete policy.
    const chosen = await better(here, there, lane === null ? here : there, same, others);
    if (chosen === same && lane !== undefined && isUnused(lane, best.outcome)) {
      relaxations.push({ ...relaxation, tokensPerSecondBySeed: base, isReplanned: false });
      continue;
    }
    const trial = await new Trials(relaxed, seeds, signal).of(chosen, seeds.length);
    relaxations.push({
      ...relaxation,
      tokensPerSecondBySeed: throughputs(trial),
      isReplanned: chosen !== same,
    });
  }
  const luckier = await raiseAcceptance(request, best, seeds, signal);
  return luckier ? [...relaxations, luckier] : relaxations;
}

interface Change extends Pick<Relaxation, 'resource' | 'change'> {
  readonly relaxed: PlanRequest;
  /** That it makes faster; null for none, undefined where the work is another. */
  readonly lane: LaneName | null | undefined;
}

/** @param mentionsPacking where nobody asked for a choice of it */
function changesTo(request: PlanRequest, mentionsPacking: boolean): Change[] {
  const packed = mentionsPacking ? packedTwin(request.target) : null;
  const ofMachine = relaxMachine(request.machine).map(({ name, lane, machine }) => ({
    resource: name,
    change: `${name} x${factor}`,
    lane,
    relaxed: { ...request, machine },
  }));
  if (!packed) return ofMachine;
  const relaxed = { ...request, target: packed };
  return [
    ...ofMachine,
    { resource: 'packing', change: 'weights packed without loss', lane: undefined, relaxed },
  ];
}

/** More memory changes nothing for a complete policy, nor does a faster lane that the policy leaves idle. */
function isUnused(lane: LaneName | null, { phases }: RunOutcome): boolean {
  if (lane === null) return true;
  return phases.prefill.lanes[lane].busySeconds + phases.decode.lanes[lane].busySeconds === 0;
}

/** Policies that could gain more than the same one: as the engine would settle it there, and its best neighbour. */
function insteadOf(
  { strategy, input, policy }: PlannedPolicy,
  relaxed: PlanningJob,
  families: readonly Family[],
): Contender[] {
  const appraiser = new Appraiser(relaxed);
  const same = appraiser.appraise({ strategy, policy });
  const settled = appraiser.appraise({ strategy, policy: input });
  const least = (same ?? settled)?.tokensPerSecond ?? 0;
  const family = familyOf(families, { strategy, policy: { ...input, speculation: policy.speculation } });
  const [neighbour] = neighbours(family, { strategy, policy: input })
    .flatMap((contender) => appraiser.appraise(contender) ?? [])
    .filter(({ tokensPerSecond }) => tokensPerSecond > least * leastPromise)
    .sort((a, b) => b.tokensPerSecond - a.tokensPerSecond);
  const isOther = (appraisal: Appraisal | null | undefined): appraisal is Appraisal =>
    appraisal != null && appraisal.key !== same?.key;
  return [settled, neighbour].filter(isOther).map(({ contender }) => contender);
}

/** Of policies on the search's seed, in tokens per second, each asked only once. */
class Predictions {
  readonly #job: PlanningJob;
  readonly #signal: AbortSignal | undefined;
  readonly #known = new Map<string, Promise<number>>();

  constructor(job: PlanningJob, signal: AbortSignal | undefined) {
    this.#job = job;
    this.#signal = signal;
  }

  of(contender: Contender): Promise<number> {
    const key = JSON.stringify([contender.strategy, contender.policy]);
    const known = this.#known.get(key) ?? this.#predict(contender).catch(zeroIfRefused);
    this.#known.set(key, known);
    return known;
  }

  async #predict(contender: Contender): Promise<number> {
    return (await predict(this.#job, contender, this.#signal)).outcome.tokensPerSecond;
  }
}

/** A policy that does not fit counts as 0 tokens per second. */
function zeroIfRefused(error: unknown): number {
  if (error instanceof UserError) return 0;
  throw error;
}

/**
 * On the search's seed. A policy that is better on the unchanged machine too was only missed by the search, and tells
 * nothing about the resource.
 */
async function better(
  here: Predictions,
  there: Predictions,
  ofSame: Predictions,
  same: Contender,
  others: readonly Contender[],
): Promise<Contender> {
  if (others.length === 0) return same;
  let chosen = same;
  let most = await ofSame.of(same);
  for (const other of others) {
    const tokensPerSecond = await there.of(other);
    if (tokensPerSecond > most && (await here.of(other)) <= (await here.of(same)))
      [chosen, most] = [other, tokensPerSecond];
  }
  return chosen;
}

/** null without a draft. A recorded course can't be raised; its average rates can, and are compared with themselves. */
async function raiseAcceptance(
  { acceptance, ...job }: PlanningJob,
  { strategy, policy, tokensPerSecondBySeed }: PlannedPolicy,
  seeds: readonly number[],
  signal?: AbortSignal,
): Promise<Relaxation | null> {
  if (!usesDraft(policy) || !acceptance) return null;
  const rates = toRates(acceptance);
  const over = async (given: AcceptanceRates) =>
    throughputs(
      await new Trials({ ...job, acceptance: given }, seeds, signal).of({ strategy, policy }, seeds.length),
    );
  return {
    resource: 'acceptance',
    change: `acceptance x${acceptanceFactor}`,
    baselineBySeed:
      acceptance.kind === 'rates' ? tokensPerSecondBySeed.slice(0, seeds.length) : await over(rates),
    tokensPerSecondBySeed: await over(raise(rates)),
    isReplanned: false,
  };
}

function toRates(acceptance: Acceptance): AcceptanceRates {
  return acceptance.kind === 'rates' ? acceptance : averageRates(acceptance);
}

function raise(rates: AcceptanceRates): AcceptanceRates {
  return { ...rates, byPosition: rates.byPosition.map((rate) => Math.min(1, rate * acceptanceFactor)) };
}

/** The machine with more of one of its resources: of a lane, or of the memory that is no lane. */
interface RelaxedMachine {
  readonly name: string;
  readonly lane: LaneName | null;
  readonly machine: MachineModel;
}

/** With each of its resources raised by itself, storage last. */
export function relaxMachine(machine: MachineModel): RelaxedMachine[] {
  const ofLane = (lane: Lane): RelaxedMachine => ({
    name: isTransfer(lane) ? lane.name : `${lane.name} arithmetic`,
    lane: lane.name,
    machine: withLane(machine, lane.name, faster(lane)),
  });
  const ofMemory = ({ name, bytes }: Memory): RelaxedMachine => ({
    name: `${name} memory`,
    lane: null,
    machine: withMemory(machine, name, { bytes: bytes * factor }),
  });
  const isStorage = (lane: Lane) => isTransfer(lane) && lane.moves.from === 'disk';
  return [
    ...machine.lanes.filter((lane) => !isStorage(lane)).map(ofLane),
    ...machine.memories
      .filter(({ name }) => name !== 'disk')
      .reverse()
      .map(ofMemory),
    ...machine.lanes.filter(isStorage).map(ofLane),
  ];
}

/** A lane with all its rates raised and all its fixed times shortened. */
function faster(lane: Lane): Lane {
  const { variability, aloneFactor, width, cold } = lane;
  const conduct = {
    ...{ variability, width },
    ...(aloneFactor !== undefined && { aloneFactor }),
    ...(cold && { cold: { ...cold, secondsPerByte: cold.secondsPerByte / factor } }),
  };
  if (isTransfer(lane)) return { ...scaleNumbers(lane), ...conduct };
  return { ...scaleRates(lane), ...conduct, ...changedKinds(lane, scaleRates) };
}

function scaleRates<Rates extends KindRates>({ arithmetic, ...numbers }: Rates): Rates {
  return {
    ...scaleNumbers(numbers),
    ...(arithmetic ? { arithmetic: arithmetic.map(([rows, rate]) => [rows, rate * factor]) } : {}),
  } as Rates;
}

/** Rates go up, times go down; what is neither says how much there is to do, and stays. */
function scaleNumbers<Numbers extends object>(numbers: Numbers): Numbers {
  const scale = (field: string, value: unknown) => {
    if (typeof value !== 'number') return value;
    return field.endsWith('PerSecond') ? value * factor : value / factor;
  };
  return Object.fromEntries(
    Object.entries(numbers).map(([field, value]) => [field, scale(field, value)]),
  ) as Numbers;
}
