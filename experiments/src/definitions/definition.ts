/** What an experiment is: a question, points to run, and how often. Pure types; `parse.ts` reads the JSON form. */

import type {
  ArithmeticName,
  DrafterName,
  Policy,
  ProductNoise,
  SamplingInput,
  SamplingRule,
  TargetFormat,
} from '@specoffload/engine';
import type { CapSetting } from '../inputs/caps.js';
import type { SettingValue } from '../store/record.js';

/** Everything about a run that is no policy field. Sizes and rates are numbers, or written as `24GB`, `1.2GB/s`. */
export interface RunSettings
  extends Readonly<Record<CapSetting, string | number>>,
    Required<Omit<SamplingInput, 'seed' | 'rule'>> {
  readonly strategy: string;
  /** Catalogue name or directory (simulated: config.json is enough); `pair:2GB` is the shipped target, inflated. */
  readonly target: string;
  /** The same for the draft; `none`: no draft. */
  readonly draft: string;
  /** Who proposes, where something does. @default model: the draft model */
  readonly drafter: DrafterName;
  /** Simulated: a shipped machine or a machine file. Measured: `local`, or a file made by `specoffload tunnel`. */
  readonly machine: string;
  /** Shipped workload or prompt file; leave it out for `prompts` equal ones of `promptTokens`. */
  readonly workload: string;
  readonly prompts: number;
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  readonly deviceMemory: string | number;
  readonly hostMemory: string | number;
  /** A rate, rates by position, or an acceptance file; for predictions. */
  readonly acceptance: string | number | readonly number[];
  readonly accounting: 'useful' | 'as-published';
  /** Requests that come one after the other and wait until a batch is full: for `requestSeconds` and `requestCost`. */
  readonly requestsPerSecond: number;
  /** Energy and time of a request that costs 1. */
  readonly referenceJoules: number;
  readonly referenceSeconds: number;
  /** How unequally experts are chosen, see the engine's `routingSkew`. */
  readonly routingSkew: number;
  /** Simulated: what moves at once of a model without weights; by expert is ten times slower to predict. @default ffn */
  readonly unit: 'ffn' | 'expert';
  /**
   * How the target's matrices are stored, as `--target-format` takes it: imagined where a point is simulated; measured
   * ones pack bf16 without loss, once, into the cache, which `bf16_packed` asks for. @default as published
   */
  readonly targetFormat: TargetFormat;
  /** What a byte of KV cache in device memory counts as, see `Budgets` of the engine. */
  readonly deviceCacheFactor: number;
  readonly draftCacheFactor: number;
  /**
   * Strategy and policy are the planner's pick for this point's machine, models, budgets and prompts: with its drafter
   * to the choice, with any, or without. Strategy and policy fields that the point names stay. Measured points outside of
   * a tunnel are planned on `predictOn`; in a tunnel, the pick is the one in its file.
   */
  readonly planned: 'with draft' | 'with any drafter' | 'without draft';
  /** Measured: kind of device that computes, as `--device` takes it. */
  readonly device: string;
  /** Measured, where tokens are drawn: what becomes of candidates. @default coupled */
  readonly samplingRule: SamplingRule;
  /** Measured: what a GPU's products are computed in. */
  readonly arithmetic: ArithmeticName;
  readonly productNoise: number;
  readonly noisyGroups: ProductNoise['groups'];
  readonly deviceCores: number;
  /** While prompts are read. @default all that there are; in a tunnel deviceCores */
  readonly prefillCores: number;
  readonly hostCores: number;
  readonly readsInFlight: number;
}

/** A rate of the machine file by its path, such as `machine.link.bytesPerSecond`. */
type MachineRate = `machine.${string}`;

/** What a point asks for: run settings, policy fields and machine rates side by side. */
export type Settings = Partial<RunSettings> &
  Partial<Policy> & { readonly [rate: MachineRate]: number | string };

/** One value of an axis that sets several things at once: `{ label: 'FlexGen', settings: { strategy: 'flexgen' } }`. */
export interface Choice {
  readonly label: string;
  readonly settings: Settings;
}

/** Settings of the points whose axes have these values; a choice by its label. */
export interface Case {
  readonly when: Readonly<Record<string, string | number>>;
  readonly settings: Settings;
}

/** A setting's values, or, under a name of its own, choices or numbers for expressions to use. */
export type Axis = readonly (SettingValue | Choice)[];

/** Each of {@link ExperimentDefinition.metric}. */
export interface BanditSettings {
  /** @default what the first run reached */
  readonly priorMean?: number;
  /** How far points may lie from each other. @default 0.3 of the mean */
  readonly priorSigma?: number;
  /** Of runs of one point. @default 0.02 of the mean */
  readonly noiseSigma?: number;
}

export interface ExperimentDefinition {
  /** Folder under `results/`: small letters, digits and hyphens. */
  readonly name: string;
  /** What it answers, one sentence. */
  readonly question: string;
  readonly kind: 'measured' | 'simulated';
  /** Column that is optimised and plotted, larger is better unless `lowerIsBetter`. @default tokensPerSecond */
  readonly metric?: string;
  readonly lowerIsBetter?: boolean;
  /** What all points share. */
  readonly settings: Settings;
  /** Every combination is a point; the last axis varies fastest. */
  readonly axes: Readonly<Record<string, Axis>>;
  /** What a value of one axis alone cannot say, such as each system's batch on each dataset; later ones win. */
  readonly cases?: readonly Case[];
  /** Settings computed from axes and other settings by a mathjs expression: `{ prefillBatch: 'decodeBatch / 4' }`. */
  readonly derived?: Readonly<Record<string, string>>;
  /** Expressions that must all be true for a point to run: `candidates <= 8 or decodeBatch < 64`. */
  readonly filters?: readonly string[];
  /**
   * Measured: predicts every point too, on this machine file made by `specoffload profile`, with the acceptance that
   * was recorded on the same texts; `this`: the file that profile writes unless told otherwise.
   */
  readonly predictOn?: string;
  /** Runs of every point; a prediction comes out the same every time, only its seeds differ. @default 3 measured, 1 simulated */
  readonly repeats?: number;
  /** Unrecorded runs before the first recorded one. @default 1 measured, 0 simulated */
  readonly warmups?: number;
  /** Seeds of what is drawn; each is a run of its own. @default [1] */
  readonly seeds?: readonly number[];
  /** What a search by Thompson sampling believes before it has run anything, and how noisy it takes runs to be. */
  readonly bandit?: BanditSettings;
  /** Axis values that others are compared with, such as `{ system: 'FlexGen' }`; pairs share all other axes. */
  readonly baseline?: Readonly<Record<string, string | number>>;
  /** Replaces fields of the definition under `--quick`; `settings` and `axes` are merged by name. */
  readonly quick?: Partial<
    Pick<ExperimentDefinition, 'settings' | 'axes' | 'filters' | 'repeats' | 'warmups' | 'seeds'>
  >;
}

/** The identity, for its type: an experiment file's default export. */
export function defineExperiment(definition: ExperimentDefinition): ExperimentDefinition {
  return definition;
}
