/** The tunnel's file: what a run must be given to resemble another one. Written by `tunnel`, read by `run` and sweeps. */

import {
  type Budgets,
  type LaneName,
  laneNames,
  type Policy,
  type PolicyInput,
  parsePolicy,
  policyFields,
  strategyNames,
  UserError,
} from '@specoffload/engine';
import { maybeReadJson } from '@specoffload/input';
import { type Caps, mostCacheFactor } from '../inputs/caps.js';
import { Fields } from '../inputs/fields.js';
import type { LaneShares } from './loads.js';
import type { TunnelPlan, TunnelPlans } from './plans.js';
import { type RatioPair, ratioNames } from './ratios.js';

export const tunnelSchema = 3;

export interface Tunnel {
  readonly schema: typeof tunnelSchema;
  readonly kind: 'tunnel';
  readonly name: string;
  /** The run that is imitated. */
  readonly like: {
    readonly machine: string;
    readonly target: string;
    readonly draft: string;
    readonly dataset: string;
  };
  /** `pair:600MB` is the shipped model, inflated; else a checkpoint directory. */
  readonly models: { readonly target: string; readonly draft: string };
  readonly caps: Caps;
  readonly cores: { readonly device: number; readonly host: number };
  readonly memory: Required<Budgets>;
  readonly workload: { readonly name: string; readonly prompts: number; readonly maxNewTokens: number };
  /** What all strategies are given; what concerns speculation alone is nothing to those that do not speculate. */
  readonly policy: PolicyInput;
  /** What the planner picks in it, with a draft to its choice and without. */
  readonly planned: TunnelPlans;
  readonly ratios: readonly RatioPair[];
  /** How many times as fast as the profile promises the draft is; null: not measured. */
  readonly draftSpeed: number | null;
  /** Share of SpecOffload's decode during which each lane is busy, predicted for both. */
  readonly lanes: { readonly theirs: LaneShares; readonly ours: LaneShares };
  /** What differs by more than a tenth, and why; a sentence each. */
  readonly unmatched: readonly string[];
  /** Where the numbers come from. */
  readonly sources: Readonly<Record<string, string>>;
}

const mostBytes = 1 << 20;

/** @throws UserError when it is missing, no JSON, or no tunnel. */
export async function openTunnel(path: string): Promise<Tunnel> {
  const json = await maybeReadJson(path, mostBytes, {}, 'give a file made by specoffload tunnel');
  if (json !== null) return parseTunnel(json, path);
  throw new UserError(`cannot read the tunnel ${path}; make one with specoffload tunnel --out ${path}`);
}

/**
 * Checks a tunnel that came from outside.
 * @throws UserError naming source, field, value and what was expected.
 */
export function parseTunnel(json: unknown, source: string): Tunnel {
  const fields = new Fields(json, source);
  fields.assertKnown(tunnelFields);
  if (fields.raw('kind') !== 'tunnel')
    fields.refuse('kind', '"tunnel", in a file made by specoffload tunnel');
  if (fields.raw('schema') !== tunnelSchema)
    fields.refuse('schema', `${tunnelSchema}; make the tunnel again with specoffload tunnel`);
  const part = (name: keyof Tunnel) => fields.object(name);
  const rateOrNull = (cap: keyof Caps) =>
    part('caps').orNull(cap, (field) => part('caps').between(field, 1000, 1e18));
  const pool = (name: 'deviceBytes' | 'hostBytes') => part('memory').between(name, 4096, 2 ** 46);
  const cacheFactor = (name: 'deviceCacheFactor' | 'draftCacheFactor') =>
    part('memory').between(name, 1, mostCacheFactor);
  const plan = (name: keyof TunnelPlans) =>
    part('planned').orNull(name, () => parsePlan(part('planned').object(name), source));
  return {
    ...{ schema: tunnelSchema, kind: 'tunnel', name: fields.text('name') },
    like: {
      machine: part('like').text('machine'),
      target: part('like').text('target'),
      draft: part('like').text('draft'),
      dataset: part('like').text('dataset'),
    },
    models: { target: part('models').text('target'), draft: part('models').text('draft') },
    caps: {
      linkBytesPerSecond: rateOrNull('linkBytesPerSecond'),
      diskBytesPerSecond: rateOrNull('diskBytesPerSecond'),
      hostCacheBytesPerSecond: rateOrNull('hostCacheBytesPerSecond'),
      linkCacheBytesPerSecond: rateOrNull('linkCacheBytesPerSecond'),
      hostFlopsPerSecond: rateOrNull('hostFlopsPerSecond'),
      hostWeightBytesPerSecond: rateOrNull('hostWeightBytesPerSecond'),
    },
    cores: { device: part('cores').count('device', 1024), host: part('cores').count('host', 1024) },
    memory: {
      ...{ deviceBytes: pool('deviceBytes'), hostBytes: pool('hostBytes') },
      ...{
        deviceCacheFactor: cacheFactor('deviceCacheFactor'),
        draftCacheFactor: cacheFactor('draftCacheFactor'),
      },
    },
    workload: {
      name: part('workload').text('name'),
      prompts: part('workload').count('prompts', 65_536),
      maxNewTokens: part('workload').count('maxNewTokens', 1 << 20),
    },
    policy: parsePolicyOf(fields, source),
    planned: { withDraft: plan('withDraft'), withoutDraft: plan('withoutDraft') },
    ratios: fields.list('ratios', (entry) => ({
      name: entry.word('name', ratioNames),
      theirs: entry.between('theirs', 0, Number.MAX_VALUE),
      ours: entry.between('ours', 0, Number.MAX_VALUE),
    })),
    draftSpeed:
      fields.raw('draftSpeed') === undefined
        ? null
        : fields.orNull('draftSpeed', (field) => fields.between(field, 1e-3, 1e3)),
    lanes: { theirs: parseShares(part('lanes'), 'theirs'), ours: parseShares(part('lanes'), 'ours') },
    unmatched: fields.texts('unmatched'),
    sources: Object.fromEntries(part('sources').names.map((name) => [name, part('sources').text(name)])),
  };
}

const tunnelFields: readonly (keyof Tunnel)[] = [
  ...(['schema', 'kind', 'name', 'like', 'models', 'caps', 'cores', 'memory', 'workload'] as const),
  ...(['policy', 'planned', 'ratios', 'draftSpeed', 'lanes', 'unmatched', 'sources'] as const),
];

function parsePlan(fields: Fields, source: string): TunnelPlan {
  const policy = parsePolicyOf(fields, source);
  const missing = Object.keys(policyFields).find((field) => !Object.hasOwn(policy, field));
  if (missing !== undefined) fields.refuse('policy', `a complete one, but ${missing} is missing`);
  return {
    strategy: fields.word('strategy', strategyNames),
    policy: policy as Policy,
    tokensPerSecond: fields.between('tokensPerSecond', 0, Number.MAX_VALUE),
  };
}

function parsePolicyOf(fields: Fields, source: string): PolicyInput {
  try {
    return parsePolicy(fields.raw('policy'));
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${source}: ${error.message}`);
    throw error;
  }
}

function parseShares(lanes: Fields, whose: 'theirs' | 'ours'): LaneShares {
  const fields = lanes.object(whose);
  // A sum of durations may exceed the whole by its rounding.
  const share = (lane: LaneName) => fields.between(lane, 0, 1 + 1e-9);
  return Object.fromEntries(laneNames.map((lane) => [lane, share(lane)])) as Record<LaneName, number>;
}
