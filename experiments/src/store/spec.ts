/**
 * What a run is before it runs: everything that its outcome depends on, in one spelling, made in one place whoever asks.
 * Seed and repeat stand beside it, see {@link Turn}. What has the same digest is the same run.
 */

import {
  type Acceptance,
  type Checkpoint,
  type Drafter,
  type DrafterName,
  drafterNamed,
  flattenMachine,
  isDescribed,
  type MachineModel,
  needsDraft,
  type PolicyInput,
  type ProductNoise,
  predictionVersion,
  productNoiseFields,
  type SamplingInput,
  type SimulationRequest,
  type Strategy,
  type StrategyName,
  speculates,
  spellSampling,
  strategyNames,
  targetFormats,
} from '@specoffload/engine';
import { type Checked, is, type Schema } from '@specoffload/input';
import { type LocalSettings, namedFactors, namedPrefillCores, recordedCaps } from '../inputs/caps.js';
import { namedDevice } from '../inputs/devices.js';
import { digestOf, digestOnce, type Json } from './canonical.js';
import { type Requests, requestsChoice } from './requests.js';
import { count, digest, setting } from './words.js';

const { amount, described, flag, listOf, mapOf, oneOf, orMissing, orNull } = is;
const fields = is.picked;

/**
 * What only a spec says of a run, each left out where it is what it was before there was a choice. A new one is a line
 * here and one in `choicesOf`: keys, comparisons and reports follow.
 */
const choices = {
  drafter: described(
    orMissing(is.text),
    '',
    'who proposes in place of a draft model; left out where one does, or nobody',
  ),
  unit: described(
    orMissing(oneOf(['expert'])),
    '',
    'what moves at once of a model without weights; left out where that is a whole FFN',
  ),
  targetFormat: described(
    orMissing(oneOf(targetFormats)),
    '',
    "of a prediction: how the target's matrices are imagined to be stored; left out: as they are published",
  ),
  draws: described(
    orMissing(oneOf(['common'])),
    '',
    'of a prediction: those that all policies of a seed share; left out where they are its own',
  ),
  sampling: described(
    orMissing(mapOf(setting) as Schema as Schema<SamplingInput>),
    '',
    "of a run: how tokens are drawn, where it is not as usual; the seed is the run's; left out: the most likely are chosen",
  ),
  arithmetic: described(
    orMissing(oneOf(['bf16'])),
    '',
    'of a run: what the device rounds the factors of its products to; left out: fp32, nothing',
  ),
  productNoise: described(
    orMissing(fields({ size: productNoiseFields.size, groups: productNoiseFields.groups })),
    '',
    "of a run: noise of analogue products, drawn by the run's seed; left out: none",
  ),
  stops: described(orMissing(listOf(is.text)), '', 'of a run: texts that end a sequence; left out: none'),
  requests: requestsChoice,
};
const choiceFields = fields(choices);
export type Choices = Checked<typeof choiceFields>;

const asked = {
  ...choices,
  strategy: oneOf(strategyNames) as Schema<string>,
  policy: described(
    mapOf(setting) as Schema as Schema<PolicyInput>,
    '',
    'as asked for: what is left out takes its default',
  ),
  maxNewTokens: count,
  models: fields({ target: digest, draft: orNull(digest) }),
  prompts: described(digest, '', "of the prompts' token ids; of a prediction, of their numbers of tokens"),
};

const measuredSpec = fields({
  kind: oneOf(['measured']),
  ...asked,
  stopAtEos: flag,
  machine: described(
    mapOf(is.either('a number, a text or null', amount, is.text, orNull(amount))) as Schema<
      Readonly<Record<string, string | number | null>>
    >,
    '',
    'budgets, cores and caps; what came later, such as the device, is named where it is not what it was before',
  ),
});

const predicted = {
  kind: oneOf(['simulated']),
  version: described(orMissing(count), '', 'of the engine that predicts; left out: the first'),
  machine: described(digest, '', 'of all rates of the machine'),
};

const simulatedSpec = fields({
  ...{ ...predicted, ...asked, routingSkew: amount },
  acceptance: described(orNull(digest), '', 'null where nothing is proposed'),
});

/** The prediction of a measured run, with the acceptance that its own texts show. */
const counterpartSpec = fields({ ...predicted, of: measuredSpec });

export type MeasuredSpec = Checked<typeof measuredSpec>;
export type SimulatedSpec = Checked<typeof simulatedSpec>;
export type CounterpartSpec = Checked<typeof counterpartSpec>;
export type RunSpec = MeasuredSpec | SimulatedSpec | CounterpartSpec;

export const specs = {
  measured: measuredSpec,
  simulated: is.either('what was asked for', counterpartSpec, simulatedSpec) as Schema<
    SimulatedSpec | CounterpartSpec
  >,
};

/** Of texts and who was held against them, which is no run: how often a drafter is right. */
export interface AcceptanceSpec {
  readonly kind: 'acceptance';
  /** That wrote the texts. */
  readonly of: MeasuredSpec;
  /** Digest of the draft model; null where none proposes. */
  readonly draft: string | null;
  readonly drafter?: string;
  /** Longest stretch that was tried. */
  readonly candidates: number;
  /** Where tokens were drawn. */
  readonly seed?: number;
}

/** One of the runs of a spec. */
export interface Turn {
  readonly seed: number;
  /** 0-based. */
  readonly repeat: number;
}

/** What a run is asked for. What concerns proposing is nothing to one that does not speculate: it is not named. */
interface Job {
  readonly strategy: StrategyName | Strategy;
  readonly policy?: PolicyInput;
  readonly target: Checkpoint;
  readonly draft: Checkpoint | null;
  readonly drafter?: DrafterName | Drafter | undefined;
  readonly draws?: SimulationRequest['draws'] | undefined;
  readonly maxNewTokens: number;
}

/** Of a run on this machine. */
export function specOfRun(
  job: Job & {
    readonly machine: LocalSettings;
    readonly workload: { readonly prompts: readonly (readonly number[])[] };
    readonly stopAtEos: boolean;
    readonly sampling?: SamplingInput | undefined;
    readonly stops?: readonly string[];
    readonly productNoise?: Omit<ProductNoise, 'seed'> | undefined;
    readonly requests?: Requests | undefined;
  },
): MeasuredSpec {
  return {
    kind: 'measured',
    ...askedOf(job, spelled(job, job.machine)),
    stopAtEos: job.stopAtEos,
    machine: identify(job.machine),
    prompts: digestOnce(job.workload.prompts),
  };
}

/** What is not asked for is not named: runs keep the keys that they had before it could be. */
function spelled(
  {
    sampling,
    stops = [],
    productNoise,
    requests,
  }: Pick<Parameters<typeof specOfRun>[0], 'sampling' | 'stops' | 'productNoise' | 'requests'>,
  { arithmetic }: LocalSettings,
): Choices {
  const asked = sampling && spellSampling(sampling);
  return {
    ...(asked ? { sampling: asked } : {}),
    ...(arithmetic ? { arithmetic } : {}),
    ...(productNoise && productNoise.size > 0 ? { productNoise } : {}),
    ...(stops.length > 0 ? { stops } : {}),
    ...(requests ? { requests } : {}),
  };
}

/** Of a prediction. */
export function specOfPrediction(
  request: Omit<SimulationRequest, 'seed' | 'signal'>,
  requests?: Requests,
): SimulatedSpec {
  const { machine, promptLengths, acceptance, routingSkew = 0 } = request;
  return {
    ...predictedOn(machine),
    ...{ ...askedOf(request, requests ? { requests } : {}), routingSkew },
    prompts: digestOnce(promptLengths),
    acceptance:
      acceptance && speculates(request.strategy, request.policy ?? {})
        ? digestOnce(acceptance, answersTo(request.policy ?? {}))
        : null,
  };
}

/**
 * What of an acceptance a prediction asks: what it was recorded of is told beside, and decides nothing. Second choices
 * are asked by who verifies alternates, and nobody else.
 */
export function answersTo({ alternates = 0 }: PolicyInput): (acceptance: Acceptance) => Acceptance {
  return alternates > 0 ? allAnswersOf : firstAnswersOf;
}

function firstAnswersOf(acceptance: Acceptance): Acceptance {
  const { name } = acceptance;
  if (acceptance.kind === 'rates') return { kind: 'rates', name, byPosition: acceptance.byPosition };
  const { candidates, newTokens, sequences, proposed } = acceptance;
  return { kind: 'recorded', name, candidates, newTokens, sequences, ...(proposed ? { proposed } : {}) };
}

/** What a planner asks, which may choose alternates. */
export function allAnswersOf(acceptance: Acceptance): Acceptance {
  const first = firstAnswersOf(acceptance);
  if (acceptance.kind === 'recorded')
    return { ...first, ...(acceptance.ranks && { ranks: acceptance.ranks }) };
  const { secondChoice } = acceptance;
  return { ...first, ...(secondChoice !== undefined && { secondChoice }) };
}

/** @param who was held against the texts of a run */
export function specOfAcceptance(
  of: MeasuredSpec,
  who: Pick<Job, 'draft' | 'drafter'> & { readonly sampling?: SamplingInput | undefined },
  candidates: number,
): AcceptanceSpec {
  const drafter = drafterNamed(who.drafter, who.draft);
  return {
    ...{ kind: 'acceptance', of, candidates, draft: drafter?.checkpoint?.digest ?? null },
    ...(drafter && !needsDraft(who.drafter) ? { drafter: drafter.name } : {}),
    ...(of.sampling && who.sampling?.seed !== undefined ? { seed: who.sampling.seed } : {}),
  };
}

export function specOfCounterpart(of: MeasuredSpec, machine: MachineModel): CounterpartSpec {
  return { ...predictedOn(machine), of };
}

/** What was asked for: by itself, or of the run that is predicted. */
export function askedIn(spec: RunSpec): MeasuredSpec | SimulatedSpec {
  return 'of' in spec ? spec.of : spec;
}

/** None in records of earlier versions, which hold no spec. */
export function choicesIn(spec: RunSpec | undefined): Choices {
  if (spec === undefined) return {};
  const given: Readonly<Record<string, unknown>> = askedIn(spec);
  return Object.fromEntries(
    Object.keys(choices).flatMap((name) => (given[name] === undefined ? [] : [[name, given[name]]])),
  );
}

/** @param others what the engine is not told, or only a run can be asked for */
function askedOf(job: Job, others: Choices = {}) {
  const { strategy, policy = {}, target, maxNewTokens } = job;
  const drafter = speculates(strategy, policy) ? drafterNamed(job.drafter, job.draft) : null;
  return {
    strategy: typeof strategy === 'string' ? strategy : strategy.name,
    ...{ policy, maxNewTokens },
    models: { target: target.digest, draft: drafter?.checkpoint?.digest ?? null },
    ...{ ...choicesOf(job, drafter), ...others },
  };
}

function choicesOf(job: Job, drafter: Drafter | null): Choices {
  const movesByExpert = [job.target, drafter?.checkpoint].some(
    (model) => model && isDescribed(model) && model.layers.some(({ experts }) => experts.length > 1),
  );
  return {
    ...(drafter === null || needsDraft(job.drafter) ? {} : { drafter: drafter.name }),
    ...(movesByExpert ? { unit: 'expert' } : {}),
    ...(job.target.format ? { targetFormat: job.target.format } : {}),
    ...(job.draws === 'common' ? { draws: 'common' } : {}),
  };
}

/** The first version is not named: records that were made before there was a second one keep their keys. */
function predictedOn(machine: MachineModel) {
  const version = (predictionVersion as number) === 1 ? {} : { version: predictionVersion };
  return { kind: 'simulated', ...version, machine: digestOnce(machine, flattenMachine) } as const;
}

/** Later caps and factors are named where there are any: what was run before there were keeps its key. */
function identify({
  caps,
  deviceCacheFactor,
  draftCacheFactor,
  device,
  prefillCores,
  arithmetic: _, // is a choice
  ...others
}: LocalSettings): MeasuredSpec['machine'] {
  return {
    ...others,
    ...namedFactors({ ...others, deviceCacheFactor, draftCacheFactor }),
    ...namedDevice({ device }),
    ...namedPrefillCores({ ...others, prefillCores }),
    ...Object.fromEntries(Object.entries(recordedCaps(caps)).map(([name, rate]) => [`${name}Cap`, rate])),
  };
}

/** Half of sha256 is plenty for a folder's name. */
const shortDigestOf = (value: unknown) => digestOf(value as Json).slice(0, 32);

/** Of a point of an experiment: its axes' values, and what they come to. All its runs share it. */
export function keyOfPoint(axes: Readonly<Record<string, unknown>>, spec: RunSpec): string {
  return shortDigestOf({ schema: 1, axes, identity: spec });
}

/** Of a run that no experiment asked for: a point without axes. */
export function keyOfRun(spec: RunSpec, turn: Turn): string {
  return keyOfTurn(keyOfPoint({}, spec), turn);
}

/** Of one of a point's runs, known before it runs. */
export function keyOfTurn(pointKey: string, { seed, repeat }: Turn): string {
  return shortDigestOf({ point: pointKey, seed, repeat });
}
