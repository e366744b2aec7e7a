/** Finds the caps, the batch and the draft under which a small run has the ratios of a large one. */

import {
  type Acceptance,
  type Budgets,
  type Caps,
  type Checkpoint,
  computeLane,
  type MachineModel,
  noCaps,
  type PolicyInput,
  type SimulationRequest,
  smallest,
  UserError,
} from '@specoffload/engine';
import { withLimits } from '../inputs/caps.js';
import { type LaneShares, type PassLoads, simulateCourse, simulateLoads } from './loads.js';
import {
  cacheBytesOf,
  distance,
  expertFlops,
  isMatched,
  pairRatios,
  productRate,
  type RatioPair,
  type Ratios,
  ratiosOf,
  rowsPerExpert,
  widening,
} from './ratios.js';

/** A draft that could be run: a checkpoint, or what inflation would make of one. */
export interface DraftChoice {
  /** As `--draft` takes it: a directory, or `pair:93MB`. */
  readonly name: string;
  readonly checkpoint: Checkpoint;
}

export interface ChoiceRequest {
  readonly theirs: Ratios;
  /** Their rate of KV cache over the link, over that of their host's attention. */
  readonly cacheLinkOverHost: number;
  /** Of this machine, not capped. */
  readonly machine: MachineModel;
  readonly target: Checkpoint;
  readonly drafts: readonly DraftChoice[];
  /** Tokens of each prompt that is at hand. */
  readonly promptLengths: readonly number[];
  /** How many of them may be run at once. */
  readonly promptCounts: readonly number[];
  /** Of the run that is imitated; its batches are cut to the prompts here. */
  readonly policy: PolicyInput;
  readonly maxNewTokens: number;
  readonly acceptance: Acceptance;
  /** A run of SpecOffload may be predicted to take so long. */
  readonly longestSeconds: number;
  readonly onTried?: (tried: number, total: number) => void;
  readonly signal: AbortSignal;
}

export interface Choice {
  readonly draft: DraftChoice;
  readonly prompts: number;
  readonly policy: PolicyInput;
  /** null where this machine's own lane is slow enough. */
  readonly caps: Caps;
  readonly memory: Required<Budgets>;
  readonly loads: PassLoads;
  readonly ratios: readonly RatioPair[];
  /** Of SpecOffload, predicted with the caps. */
  readonly shares: LaneShares;
  readonly seconds: number;
}

/**
 * Tries every number of prompts with every draft, as fast as it is and so slow that the target's arithmetic takes its
 * share of a pass. Each gets the caps at which drafting takes as long, against a pass,
 * as theirs does, and the link and the host's attention what they take of theirs. Among those whose run is short
 * enough, the one with the most ratios matched wins, and of equals the nearest.
 *
 * @throws UserError when nothing fits into the memory, or every run would take too long.
 */
export async function chooseTunnel(request: ChoiceRequest): Promise<Choice> {
  const { drafts, promptCounts, onTried, signal } = request;
  const shapes = promptCounts.flatMap((prompts) =>
    drafts.flatMap((draft) => arithmeticFactors.map((arithmetic): Shape => ({ prompts, draft, arithmetic }))),
  );
  const choices: Choice[] = [];
  let refusal: UserError | null = null;
  for (const [index, shape] of shapes.entries()) {
    signal.throwIfAborted();
    onTried?.(index, shapes.length);
    try {
      choices.push(await fitShape(request, shape));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      refusal = error;
    }
  }
  if (choices.length === 0) throw refusal ?? new UserError('there is no draft and no prompt to choose from');
  const short = choices.filter(({ seconds }) => seconds <= request.longestSeconds);
  if (short.length === 0) {
    const shortest = smallest(choices.map(({ seconds }) => seconds));
    throw new UserError(
      `no run with these ratios is short enough: the shortest is predicted to take ${shortest.toFixed(0)} s; allow more with --seconds, or take a smaller target`,
    );
  }
  return short.reduce((best, next) => (isNearer(next, best) ? next : best));
}

function isNearer(a: Choice, b: Choice): boolean {
  const misses = ({ ratios }: Choice) => ratios.filter((pair) => !isMatched(pair)).length;
  if (misses(a) !== misses(b)) return misses(a) < misses(b);
  return distance(a.ratios) < distance(b.ratios);
}

interface Shape {
  readonly draft: DraftChoice;
  readonly prompts: number;
  /** The target's arithmetic may take so many times their share of a pass; null: whatever it takes. */
  readonly arithmetic: number | null;
}

/** A device that cannot be made faster is fast where the draft is slow; the nearer to 1, the longer is a run. */
const arithmeticFactors = [1, 1.5, 2, 3, null];

async function fitShape(request: ChoiceRequest, shape: Shape): Promise<Choice> {
  const { target, theirs } = request;
  const draft = shape.draft.checkpoint;
  const memory = await smallestBudgets(request, shape);
  const { caps, loads } = await fitCaps(request, shape, memory);
  const simulation = toSimulation(request, shape, memory, caps);
  const course = await simulateCourse(simulation);
  const { shares, seconds } = course;
  const policy = toPolicy(request.policy, shape.prompts);
  const { machine, promptLengths, maxNewTokens } = simulation;
  const ours = ratiosOf({ loads, course, machine, target, draft, policy, promptLengths, maxNewTokens });
  return {
    ...{ ...shape, caps, memory, loads, shares, seconds },
    policy,
    ratios: pairRatios(theirs, ours),
  };
}

/** Factors of the budget that keeps their share of the model on the device, until the run fits. */
const budgetFactors = [1, 1.1, 1.25, 1.5, 2, 3];

/**
 * Budgets in their proportion to the model; the device's a little larger where this engine's buffers need it. A byte of
 * KV cache on the device counts as what it stands for.
 */
async function smallestBudgets(request: ChoiceRequest, shape: Shape): Promise<Choice['memory']> {
  const { target, machine, theirs } = request;
  const share = theirs['device memory over model'] * widening(target, machine.formats);
  const hostBytes = Math.ceil(theirs['host memory over model'] * target.bytes);
  let refusal: unknown;
  for (const factor of budgetFactors) {
    const deviceBytes = Math.ceil(factor * share * target.bytes);
    const memory = { deviceBytes, hostBytes, ...cacheFactors(request, shape, deviceBytes) };
    try {
      await simulateCourse(toSimulation(request, shape, memory, noCaps));
      return memory;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      refusal = error;
    }
  }
  throw refusal;
}

/** By how much caches here are too small for the device memory: theirs is the measure. */
function cacheFactors(
  { theirs, target, machine, promptLengths, maxNewTokens }: ChoiceRequest,
  { draft, prompts }: Shape,
  deviceBytes: number,
) {
  const texts = { machine, promptLengths: promptLengths.slice(0, prompts), maxNewTokens };
  const factor = (checkpoint: Checkpoint, ratio: number) =>
    Math.max(1, toThreeDigits((ratio * deviceBytes) / cacheBytesOf(checkpoint, texts)));
  return {
    deviceCacheFactor: factor(target, theirs['KV cache over device memory']),
    draftCacheFactor: factor(draft.checkpoint, theirs['kept draft cache over device memory']),
  };
}

const mostSteps = 12;
const tolerance = 0.005;
/** Of KV cache and of a draft's arithmetic: far below what any host reads and any device computes. */
const crawl = 1e5;

/**
 * A pass is to last as long, against drafting, as theirs; of it, the link is to be busy for the share that it is
 * there. What is left to lengthen it by goes to attention, up to its share there, and then to the link.
 */
async function fitCaps(
  request: ChoiceRequest,
  shape: Shape,
  memory: Choice['memory'],
): Promise<{ caps: Caps; loads: PassLoads }> {
  const { theirs, cacheLinkOverHost } = request;
  const loadsUnder = (caps: Caps) => simulateLoads(toSimulation(request, shape, memory, caps));
  const drafting = await capDraft(request, shape, loadsUnder);
  const { draftSeconds, passSeconds } = await loadsUnder(drafting);
  const wantedSeconds = draftSeconds / theirs['draft over pass'];
  const uncapped = capHostArithmetic(request, shape, drafting, Math.max(wantedSeconds, passSeconds));
  const native = await loadsUnder(uncapped);
  if (wantedSeconds <= native.passSeconds)
    return { caps: capHostWeights(request, uncapped, native), loads: native };
  // At so low a rate, reading the cache is all that takes time: from it follow the bytes that a pass reads.
  const crawling = await loadsUnder({ ...uncapped, hostCacheBytesPerSecond: crawl });
  const cacheBytes = (crawling.hostSeconds - native.hostSeconds) * crawl;
  let linkSeconds = theirs['link over pass'] * wantedSeconds;
  let cacheSeconds = 0;
  for (let step = 1; ; step += 1) {
    const link = linkSeconds > native.linkSeconds ? toThreeDigits(native.linkBytes / linkSeconds) : null;
    const hostCache = cacheSeconds > 0 ? toThreeDigits(cacheBytes / cacheSeconds) : null;
    const paced: Caps = {
      ...uncapped,
      linkBytesPerSecond: link,
      hostCacheBytesPerSecond: hostCache,
      linkCacheBytesPerSecond: hostCache && toThreeDigits(hostCache * cacheLinkOverHost),
    };
    const caps = capHostWeights(request, paced, { ...native, linkSeconds });
    const loads = await loadsUnder(caps);
    const missingSeconds = wantedSeconds - loads.passSeconds;
    if (Math.abs(missingSeconds) < tolerance * wantedSeconds || step === mostSteps) return { caps, loads };
    const otherSeconds = loads.hostSeconds - cacheSeconds;
    const mostSeconds = Math.max(0, theirs['attention over pass'] * wantedSeconds - otherSeconds);
    const wanted = cacheSeconds + missingSeconds;
    cacheSeconds = Math.min(Math.max(wanted, 0), mostSeconds);
    // Where attention already takes its largest or its smallest share, the link lengthens the pass.
    if (wanted !== cacheSeconds) linkSeconds *= wantedSeconds / loads.passSeconds;
  }
}

/** So slow a draft that their proportion to it makes a pass of which the target's arithmetic takes such a share. */
async function capDraft(
  { theirs }: ChoiceRequest,
  { arithmetic }: Shape,
  loadsUnder: (caps: Caps) => Promise<PassLoads>,
): Promise<Caps> {
  if (arithmetic === null) return noCaps;
  const { deviceSeconds, draftSeconds } = await loadsUnder(noCaps);
  const share = arithmetic * theirs['arithmetic over pass'];
  const wantedSeconds = (theirs['draft over pass'] * deviceSeconds) / share;
  if (wantedSeconds <= draftSeconds) return noCaps;
  // At so low a rate, its products are all that takes time: from it follow the operations of a round.
  const crawling = await loadsUnder({ ...noCaps, draftFlopsPerSecond: crawl });
  return {
    ...noCaps,
    draftFlopsPerSecond: toThreeDigits((crawling.draftSeconds * crawl) / wantedSeconds),
  };
}

/** What all experts of a pass would take on the host, in its proportion to the pass. */
function capHostArithmetic(
  { theirs, machine, target, policy }: ChoiceRequest,
  { prompts }: Shape,
  caps: Caps,
  passSeconds: number,
): Caps {
  const rows = rowsPerExpert({ target, policy: toPolicy(policy, prompts) });
  const wanted = expertFlops(target, rows) / theirs['host arithmetic over pass'] / passSeconds;
  const isSlower = wanted < productRate(machine, 'host', rows);
  return { ...caps, hostFlopsPerSecond: isSlower ? toThreeDigits(wanted) : null };
}

/** What the host reads of an expert's weights, in its proportion to what the link brings. */
function capHostWeights({ theirs, machine, target }: ChoiceRequest, caps: Caps, loads: PassLoads): Caps {
  const linkBytesPerSecond = loads.linkBytes / loads.linkSeconds;
  const wanted =
    theirs['weights read by the host over the link'] * linkBytesPerSecond * widening(target, machine.formats);
  const isSlower = wanted < computeLane(machine, 'host').memoryBytesPerSecond;
  return { ...caps, hostWeightBytesPerSecond: isSlower ? toThreeDigits(wanted) : null };
}

function toSimulation(
  request: ChoiceRequest,
  { prompts, draft }: Shape,
  memory: Choice['memory'],
  caps: Caps,
): SimulationRequest {
  const { target, machine, policy, promptLengths, maxNewTokens, acceptance, signal } = request;
  return {
    ...{ target, draft: draft.checkpoint, maxNewTokens, acceptance, signal },
    strategy: 'specoffload',
    policy: toPolicy(policy, prompts),
    promptLengths: promptLengths.slice(0, prompts),
    machine: withLimits(machine, { ...memory, caps }),
  };
}

/**
 * As theirs, two batches in flight of what is here; prompts and draft steps go in their parts of a batch. How far ahead
 * weights come is counted in whole layers there and in single experts here, so as many as there is room for; all
 * memory is locked here alike, and all sequences end at one limit.
 */
function toPolicy(theirPolicy: PolicyInput, prompts: number): PolicyInput {
  const { prefetchDepth: _depth, pageLocked: _locked, ending: _ending, ...policy } = theirPolicy;
  const decodeBatch = Math.ceil(prompts / 2);
  const { decodeBatch: theirBatch = decodeBatch, prefillBatch, draftBatch } = policy;
  const partOf = (batch: number) => Math.max(leastPart, Math.ceil((batch / theirBatch) * decodeBatch));
  return {
    ...{ ...policy, batches: 2, decodeBatch },
    ...(prefillBatch && { prefillBatch: partOf(prefillBatch) }),
    ...(draftBatch && { draftBatch: partOf(draftBatch) }),
  };
}

/** Sequences of a step: of fewer, calls count rather than arithmetic. */
const leastPart = 2;

/** A rate as people write it. */
function toThreeDigits(value: number): number {
  return Number(value.toPrecision(3));
}
