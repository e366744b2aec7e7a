/** From "like that run" to a tunnel: their ratios, this machine's rates, a choice, and what it could not match. */

import {
  type Acceptance,
  type ArithmeticName,
  type Checkpoint,
  cacheRate,
  computeLane,
  countHeads,
  describeModel,
  largest,
  loadTokenizer,
  type MachineModel,
  openCheckpoint,
  planInflation,
  type SimulationRequest,
  transferLane,
} from '@specoffload/engine';
import { mean } from 'simple-statistics';
import { withLimits } from '../inputs/caps.js';
import { namedArithmetic } from '../inputs/devices.js';
import { describeForeignCaps } from '../inputs/machine-caps.js';
import { openMachine } from '../inputs/machines.js';
import { locateModel } from '../inputs/models.js';
import { preparePackedTarget } from '../inputs/packed-target.js';
import { loadWorkload } from '../inputs/prompts.js';
import { describeConditions, watchConditions } from '../job/conditions.js';
import { displayPath, pairPaths } from '../paths.js';
import type { MeasuredSpec } from '../store/index.js';
import { unlessRefused } from '../terminal/errors.js';
import { threeDigits } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import { type Choice, type ChoiceRequest, chooseTunnel, type DraftChoice } from './choose.js';
import { simulateCourse, simulateLoads } from './loads.js';
import { type MeasuredRound, measureRound, withDraftSpeed } from './measure.js';
import { type OriginalOptions, openOriginal } from './original.js';
import { planInTunnel, rateOf } from './plans.js';
import { type Ratios, ratiosOf } from './ratios.js';
import { type Tunnel, tunnelSchema } from './tunnel-file.js';
import { describeRatio, explainUnmatched } from './unmatched.js';
import { unpackingShare } from './unpacking.js';

export interface TunnelOptions extends OriginalOptions {
  /** `pair:600MB` (the shipped model, inflated) or a checkpoint directory. */
  readonly target: string;
  /** The same; null: the shipped draft, inflated as far as the ratios want it. */
  readonly draft: string | null;
  /** This machine as `specoffload profile` measured it. */
  readonly machine: string;
  /** Shipped workload or prompt file. */
  readonly workload: string;
  /** null: as many as the ratios want. */
  readonly prompts: number | null;
  readonly cores: Tunnel['cores'];
  /** Kind of device that is to run in it. */
  readonly device: string;
  readonly arithmetic?: ArithmeticName;
  /** How often candidates are expected to stand here; null: as often as there. */
  readonly acceptance: Acceptance | null;
  /** Longest run of SpecOffload that may come out. */
  readonly seconds: number;
  /** Run a round for real, and take from it how long this draft takes. */
  readonly measures: boolean;
}

/** Prompts that are tried where nobody says how many: two batches of 2, 4, 8 and 16. */
const triedPrompts = [4, 8, 16, 32];

/** Sizes of the draft that are tried where nobody says which, as multiples of what keeps their share of the model. */
const triedDraftSizes = [0.25, 0.5, 1, 2];

/** @throws UserError when something is missing, does not fit, or takes too long. */
export async function createTunnel(
  options: TunnelOptions,
  output: Output,
  signal: AbortSignal,
): Promise<Tunnel> {
  const machine = await openMachine(options.machine);
  const foreignCaps = describeForeignCaps(machine);
  if (foreignCaps !== null) output.note(`tunnel: ${foreignCaps}`);
  const original = await openOriginal(options);
  const { request } = original;
  const loads = await simulateLoads(request);
  const course = await simulateCourse(request);
  const draft = request.draft as Checkpoint;
  const theirs = ratiosOf({ ...request, loads, course, draft, policy: request.policy ?? {} });

  const target = await openCheckpoint(await locateModel('target', options.target, output, signal));
  // What is paced rests on the weights as they are: a machine is no slower because less has to cross its link.
  const packed = await unlessRefused(() => preparePackedTarget(target, output, signal));
  const drafts = await openDrafts(options, theirs, target, output, signal);
  const prompts = await readPrompts(options, target);
  const promptLengths = prompts.map(({ length }) => length);
  const follower = output.follow();
  const choosing: ChoiceRequest = {
    ...{ theirs, machine, target, drafts, promptLengths, signal },
    cacheLinkOverHost: cacheLinkOverHost(request),
    promptCounts:
      options.prompts === null
        ? triedPrompts.filter((count) => count <= promptLengths.length)
        : [options.prompts],
    policy: request.policy ?? {},
    maxNewTokens: options.newTokens,
    acceptance: options.acceptance ?? (request.acceptance as Acceptance),
    longestSeconds: options.seconds,
    onTried: (tried, total) => follower.update(() => `tunnel: ${tried} of ${total} shapes tried`),
  };
  try {
    const chosen = options.measures
      ? await chooseByMeasuring(options, choosing, prompts, output)
      : {
          choice: await chooseTunnel(choosing),
          machine,
          draftSpeed: null,
          acceptance: choosing.acceptance,
          specs: [],
        };
    const { choice, acceptance } = chosen;
    follower.update(() => 'tunnel: planning in it');
    const inTunnel = {
      ...{ target, maxNewTokens: options.newTokens, promptLengths: promptLengths.slice(0, choice.prompts) },
      machine: withLimits(chosen.machine, { ...choice.memory, caps: choice.caps }),
    };
    const planned = await planInTunnel({
      ...{ ...inTunnel, packed, draft: choice.draft.checkpoint, acceptance, signal },
    });
    const here: SimulationRequest = {
      ...{ ...inTunnel, acceptance, signal, draft: choice.draft.checkpoint },
      ...{ strategy: 'specoffload', policy: choice.policy },
    };
    const unpacking = {
      theirs: await unpackingShare(request, loads),
      ours: await unpackingShare(here, choice.loads, packed),
    };
    return toTunnel(options, {
      ...{ ...chosen, planned, theirs: course.shares, request, promptLengths, unpacking },
    });
  } finally {
    follower.end();
  }
}

interface Chosen {
  readonly choice: Choice;
  /** This one, with the draft as fast as it was found to be. */
  readonly machine: MachineModel;
  /** Measured over promised; null: not measured. */
  readonly draftSpeed: number | null;
  /** How often candidates stand here. */
  readonly acceptance: Acceptance;
  /** Of the rounds that were run for it. */
  readonly specs: readonly MeasuredSpec[];
}

/** What is learnt of one size of the draft holds for the next one nearly: chooses again, and measures that one. */
async function chooseByMeasuring(
  options: TunnelOptions,
  choosing: ChoiceRequest,
  prompts: readonly (readonly number[])[],
  output: Output,
): Promise<Chosen> {
  const { machine } = choosing;
  const first = await measureDraft(options, choosing, await chooseTunnel(choosing), prompts, output);
  const second = await chooseTunnel({ ...choosing, machine: withDraftSpeed(machine, first.speed) });
  const measured = await measureDraft(options, choosing, second, prompts, output);
  const draftSpeed = first.speed * measured.speed;
  const acceptance = options.acceptance ?? measured.acceptance;
  const fast = withDraftSpeed(machine, draftSpeed);
  const choice = await chooseTunnel({
    ...choosing,
    ...{ drafts: [second.draft], promptCounts: [second.prompts], acceptance },
    ...{ machine: fast, longestSeconds: Number.POSITIVE_INFINITY },
  });
  return { choice, machine: fast, draftSpeed, acceptance, specs: [first.spec, measured.spec] };
}

/** How much faster their KV cache crosses the link than their host's attention reads it. */
function cacheLinkOverHost({ machine, target: { spec } }: SimulationRequest): number {
  const heads = countHeads(spec);
  const host = computeLane(machine, 'host');
  const link = transferLane(machine, 'link');
  return cacheRate(link, heads) / cacheRate({ ...host, ...host.kinds.attention }, heads);
}

/** How fast the chosen draft is, over what it was chosen for, and how often it is right. */
async function measureDraft(
  { cores, device, arithmetic }: TunnelOptions,
  { target, signal }: ChoiceRequest,
  choice: Choice,
  prompts: readonly (readonly number[])[],
  output: Output,
): Promise<Pick<MeasuredRound, 'spec'> & { readonly speed: number; readonly acceptance: Acceptance }> {
  const draft = await openCheckpoint(await locateModel('draft', choice.draft.name, output, signal));
  output.note('tunnel: running a round for real');
  const watch = watchConditions();
  const { loads, acceptance, spec } = await measureRound({
    ...{ choice, target, draft, cores, device, arithmetic, signal },
    prompts: prompts.slice(0, choice.prompts),
  });
  const conditions = await watch.stop();
  if (conditions?.isDisturbed)
    output.note(`tunnel: ${describeConditions(conditions)}; make it again when the machine is quiet`);
  return { speed: choice.loads.draftSeconds / loads.draftSeconds, acceptance: rateOf(acceptance!), spec };
}

/** What a draft may be: the one that was named, or the shipped one in several sizes. */
async function openDrafts(
  options: TunnelOptions,
  theirs: Ratios,
  target: Checkpoint,
  output: Output,
  signal: AbortSignal,
): Promise<readonly DraftChoice[]> {
  if (options.draft !== null) {
    const directory = await locateModel('draft', options.draft, output, signal);
    return [{ name: options.draft, checkpoint: await openCheckpoint(directory) }];
  }
  const source = await openCheckpoint(pairPaths.draft);
  return triedDraftSizes.flatMap((factor) => {
    const megabytes = Math.round((factor * theirs['draft over model'] * target.bytes) / 1e6);
    const bytes = megabytes * 1e6;
    if (bytes < source.bytes) return [];
    const { spec } = planInflation(source, { bytes });
    const name = `pair:${megabytes}MB`;
    return [{ name, checkpoint: describeModel({ name, spec }) }];
  });
}

async function readPrompts({ workload, prompts }: TunnelOptions, target: Checkpoint) {
  const vocabulary = {
    size: target.spec.vocabSize,
    tokenizer: await loadTokenizer(target.directory),
  };
  const loaded = await loadWorkload(workload, prompts ?? largest(triedPrompts), vocabulary);
  return loaded.prompts;
}

interface Found extends Chosen {
  readonly theirs: Tunnel['lanes']['theirs'];
  readonly request: Awaited<ReturnType<typeof openOriginal>>['request'];
  readonly planned: Tunnel['planned'];
  readonly promptLengths: readonly number[];
  /** Shares of a pass; null where nothing can be packed. */
  readonly unpacking: { readonly theirs: number | null; readonly ours: number | null };
}

function toTunnel(
  options: TunnelOptions,
  { theirs, request, choice, planned, draftSpeed, acceptance, specs, promptLengths, unpacking }: Found,
): Tunnel {
  const { like, dataset, cores, device, arithmetic, newTokens: maxNewTokens } = options;
  const { candidates, draftCache, draftBatch } = choice.policy;
  return {
    ...{ schema: tunnelSchema, kind: 'tunnel', name: `tunnel-${request.machine.name}` },
    like: {
      ...{ machine: like, dataset },
      target: request.target.name,
      draft: (request.draft as Checkpoint).name,
    },
    models: { target: options.target, draft: choice.draft.name },
    caps: choice.caps,
    ...{ cores, device, ...namedArithmetic({ arithmetic }) },
    memory: choice.memory,
    workload: { name: options.workload, prompts: choice.prompts, maxNewTokens },
    policy: {
      ...(candidates ? { candidates } : {}),
      ...(draftCache ? { draftCache } : {}),
      ...(draftBatch ? { draftBatch } : {}),
    },
    planned,
    ratios: choice.ratios,
    draftSpeed,
    ...(specs.length > 0 ? { measuredBy: specs } : {}),
    lanes: { theirs, ours: choice.shares },
    unmatched: explainUnmatched(choice, {
      ...{ theirPromptTokens: largest(request.promptLengths), longestSeconds: options.seconds },
      ourPromptTokens: Math.round(mean(promptLengths.slice(0, choice.prompts))),
    }),
    sources: {
      theirs: `simulated: SpecOffload as published on ${request.machine.name}, batches of the paper's scripts for ${dataset}`,
      ours: `simulated with the rates of ${displayPath(options.machine)}, link, KV cache and the host's arithmetic capped; prompts, draft and caps chosen among those whose run is predicted to take at most ${options.seconds} s`,
      draft:
        draftSpeed === null
          ? 'at the rates of the profile, which was made with a draft of another size'
          : `measured: ${threeDigits(draftSpeed)} times as fast as the profile promises`,
      acceptance:
        options.acceptance !== null
          ? options.acceptance.name
          : draftSpeed === null
            ? `taken to be theirs, ${describeRates(acceptance)}`
            : `${describeRates(acceptance)}, as a round here showed it`,
      ...(unpacking.theirs === null || unpacking.ours === null
        ? {}
        : {
            unpacking: `of a pass with packed weights the device takes ${describeRatio(unpacking.theirs)} there and ${describeRatio(unpacking.ours)} here to unpack, predicted; nothing paces it`,
          }),
      planned: `searched with the acceptance above, at most ${choice.prompts} sequences`,
    },
  };
}

function describeRates(acceptance: Acceptance): string {
  return acceptance.kind === 'rates' ? acceptance.byPosition.join(', ') : acceptance.name;
}
