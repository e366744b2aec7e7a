/** From a run's request and result to its record. */

import {
  type Checkpoint,
  type FlatMachine,
  flattenMachine,
  predictionVersion,
  prefillCoresOf,
  type RunOutcome,
  type RunResult,
  type SimulationRequest,
  type SimulationResult,
  usesDraft,
} from '@specoffload/engine';
import { plainCodecs } from '@specoffload/native';
import { type LocalSettings, namedFactors, recordedCaps } from '../inputs/caps.js';
import { hasCores } from '../inputs/cores.js';
import { namedDevice } from '../inputs/devices.js';
import { digestOf, type Json } from './canonical.js';
import type { NoiseEffectRecord } from './noise-record.js';
import {
  type ConditionsRecord,
  type MachineRecord,
  type MeasuredRecord,
  type ModelRecord,
  type OutcomeRecord,
  type PointRecord,
  type ProvenanceRecord,
  type ResultRecord,
  type RunRecord,
  recordSchema,
  type SimulatedRecord,
  type WorkloadRecord,
} from './record.js';
import {
  answersTo,
  askedIn,
  type CounterpartSpec,
  keyOfRun,
  type MeasuredSpec,
  type RunSpec,
  type SimulatedSpec,
  specOfPrediction,
} from './spec.js';

/** Of a run that an experiment asked for: its point, and the key it was given before it ran. */
export interface RunLocation {
  readonly key: string;
  readonly point: PointRecord;
}

/** Everything about a run but its number among its repeats, which the store finds. */
export interface MeasuredRun {
  /** Made before it ran. */
  readonly spec: MeasuredSpec;
  readonly result: RunResult & { readonly noiseEffect?: NoiseEffectRecord };
  readonly target: Checkpoint;
  /** Nothing to a run that did not speculate: its record names none. */
  readonly draft: Checkpoint | null;
  readonly machine: LocalSettings;
  readonly workload: { readonly name: string; readonly prompts: readonly (readonly number[])[] };
  readonly maxNewTokens: number;
  readonly stopAtEos: boolean;
  readonly seed: number;
  readonly createdAt: Date;
  readonly provenance: ProvenanceRecord;
  readonly location?: RunLocation;
  /** Left out, or null, where nobody looked. */
  readonly conditions?: ConditionsRecord | null;
}

export function buildRecord(run: MeasuredRun, repeat: number): MeasuredRecord {
  const record = {
    schema: recordSchema,
    kind: 'measured',
    createdAt: run.createdAt.toISOString(),
    strategy: run.result.strategy,
    policy: run.result.policy,
    seed: run.seed,
    repeat,
    model: toModels(run.spec, run.target, run.draft),
    machine: toMachineRecord(run.machine, run.result.native),
    workload: toWorkloadRecord(run),
    result: toResultRecord(run.result),
    ...(run.conditions ? { conditions: run.conditions } : {}),
    spec: run.spec,
    ...(run.location ? { point: run.location.point } : {}),
    provenance: run.provenance,
  } as const;
  const { schema, kind, ...rest } = record;
  return { schema, key: run.location?.key ?? keyOfRun(run.spec, record), kind, ...rest };
}

/** Everything about a prediction but its number among its repeats. */
export interface SimulatedRun {
  /** @default that of the request */
  readonly spec?: SimulatedSpec | CounterpartSpec;
  readonly request: SimulationRequest;
  readonly result: SimulationResult;
  /** What the workload is called. */
  readonly workload: string;
  readonly createdAt: Date;
  readonly provenance: ProvenanceRecord;
  readonly location?: RunLocation;
}

export function buildSimulatedRecord(run: SimulatedRun, repeat: number): SimulatedRecord {
  const { request, result } = run;
  const { machine, promptLengths, maxNewTokens, acceptance = null, routingSkew = 0, seed = 1 } = request;
  const flat = flattenMachine(machine);
  const { name, memory } = flat;
  const speculates = usesDraft(result.policy);
  const spec = run.spec ?? specOfPrediction(request);
  const record = {
    schema: recordSchema,
    kind: 'simulated',
    createdAt: run.createdAt.toISOString(),
    strategy: result.strategy,
    policy: result.policy,
    ...{ seed, repeat },
    model: toModels(spec, request.target, request.draft),
    machine: {
      name,
      lanes: Object.fromEntries(
        machine.lanes.map((lane) => [lane.name, flat[lane.name]]),
      ) as SimulatedRecord['machine']['lanes'],
      memory,
      options: toOptions(flat),
    },
    workload: {
      name: run.workload,
      prompts: promptLengths.length,
      promptTokens: promptLengths.reduce((sum, length) => sum + length, 0),
      ...{ maxNewTokens, stopAtEos: false, routingSkew },
      acceptance: speculates && acceptance ? { kind: acceptance.kind, name: acceptance.name } : null,
      // Lengths and acceptance are all that a prediction knows of prompts.
      digest: digestOf({
        promptLengths,
        acceptance: speculates && acceptance ? answersTo(result.policy)(acceptance) : null,
      } as unknown as Json),
    },
    result: toOutcomeRecord(result, memory),
    spec,
    ...(run.location ? { point: run.location.point } : {}),
    provenance: run.provenance,
  } as const;
  const { schema, kind, ...rest } = record;
  return { schema, key: run.location?.key ?? keyOfRun(spec, record), kind, ...rest };
}

function toModels(spec: RunSpec, target: Checkpoint, draft: Checkpoint | null): RunRecord['model'] {
  return {
    target: toModelRecord(target),
    draft: draft && askedIn(spec).models.draft !== null ? toModelRecord(draft) : null,
  };
}

function toOptions({ interruptsDraft, laneWidth, variability, formats }: FlatMachine) {
  const { largestPieceBytes } = formats;
  return {
    ...{ interruptsDraft, laneWidth, variability },
    // JSON has no word for a machine without limit on its pieces.
    formats: { ...formats, largestPieceBytes: Number.isFinite(largestPieceBytes) ? largestPieceBytes : null },
    // The first version is not named, as in a sweep's keys.
    ...((predictionVersion as number) === 1 ? {} : { predictionVersion }),
  };
}

function toModelRecord(checkpoint: Checkpoint): ModelRecord {
  const { name, parameters, bytes, digest, packedFrom } = checkpoint;
  const format = quantisedFormatOf(checkpoint);
  return {
    ...{ name, parameters, bytes, digest },
    ...(format !== null && { format }),
    ...(packedFrom !== undefined && { packedFrom }),
  };
}

const formats = new WeakMap<Checkpoint, string | null>();

/** The codec of most of its bytes, or null where values stand each by itself; a sweep makes thousands of records of one model. */
function quantisedFormatOf(checkpoint: Checkpoint): string | null {
  const known = formats.get(checkpoint);
  if (known !== undefined) return known;
  const bytes: Record<string, number> = {};
  for (const { dtype, byteLength } of checkpoint.tensors.values())
    bytes[dtype] = (bytes[dtype] ?? 0) + byteLength;
  const [most] = Object.keys(bytes).sort((one, other) => bytes[other] - bytes[one]);
  const format = !most || Object.hasOwn(plainCodecs, most) ? null : most;
  formats.set(checkpoint, format);
  return format;
}

function toMachineRecord(machine: LocalSettings, core: 'native' | 'twin'): MachineRecord {
  return {
    name: 'local',
    ...namedDevice(machine),
    lanes: {
      device: { cores: machine.deviceCores, ...otherCoresOfPrefill(machine) },
      host: { cores: machine.hostCores },
      disk: { readsInFlight: machine.readsInFlight },
    },
    memory: { deviceBytes: machine.deviceBytes, hostBytes: machine.hostBytes, ...namedFactors(machine) },
    caps: recordedCaps(machine.caps),
    core,
  };
}

/** While prompts are read, where those have others. */
function otherCoresOfPrefill(machine: LocalSettings): { readonly prefillCores?: number } {
  const prefillCores = prefillCoresOf(machine);
  return prefillCores === machine.deviceCores || !hasCores(machine.device) ? {} : { prefillCores };
}

function toWorkloadRecord({ workload, maxNewTokens, stopAtEos }: MeasuredRun): WorkloadRecord {
  return {
    name: workload.name,
    prompts: workload.prompts.length,
    promptTokens: workload.prompts.reduce((sum, ids) => sum + ids.length, 0),
    maxNewTokens,
    stopAtEos,
    digest: digestOf(workload.prompts),
  };
}

/** The result without its sequences and spans, which have files of their own. */
function toResultRecord(result: MeasuredRun['result']): ResultRecord {
  return {
    ...toOutcomeRecord(result, {
      deviceBytes: result.memory.device.budgetBytes,
      hostBytes: result.memory.host.budgetBytes,
    }),
    setupSeconds: result.setupSeconds,
    nearTies: result.nearTies,
    outputDigest: result.outputDigest,
    directReads: result.directReads,
    laneGaps: result.laneGaps,
    arithmetic: result.arithmetic,
    ...(result.device.link !== 'none' && { device: result.device, devicePower: result.devicePower }),
    ...(result.deviceUse && { deviceUse: result.deviceUse }),
    ...(result.noiseEffect && { noiseEffect: result.noiseEffect }),
  };
}

function toOutcomeRecord(
  outcome: RunOutcome,
  budgets: { readonly deviceBytes: number; readonly hostBytes: number },
): OutcomeRecord {
  const { newTokens, generatedTokens, seconds, tokensPerSecond, phases, acceptance, roundsByCandidates } =
    outcome;
  const {
    memoryBytes,
    bytesMoved,
    passes,
    proposingStoppedSeconds,
    routing,
    experts,
    energy,
    hostShares,
    ahead,
    splitSteps,
    crossbars,
  } = outcome;
  return {
    ...{ newTokens, generatedTokens, seconds, tokensPerSecond, phases, acceptance },
    ...(ahead ? { ahead } : {}),
    ...(roundsByCandidates ? { roundsByCandidates } : {}),
    ...(routing ? { routing } : {}),
    ...(experts ? { experts } : {}),
    ...(hostShares ? { hostShares } : {}),
    ...(splitSteps ? { splitSteps: splitSteps.map((some) => ({ ...some })) } : {}),
    ...(proposingStoppedSeconds === undefined ? {} : { proposingStoppedSeconds }),
    memory: Object.fromEntries(
      Object.entries(memoryBytes).map(([name, peakBytes]) => [
        name,
        { peakBytes, budgetBytes: (budgets as Readonly<Record<string, number>>)[`${name}Bytes`] },
      ]),
    ) as OutcomeRecord['memory'],
    ...{ bytesMoved, passes },
    ...(crossbars ? { crossbars } : {}),
    ...(energy === undefined ? {} : { energy }),
  };
}
