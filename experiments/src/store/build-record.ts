/** From a run's request and result to its record. */

import type { Checkpoint, MachineSettings, RunResult } from '@specoffload/engine';
import { digestOf, type Json } from './canonical.js';
import {
  type MachineRecord,
  type ModelRecord,
  type ProvenanceRecord,
  type ResultRecord,
  type RunRecord,
  recordSchema,
  type WorkloadRecord,
} from './record.js';

/** Everything about a run but its number among its repeats, which the store finds. */
export interface MeasuredRun {
  readonly result: RunResult;
  readonly target: Checkpoint;
  /** null when the strategy did not speculate. */
  readonly draft: Checkpoint | null;
  readonly machine: Required<MachineSettings>;
  readonly workload: { readonly name: string; readonly prompts: readonly (readonly number[])[] };
  readonly maxNewTokens: number;
  readonly stopAtEos: boolean;
  readonly seed: number;
  readonly createdAt: Date;
  readonly provenance: ProvenanceRecord;
}

export function buildRecord(run: MeasuredRun, repeat: number): RunRecord {
  const record = {
    schema: recordSchema,
    kind: 'measured',
    createdAt: run.createdAt.toISOString(),
    strategy: run.result.strategy,
    policy: run.result.policy,
    seed: run.seed,
    repeat,
    model: { target: toModelRecord(run.target), draft: run.draft && toModelRecord(run.draft) },
    machine: toMachineRecord(run.machine, run.result.native),
    workload: toWorkloadRecord(run),
    result: toResultRecord(run.result),
    provenance: run.provenance,
  } as const;
  const { schema, kind, ...rest } = record;
  return { schema, key: keyOf(record), kind, ...rest };
}

/**
 * Digest of everything that determines a run: two runs with the same key are the same experiment. Who made it,
 * when and what came out are left out, and so are the names of models and workloads, whose digests count.
 */
export function keyOf(record: Omit<RunRecord, 'key' | 'createdAt' | 'result' | 'provenance'>): string {
  const { schema, kind, strategy, policy, seed, repeat, model, machine, workload } = record;
  const { name: _machineName, ...machineSettings } = machine;
  const { maxNewTokens, stopAtEos, digest } = workload;
  const determining = {
    ...{ schema, kind, strategy, policy, seed, repeat },
    models: { target: model.target.digest, draft: model.draft?.digest ?? null },
    machine: machineSettings,
    workload: { maxNewTokens, stopAtEos, digest },
  };
  // Half of sha256 is plenty for a folder's name.
  return digestOf(determining as unknown as Json).slice(0, 32);
}

function toModelRecord({ name, parameters, bytes, digest }: Checkpoint): ModelRecord {
  return { name, parameters, bytes, digest };
}

function toMachineRecord(machine: Required<MachineSettings>, core: 'native' | 'twin'): MachineRecord {
  return {
    name: 'local',
    lanes: {
      device: { cores: machine.deviceCores },
      host: { cores: machine.hostCores },
      disk: { readsInFlight: machine.readsInFlight },
    },
    memory: { deviceBytes: machine.deviceBytes, hostBytes: machine.hostBytes },
    caps: {
      linkBytesPerSecond: machine.linkBytesPerSecondCap,
      diskBytesPerSecond: machine.diskBytesPerSecondCap,
    },
    core,
  };
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
function toResultRecord(result: RunResult): ResultRecord {
  return {
    newTokens: result.newTokens,
    seconds: result.seconds,
    setupSeconds: result.setupSeconds,
    tokensPerSecond: result.tokensPerSecond,
    phases: result.phases,
    acceptance: result.acceptance,
    memory: result.memory,
    bytesMoved: result.bytesMoved,
    passes: result.passes,
    nearTies: result.nearTies,
    outputDigest: result.outputDigest,
    directReads: result.directReads,
    laneGaps: result.laneGaps,
  };
}
