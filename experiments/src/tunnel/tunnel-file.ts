/** The tunnel's file: what a run must be given to resemble another one. Written by `tunnel`, read by `run` and sweeps. */

import {
  arithmetics,
  laneNames,
  type Policy,
  type PolicyInput,
  parsePolicy,
  policyFields,
  strategyNames,
  UserError,
} from '@specoffload/engine';
import { type Checked, check, is, maybeReadJson, type Schema } from '@specoffload/input';
import { capNames, mostCacheFactor } from '../inputs/caps.js';
import { parseDevice, usualDevice } from '../inputs/devices.js';
import { keyed } from '../store/words.js';
import type { LaneShares } from './loads.js';
import type { TunnelPlan } from './plans.js';
import { ratioNames } from './ratios.js';

export const tunnelSchema = 3;

const cap = is.orNull(is.numberFrom(1000, 1e18));
const pool = is.numberFrom(4096, 2 ** 46);
const cacheFactor = is.numberFrom(1, mostCacheFactor);
const cores = is.wholeFrom(1, 1024);
/** A sum of durations may exceed the whole by its rounding. */
const share = is.numberFrom(0, 1 + 1e-9, 'a number from 0 to 1');
const shares: Schema<LaneShares> = keyed(laneNames, () => share);
const policy = is.parsed(parsePolicy);

/** Said where there is an expert cache; files that are older than it have none. */
const ofExpertCache = ['cachedOnDevice', 'cachedOnHost'];

/** What a job decides has to be said; a field with one usual value may be younger than the file. */
const missingIn = (given: PolicyInput) =>
  Object.entries(policyFields).find(
    ([name, field]) =>
      typeof field.default === 'object' &&
      !Object.hasOwn(given, name) &&
      !(ofExpertCache.includes(name) && (given.expertCache ?? 'none') === 'none'),
  )?.[0];
const plan: Schema<TunnelPlan> = is.picked({
  strategy: is.oneOf(strategyNames),
  policy: is.that(
    policy,
    (given) => missingIn(given) === undefined,
    (given) => `a complete one, but ${missingIn(given)} is missing`,
  ) as Schema<Policy>,
  tokensPerSecond: is.amount,
});
const laterPlan = is.orElse(is.orNull(plan), null);

export type Tunnel = Checked<typeof tunnel>;
const tunnel = is.onlyFields({
  kind: is.oneOf(['tunnel'], '"tunnel", in a file made by specoffload tunnel'),
  schema: is.oneOf([tunnelSchema], `${tunnelSchema}; make the tunnel again with specoffload tunnel`),
  name: is.text,
  /** The run that is imitated. */
  like: is.picked({ machine: is.text, target: is.text, draft: is.text, dataset: is.text }),
  /** `pair:600MB` is the shipped model, inflated; else a checkpoint directory. */
  models: is.picked({ target: is.text, draft: is.text }),
  /** A file that is older than a cap does not pace it. */
  caps: keyed(capNames, (name) => (name === 'draftFlopsPerSecond' ? is.orElse(cap, null) : cap)),
  cores: is.picked({ device: cores, host: cores }),
  /** Kind of it. */
  device: is.orElse(
    is.parsed((kind) => parseDevice(String(kind))),
    usualDevice,
  ),
  /** Its products; left out: fp32. */
  arithmetic: is.orMissing(is.oneOf(arithmetics)),
  memory: is.picked({
    ...{ deviceBytes: pool, hostBytes: pool },
    ...{ deviceCacheFactor: cacheFactor, draftCacheFactor: cacheFactor },
  }),
  workload: is.picked({
    name: is.text,
    prompts: is.wholeFrom(1, 65_536),
    maxNewTokens: is.wholeFrom(1, 1 << 20),
  }),
  /** What all strategies are given; what concerns speculation alone is nothing to those that do not speculate. */
  policy,
  /** What the planner picks in it; of FlexGen and with packed weights null in files that are older. */
  planned: is.picked({
    ...{ withDraft: is.orNull(plan), withoutDraft: is.orNull(plan) },
    ...{ flexgen: laterPlan, packed: laterPlan, flexgenPacked: laterPlan },
  }),
  ratios: is.listOf(is.picked({ name: is.oneOf(ratioNames), theirs: is.amount, ours: is.amount })),
  /** How many times as fast as the profile promises the draft is; null: not measured. */
  draftSpeed: is.orElse(is.orNull(is.numberFrom(1e-3, 1e3)), null),
  /** Specs of the rounds that were run for it, for people. */
  measuredBy: is.orMissing(is.listOf(is.fields({}))),
  /** Share of SpecOffload's decode during which each lane is busy, predicted for both. */
  lanes: is.picked({ theirs: shares, ours: shares }),
  /** What differs by more than a tenth, and why; a sentence each. */
  unmatched: is.listOf(is.text),
  /** Where the numbers come from. */
  sources: is.mapOf(is.text),
});

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
  return check(tunnel, json, source);
}
