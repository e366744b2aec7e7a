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
  readonly policy: Pick<PolicyInput, 'candidates' | 'draftCache' | 'draftBatch'>;
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
 * Tries every number of prompts with every draft. Each gets the caps at which drafting takes as long, against a pass,
 * as theirs does, and the link and the host's attention what they take of theirs. Among those whose run is short
 * enough, the one with the most ratios matched wins, and of equals the nearest.
 *
 * @throws UserError when nothing fits into the memory, or every run would take too long.
 */
export async function chooseTunnel(request: ChoiceRequest): Promise<Choice> {
  const { drafts, promptCounts, onTried, signal } = request;
  const shapes = promptCounts.flatMap((prompts) => drafts.map((draft) => ({ prompts, draft })));
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
}

async function fitShape(request: ChoiceRequest, shape: Shape): Promise<Choice> {
  const { target, theirs } = request;
  const draft = shape.draft.checkpoint;
  const memory = await smallestBudgets(request, shape);
  const { caps: fitted, loads } = await fitCaps(request, shape, memory);
  const caps = capHostWeights(request, fitted, loads);
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
      await simulateLoads(toSimulation(request, shape, memory, noCaps));
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
/** Of KV cache: far below what any host reads. */
const crawlBytesPerSecond = 1e5;

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
  const uncapped = capHostArithmetic(request, shape);
  const native = await loadsUnder(uncapped);
  const wantedSeconds = native.draftSeconds / theirs['draft over pass'];
  if (wantedSeconds <= native.passSeconds) return { caps: uncapped, loads: native };
  // At so low a rate, reading the cache is all that takes time: from it follow the bytes that a pass reads.
  const crawling = await loadsUnder({ ...uncapped, hostCacheBytesPerSecond: crawlBytesPerSecond });
  const cacheBytes = crawling.hostSeconds * crawlBytesPerSecond;
  const mostHostSeconds = theirs['attention over pass'] * wantedSeconds;
  let linkSeconds = theirs['link over pass'] * wantedSeconds;
  let { hostSeconds } = native;
  for (let step = 1; ; step += 1) {
    const link = linkSeconds > native.linkSeconds ? toThreeDigits(native.linkBytes / linkSeconds) : null;
    const hostCache = hostSeconds > native.hostSeconds ? toThreeDigits(cacheBytes / hostSeconds) : null;
    const caps: Caps = {
      ...uncapped,
      linkBytesPerSecond: link,
      hostCacheBytesPerSecond: hostCache,
      linkCacheBytesPerSecond: hostCache && toThreeDigits(hostCache * cacheLinkOverHost),
    };
    const loads = await loadsUnder(caps);
    const missingSeconds = wantedSeconds - loads.passSeconds;
    if (Math.abs(missingSeconds) < tolerance * wantedSeconds || step === mostSteps) return { caps, loads };
    const wanted = hostSeconds + missingSeconds;
    hostSeconds = Math.min(Math.max(wanted, native.hostSeconds), mostHostSeconds);
    // Where attention already takes its largest or its smallest share, the link lengthens the pass.
    if (wanted !== hostSeconds) linkSeconds *= wantedSeconds / loads.passSeconds;
  }
}

/** The host's arithmetic in its proportion to the device's: here both are the same cores. */
function capHostArithmetic({ theirs, machine, target, policy }: ChoiceRequest, { prompts }: Shape): Caps {
  const rows = rowsPerExpert({ target, policy: toPolicy(policy, prompts) });
  const wanted = theirs['host arithmetic over device arithmetic'] * productRate(machine, 'device', rows);
  const isSlower = wanted < productRate(machine, 'host', rows);
  return { ...noCaps, hostFlopsPerSecond: isSlower ? toThreeDigits(wanted) : null };
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

/** Two batches in flight, as SpecOffload runs them; a draft step takes a whole one where it is no larger than theirs. */
function toPolicy(policy: ChoiceRequest['policy'], prompts: number): PolicyInput {
  const decodeBatch = Math.ceil(prompts / 2);
  const draftBatch = Math.min(policy.draftBatch ?? decodeBatch, decodeBatch);
  return { ...policy, batches: 2, decodeBatch, draftBatch };
}

/** A rate as people write it. */
function toThreeDigits(value: number): number {
  return Number(value.toPrecision(3));
}
