/** The record of one run, as `run.json` holds it: schema 1 of the design, which DuckDB and the notebooks read. */

import type {
  Acceptance,
  Budgets,
  Formats,
  IdleCause,
  LaneName,
  MachineModel,
  PhaseName,
  Policy,
  PoolReport,
  RunResult,
} from '@specoffload/engine';

export const recordSchema = 1;

/** A value as a definition, a record and a table hold it; lists are acceptance rates by position. */
export type SettingValue = string | number | readonly number[];

export type RunRecord = MeasuredRecord | SimulatedRecord;

/** A run that happened. */
export interface MeasuredRecord extends RecordBase {
  readonly kind: 'measured';
  readonly machine: MachineRecord;
  readonly result: ResultRecord;
  /** Missing where nobody looked. */
  readonly conditions?: ConditionsRecord;
}

/** A run that was predicted. */
export interface SimulatedRecord extends RecordBase {
  readonly kind: 'simulated';
  readonly machine: VirtualMachineRecord;
  readonly workload: VirtualWorkloadRecord;
  readonly result: OutcomeRecord;
}

interface RecordBase {
  readonly schema: typeof recordSchema;
  /**
   * Digest of everything that determines the run, see `keyOf`; a sweep's runs are keyed by what was asked for instead,
   * which is known before they run. The name of the record's folder.
   */
  readonly key: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly strategy: string;
  /** Resolved: every field has its value. */
  readonly policy: Policy;
  readonly seed: number;
  /** 0-based number among the runs that differ in nothing else. */
  readonly repeat: number;
  readonly model: {
    readonly target: ModelRecord;
    /** null when the strategy does not speculate. */
    readonly draft: ModelRecord | null;
  };
  readonly workload: WorkloadRecord;
  /** The point of an experiment that asked for this run; missing in runs that nobody's experiment asked for. */
  readonly point?: PointRecord;
  readonly provenance: ProvenanceRecord;
}

/** Where a run stands in its experiment. */
export interface PointRecord {
  readonly experiment: string;
  /** Digest of the definition that asked for it, which lies beside the record; missing in records of earlier versions. */
  readonly definition?: string;
  /** Digest of what was asked for, repeat and seed left out: repeats of one point share it. */
  readonly pointKey: string;
  /** The axes' values; a choice by its label. */
  readonly axes: Readonly<Record<string, SettingValue>>;
  /** All that the point asked for, axes and derived settings included. */
  readonly settings: Readonly<Record<string, SettingValue>>;
}

/** What else the machine did during a measured run. */
export interface ConditionsRecord {
  /** Share of the processors' time that the hypervisor gave to other machines, 0 to 1. */
  readonly stolenShare: number;
  /** Share that other processes of this machine took, 0 to 1. */
  readonly othersShare: number;
  /** Whether either was large enough to distrust the run. */
  readonly isDisturbed: boolean;
}

export interface ModelRecord {
  readonly name: string;
  readonly parameters: number;
  /** As stored. */
  readonly bytes: number;
  /** sha256 over configuration, tensor headers and file sizes, hex. */
  readonly digest: string;
}

export interface MachineRecord {
  readonly name: string;
  readonly lanes: {
    readonly device: { readonly cores: number };
    readonly host: { readonly cores: number };
    readonly disk: { readonly readsInFlight: number };
  };
  /** What a byte of KV cache in device memory counts as is named where it is not 1. */
  readonly memory: Budgets;
  /** null or, of KV cache and host arithmetic, left out: not paced. */
  readonly caps: {
    readonly linkBytesPerSecond: number | null;
    readonly diskBytesPerSecond: number | null;
    readonly hostCacheBytesPerSecond?: number;
    readonly linkCacheBytesPerSecond?: number;
    readonly hostFlopsPerSecond?: number;
    readonly hostWeightBytesPerSecond?: number;
  };
  /** Core that ran: the C++ one or its TypeScript twin. */
  readonly core: 'native' | 'twin';
}

/** The rates that a prediction was made with. */
export interface VirtualMachineRecord {
  readonly name: string;
  readonly lanes: Pick<MachineModel, 'disk' | 'link' | 'host' | 'device'>;
  readonly memory: MachineModel['memory'];
  /** Lane widths, formats and whatever else changes a prediction. */
  readonly options: Pick<MachineModel, 'interruptsDraft' | 'laneWidth' | 'variability'> & {
    /** Bytes of a weight, a key or value, an activation, and of a piece of memory; missing in records of earlier versions. */
    readonly formats?: Omit<Formats, 'largestPieceBytes'> & {
      /** null: without limit. */
      readonly largestPieceBytes: number | null;
    };
    /** Of the engine that predicted; left out: the first. */
    readonly predictionVersion?: number;
  };
}

/** What a prediction takes for given beside the prompts' lengths. */
export interface VirtualWorkloadRecord extends WorkloadRecord {
  /** null when nothing is proposed. */
  readonly acceptance: { readonly kind: Acceptance['kind']; readonly name: string } | null;
  readonly routingSkew: number;
}

export interface WorkloadRecord {
  readonly name: string;
  /** How many. */
  readonly prompts: number;
  /** Of all prompts together. */
  readonly promptTokens: number;
  /** Per sequence. */
  readonly maxNewTokens: number;
  readonly stopAtEos: boolean;
  /** sha256 of the prompts' token ids, hex. */
  readonly digest: string;
}

/** What measured and predicted runs have in common. */
export interface OutcomeRecord {
  /** Within each sequence's own limit. */
  readonly newTokens: number;
  /** With those generated beyond a sequence's own limit. */
  readonly generatedTokens: number;
  /** Prefill and decode. */
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly phases: Readonly<Record<PhaseName, PhaseRecord>>;
  readonly acceptance: RunResult['acceptance'];
  readonly memory: { readonly device: PoolReport; readonly host: PoolReport };
  readonly bytesMoved: { readonly disk: number; readonly link: number };
  /** Target passes, prefill included. */
  readonly passes: number;
}

export interface ResultRecord extends OutcomeRecord {
  /** Before prefill: opening files, pinning, loading the draft. */
  readonly setupSeconds: number;
  /** New tokens that rounding could have chosen otherwise. */
  readonly nearTies: number;
  /** sha256 of all new token ids, hex. */
  readonly outputDigest: string;
  /** Whether reads bypassed the page cache. */
  readonly directReads: boolean;
  /** Seconds between one task's end and the next one's start on a lane that had work ready. */
  readonly laneGaps: RunResult['laneGaps'];
}

export interface PhaseRecord {
  readonly seconds: number;
  readonly lanes: Readonly<Record<LaneName, LaneRecord>>;
  /** Seconds in which the device had nothing to do, by what it waited for; missing in records of earlier versions. */
  readonly deviceIdle?: Readonly<Record<IdleCause, number>>;
}

export interface LaneRecord {
  readonly busySeconds: number;
  /** 0 to 1. */
  readonly utilization: number;
  readonly bytes: number;
  readonly numTasks: number;
}

export interface ProvenanceRecord {
  /** null outside a git checkout. */
  readonly commit: string | null;
  /** Whether tracked files differed from the commit. */
  readonly dirty: boolean | null;
  readonly node: string;
  /** Version by name, of what computes. */
  readonly packages: Readonly<Record<string, string>>;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
}
