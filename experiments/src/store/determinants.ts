/** What a record says of everything that determined its run: all there is of records that do not hold a spec. */

import type { PolicyInput } from '@specoffload/engine';
import { digestOf, type Json } from './canonical.js';
import type { RunRecord } from './record.js';
import { choicesIn } from './spec.js';

/** `Omit` for each member of a union. */
type OmitEach<Union, Fields extends PropertyKey> = Union extends unknown ? Omit<Union, Fields> : never;

type Determining = OmitEach<RunRecord, 'key' | 'createdAt' | 'result' | 'provenance'>;

/** Fields of policies that came after the first records, with what those did: so they are left out, and mean the same. */
export const laterFields: PolicyInput = {
  adaptCandidates: 'no',
  alternates: 0,
  alternateTokens: 1,
  joinBatches: 'no',
  keptExperts: 'copied',
  keptAttention: 'copied',
  draftLayers: 0,
  residents: 'layers',
  coalesceExperts: 'no',
  expertCache: 'none',
  expertPrefetch: 'none',
  foreseenLayers: 1,
  cachedOnDevice: 0,
  cachedOnHost: 0,
  balance: 'given',
  outcomes: 1,
  overlap: 'sub-batches',
  leastOnHost: 1,
  crossbars: 'none',
  crossbarLayers: 0,
};

/**
 * Who made it, when and what came out are left out, and so are the names of models and workloads, whose digests count.
 */
export function determiningOf(record: Determining) {
  const { schema, kind, strategy, policy, seed, repeat, model, machine, workload } = record;
  const { name: _machineName, ...machineSettings } = machine;
  const { name: _workloadName, prompts: _prompts, promptTokens: _promptTokens, ...asked } = workload;
  return {
    ...{ schema, kind, strategy, policy: withoutLater(policy), seed, repeat },
    models: { target: model.target.digest, draft: model.draft?.digest ?? null },
    ...choicesIn(record.spec),
    machine: machineSettings,
    workload: asked,
  };
}

function withoutLater(policy: RunRecord['policy']): Partial<RunRecord['policy']> {
  return Object.fromEntries(
    Object.entries(policy).filter(
      ([field, value]) => !(field in laterFields && laterFields[field as keyof PolicyInput] === value),
    ),
  );
}

/** The key of a run that no experiment asked for, as versions gave it that stored no spec. */
export function earlierKeyOf(record: Determining): string {
  return digestOf(determiningOf(record) as unknown as Json).slice(0, 32);
}
