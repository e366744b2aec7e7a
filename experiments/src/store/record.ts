/**
 * The record of one run, as `run.json` holds it: declared once. What checks a file, the compiler's types, and what the
 * columns of tables are said to mean all come from here.
 */

import {
  type Acceptance,
  type Arithmetic,
  type FlatMachine,
  idleCauses,
  type LaneName,
  laneNames,
  type PhaseName,
  type Policy,
  strategyNames,
} from '@specoffload/engine';
import { type Checked, check, is, type Schema } from '@specoffload/input';
import { crossbarRecord } from './crossbar-record.js';
import { devicePowerRecord, deviceRecord, deviceUseRecord } from './device-record.js';
import { energyRecord } from './energy-record.js';
import { modelRecord } from './model-record.js';
import { noiseRecord } from './noise-record.js';
import { plannedRecord } from './planned-record.js';
import { proposingRecord } from './proposing-record.js';
import { toCurrentSchema } from './schema.js';
import { sharingRecord } from './sharing-record.js';
import { specs } from './spec.js';
import { count, digest, fraction, isoTime, keyed, keyedAtMost, setting } from './words.js';

export type { SettingValue } from './words.js';

const { amount, anyText, described, flag, mapOf, oneOf, orMissing, orNull } = is;
/** Fields that are not named are let through: a record is returned as it was read. */
const fields = is.picked;

/** Where a run stands in its experiment. */
export const pointRecord = fields({
  experiment: described(anyText, '', 'folder of the record'),
  definition: described(
    orMissing(digest),
    '',
    'of the definition that asked for it, which lies beside the record; missing in records of earlier versions',
  ),
  pointKey: described(
    digest,
    '',
    'digest of what was asked for, seed and repeat left out: only runs that share it are repeats of each other',
  ),
  axes: described(mapOf(setting), '', "the axes' values; a choice by its label"),
  settings: described(mapOf(setting), '', 'all that the point asked for, axes and derived settings included'),
  planned: described(
    orMissing(plannedRecord),
    '',
    'the pick, where the point asked for one of its own; left out: it named its policy',
  ),
});

const conditionsRecord = fields({
  stolenShare: described(fraction, '0 to 1', "processors' time that the hypervisor gave away"),
  othersShare: described(fraction, '0 to 1', "processors' time that other processes took"),
  isDisturbed: described(flag, '', 'whether either was too large to trust the run'),
});

const cacheFactors = {
  deviceCacheFactor: described(
    orMissing(amount),
    '',
    'what a byte of KV cache in device memory counts as, where that is not 1',
  ),
  draftCacheFactor: orMissing(amount),
};

const machineName = described(anyText, '', 'name of the machine');

const machineRecord = fields({
  name: machineName,
  device: described(
    orMissing(is.text),
    '',
    'kind of device that computed; left out: cpu, and in predictions, whose machine says it in numbers',
  ),
  lanes: fields({
    device: fields({
      cores: count,
      prefillCores: described(orMissing(count), '', 'while prompts are read; left out: the same'),
    }),
    host: fields({ cores: count }),
    disk: fields({ readsInFlight: count }),
  }),
  memory: fields({ deviceBytes: count, hostBytes: count, ...cacheFactors }),
  caps: described(
    fields({
      linkBytesPerSecond: orNull(amount),
      diskBytesPerSecond: orNull(amount),
      hostCacheBytesPerSecond: orMissing(amount),
      linkCacheBytesPerSecond: orMissing(amount),
      hostFlopsPerSecond: orMissing(amount),
      hostWeightBytesPerSecond: orMissing(amount),
      draftFlopsPerSecond: orMissing(amount),
    }),
    '',
    'null or, of KV cache, host arithmetic and draft, left out: not paced',
  ),
  core: described(
    oneOf(['native', 'twin']),
    '',
    'native: the C++ core, or its TypeScript twin; measured runs only',
  ),
});

/** The rates that a prediction was made with. */
const virtualMachineRecord = fields({
  name: machineName,
  lanes: keyedAtMost(laneNames, () => fields({})) as Schema as Schema<
    Pick<FlatMachine, 'disk' | 'link' | 'host' | 'device'>
  >,
  memory: fields({ deviceBytes: count, hostBytes: count, diskBytes: count, ...cacheFactors }),
  options: fields({
    interruptsDraft: flag,
    laneWidth: keyedAtMost(laneNames, () => count),
    variability: keyedAtMost(laneNames, () => amount),
    formats: described(
      orMissing(
        fields({
          weightElementBytes: orNull(amount),
          cacheElementBytes: amount,
          activationElementBytes: amount,
          largestPieceBytes: described(orNull(amount), 'B', 'null: without limit'),
        }),
      ),
      '',
      'bytes of a weight, a key or value, an activation, and of a piece of memory; missing in records of earlier versions',
    ),
    predictionVersion: described(orMissing(count), '', 'of the engine that predicted; left out: the first'),
  }),
});

const workload = {
  name: described(anyText, '', 'name of the prompts'),
  prompts: described(count, '', 'number of prompts'),
  promptTokens: described(count, 'tokens', 'of all prompts together'),
  maxNewTokens: described(count, 'tokens', 'limit of each sequence'),
  stopAtEos: flag,
  digest: described(digest, '', "sha256 of the prompts' token ids"),
};
const workloadRecord = fields(workload);

/** What a prediction takes for given beside the prompts' lengths. */
const virtualWorkloadRecord = fields({
  ...workload,
  acceptance: described(
    orNull(
      fields({ kind: oneOf(['rates', 'recorded']) satisfies Schema<Acceptance['kind']>, name: anyText }),
    ),
    '',
    'null when nothing is proposed',
  ),
  routingSkew: amount,
});

/** By lane: those of the local machine, or whatever a predicted one has. */
type Keyed = <Output>(
  names: readonly string[],
  schemaOf: (name: string) => Schema<Output>,
) => Schema<Readonly<Record<string, Output>>>;

const laneRecord = (phase: PhaseName, lane: LaneName) =>
  fields({
    busySeconds: described(amount, 's', `of ${phase} that the ${lane} lane was busy`),
    utilization: described(fraction, '0 to 1', `share of ${phase} that the ${lane} lane was busy`),
    bytes: described(amount, 'B', `that the ${lane} lane moved in ${phase}`),
    numTasks: count,
  });

const phaseRecord = (phase: PhaseName, lanes: Keyed) =>
  fields({
    seconds: described(amount, 's', phase),
    lanes: lanes(laneNames, (lane) => laneRecord(phase, lane)),
    deviceIdle: described(
      orMissing(keyed(idleCauses, () => amount)),
      's',
      'in which the device had nothing to do, by what it waited for; missing in records of earlier versions',
    ),
  });

const poolRecord = (memory: string) =>
  fields({
    peakBytes: described(amount, 'B', `most ${memory} memory in use`),
    budgetBytes: described(amount, 'B', `${memory} memory that was allowed`),
  });

/** What measured and predicted runs have in common. */
const outcome = (lanes: Keyed) => ({
  newTokens: described(count, 'tokens', "within each sequence's own limit"),
  generatedTokens: described(count, 'tokens', "with those beyond a sequence's own limit"),
  seconds: described(amount, 's', 'prefill and decode'),
  tokensPerSecond: described(amount, 'tokens/s', 'newTokens / seconds'),
  phases: fields({ prefill: phaseRecord('prefill', lanes), decode: phaseRecord('decode', lanes) }),
  ...proposingRecord,
  ...sharingRecord,
  memory: fields({ device: poolRecord('device'), host: poolRecord('host') }),
  bytesMoved: fields({
    disk: described(amount, 'B', 'read from disk'),
    link: described(amount, 'B', 'moved over the link'),
  }),
  passes: described(count, '', 'target passes, prefill included'),
  energy: energyRecord,
  crossbars: crossbarRecord,
});
const outcomeRecord = fields(outcome(keyedAtMost));

const resultRecord = fields({
  ...outcome(keyed),
  setupSeconds: described(
    amount,
    's',
    'before prefill: opening files, pinning, loading the draft; measured runs only',
  ),
  nearTies: described(count, 'tokens', 'that rounding could have chosen otherwise; measured runs only'),
  outputDigest: described(digest, '', 'digest of all new tokens; measured runs only'),
  directReads: described(flag, '', 'whether reads bypassed the page cache'),
  laneGaps: described(
    keyed(laneNames, () => fields({ median: amount, p95: amount, count })),
    's',
    "between one task's end and the next one's start on a lane that had work ready",
  ),
  arithmetic: described(
    orMissing(
      fields({
        computes: oneOf(['f32', 'f16', 'bf16']),
        accumulates: oneOf(['f32']),
        tieMargin: amount,
        routerTieMargin: amount,
      }),
    ) satisfies Schema<Arithmetic | undefined>,
    '',
    'how the device rounds, and the margins below which a choice is a tie; missing in records of earlier versions, whose device computed in f32',
  ),
  device: deviceRecord,
  deviceUse: deviceUseRecord,
  noiseEffect: noiseRecord,
  devicePower: devicePowerRecord,
});

const provenanceRecord = fields({
  version: described(orMissing(anyText), '', 'of the lab; left out: before records said it'),
  commit: orNull(described(anyText, '', 'of the code; null where nobody knows it')),
  dirty: orNull(described(flag, '', 'whether tracked files differed from the commit')),
  node: anyText,
  packages: described(mapOf(anyText), '', 'version by name, of what computes'),
  cpu: described(anyText, '', 'processor that ran or predicted it'),
  cores: described(count, '', 'of that processor'),
  kernels: described(
    orMissing(anyText),
    '',
    'level of vector instructions of the native kernels; left out: as compiled',
  ),
  memoryBytes: count,
});

export const recordSchema = 1;

const common = {
  schema: oneOf([recordSchema]),
  key: described(digest, '', 'digest of everything that determines the run, and its folder'),
  createdAt: described(isoTime, 'ISO 8601', 'start of the run, UTC'),
  strategy: described(oneOf(strategyNames) as Schema<string>, '', 'name of the strategy'),
  policy: described(mapOf(setting) as Schema as Schema<Policy>, '', 'resolved: every field has its value'),
  seed: described(count, '', 'of what is drawn'),
  repeat: described(count, '', 'number among the runs that differ in nothing else, from 0'),
  model: fields({
    target: modelRecord('target'),
    draft: described(orNull(modelRecord('draft')), '', 'null where no model proposes'),
  }),
  point: described(
    orMissing(pointRecord),
    '',
    "of an experiment that asked for this run; missing in runs that nobody's experiment asked for",
  ),
  provenance: provenanceRecord,
};

const specMeaning = 'what the run was before it ran; missing in records of earlier versions';

/** A run that happened. */
const measuredRecord = fields({
  ...{ ...common, kind: described(oneOf(['measured']), '', 'measured or simulated') },
  spec: described(orMissing(specs.measured), '', specMeaning),
  machine: machineRecord,
  workload: workloadRecord,
  result: resultRecord,
  conditions: described(orMissing(conditionsRecord), '', 'missing where nobody looked'),
});

/** A run that was predicted. */
const simulatedRecord = fields({
  ...{ ...common, kind: oneOf(['simulated']) },
  spec: described(orMissing(specs.simulated), '', specMeaning),
  machine: virtualMachineRecord,
  workload: virtualWorkloadRecord,
  result: outcomeRecord,
});

export type RunRecord = MeasuredRecord | SimulatedRecord;
export type MeasuredRecord = Checked<typeof measuredRecord>;
export type SimulatedRecord = Checked<typeof simulatedRecord>;
export type PointRecord = Checked<typeof pointRecord>;
export type ConditionsRecord = Checked<typeof conditionsRecord>;
export type ModelRecord = MeasuredRecord['model']['target'];
export type MachineRecord = Checked<typeof machineRecord>;
export type VirtualMachineRecord = Checked<typeof virtualMachineRecord>;
export type WorkloadRecord = Checked<typeof workloadRecord>;
export type VirtualWorkloadRecord = Checked<typeof virtualWorkloadRecord>;
export type OutcomeRecord = Checked<typeof outcomeRecord>;
export type ResultRecord = Checked<typeof resultRecord>;
export type PhaseRecord = OutcomeRecord['phases'][PhaseName];
export type LaneRecord = PhaseRecord['lanes'][LaneName];
export type ProvenanceRecord = Checked<typeof provenanceRecord>;

const runRecord: Schema<RunRecord> = is.variant('kind', {
  measured: measuredRecord,
  simulated: simulatedRecord,
});

/**
 * Reads `run.json`.
 * @param source named in the message, usually the file's path.
 * @throws UserError: `results/…/run.json: invalid result.seconds: "fast"; expected a number of at least 0`.
 */
export function parseRunRecord(input: unknown, source: string): RunRecord {
  const whole = { whole: 'record' };
  const record = toCurrentSchema(check(is.fields({}), input, source, whole), source, recordSchema);
  check(runRecord, record, source, whole);
  return record as unknown as RunRecord;
}

/** What the field at a path is said to be, such as `result.seconds`; of what predictions have too, the same. */
export function factsOf(path: string): is.Facts | undefined {
  return is.factsAt(measuredRecord, path.split('.'));
}
