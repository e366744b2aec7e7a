/** A plan in words, for people: the best policies, what binds them, what would help, and what the options gain. */

import {
  type Ladder,
  type LaneName,
  laneNames,
  type Plan,
  type PlannedPolicy,
  type Policy,
  type PolicyInput,
  type Sensitivity,
} from '@specoffload/engine';
import { formatCount, formatPercent, formatSeconds, plural, threeDigits } from './format.js';
import { alignFacts } from './report.js';
import { formatTable } from './table.js';

const laneWords: Readonly<Record<LaneName, string>> = {
  disk: 'disk (reading weights)',
  link: 'link (moving weights and caches to the device)',
  host: "host (the host's arithmetic)",
  device: "device (the device's arithmetic)",
};

export function describePlans(plans: readonly PlannedPolicy[], title: string): string {
  const utilization = ({ outcome }: PlannedPolicy, lane: LaneName) => {
    const { prefill, decode } = outcome.phases;
    return (prefill.lanes[lane].busySeconds + decode.lanes[lane].busySeconds) / outcome.seconds;
  };
  const table = formatTable<PlannedPolicy>(
    [
      { title: 'strategy', align: 'left', text: ({ strategy }) => strategy },
      { title: 'speculation', align: 'left', text: ({ policy }) => policy.speculation },
      { title: 'tokens/s', text: ({ outcome }) => threeDigits(outcome.tokensPerSecond) },
      { title: 'prefill', text: ({ outcome }) => formatSeconds(outcome.phases.prefill.seconds) },
      { title: 'decode', text: ({ outcome }) => formatSeconds(outcome.phases.decode.seconds) },
      { title: 'batch', text: ({ policy }) => `${policy.batches} x ${policy.decodeBatch}` },
      {
        title: 'candidates',
        text: ({ policy }) => (policy.speculation === 'none' ? '-' : String(policy.candidates)),
      },
      { title: 'draft cache', align: 'left', text: ({ policy }) => describeDraftCache(policy) },
      { title: 'pinned', text: ({ policy }) => String(policy.pinnedLayers) },
      ...laneNames.map((lane) => ({
        title: lane,
        text: (planned: PlannedPolicy) => formatPercent(utilization(planned, lane)),
      })),
    ],
    plans,
  );
  return `${title}\n${table}`;
}

/** The best policy in full, what binds it, and how near it is to that lane's bound. */
export function describeBest({ strategy, policy, outcome, binding }: PlannedPolicy): string {
  const facts = alignFacts([
    ['policy', `${strategy} ${describePolicy(policy)}`],
    ['predicted', `${threeDigits(outcome.tokensPerSecond)} tokens/s`],
    ['binding lane', `${laneWords[binding.lane]}, busy ${formatPercent(binding.utilization)} of the time`],
    [
      'bound',
      `${threeDigits(binding.boundTokensPerSecond)} tokens/s if it worked without a gap; reached ${formatPercent(outcome.tokensPerSecond / binding.boundTokensPerSecond)}`,
    ],
  ]);
  if (policy.draftCache === 'window' && policy.speculation !== 'none')
    facts.push(
      `assumes that a draft which sees only the last ${policy.draftWindow} tokens is accepted as often: give an acceptance that was measured so, or --draft-cache recompute for the best without a window`,
    );
  return facts.join('\n');
}

export function describeSensitivity(sensitivities: readonly Sensitivity[]): string {
  return `what would make the best policy faster\n${formatTable<Sensitivity>(
    [
      { title: 'change', align: 'left', text: ({ change }) => change },
      { title: 'tokens/s', text: ({ tokensPerSecond }) => threeDigits(tokensPerSecond) },
      { title: 'gain', text: ({ gain }) => formatGain(gain) },
    ],
    sensitivities,
  )}`;
}

export function describeLadder(
  { published, publishedAsCounted, steps, together }: Ladder,
  source: string,
): string {
  const rows: readonly (readonly [string, string, string])[] = [
    [`SpecOffload as published (${source})`, threeDigits(published.tokensPerSecond), '1.00x'],
    ...steps.map(({ option, fields, tokensPerSecond, gain }): [string, string, string] => [
      `  ${option}: ${describeFields(fields)}`,
      tokensPerSecond === null ? 'does not fit' : threeDigits(tokensPerSecond),
      gain === null ? '-' : `${gain.toFixed(2)}x`,
    ]),
    [
      'all together: the best policy',
      threeDigits(published.tokensPerSecond * together),
      `${together.toFixed(2)}x`,
    ],
  ];
  const table = formatTable<(typeof rows)[number]>(
    [
      { title: 'one option at a time', align: 'left', text: ([option]) => option },
      { title: 'tokens/s', text: ([, tokens]) => tokens },
      { title: 'gain', text: ([, , gain]) => gain },
    ],
    rows,
  );
  return `${table}\ntokens/s count what was asked for; as the released code counts, the published policy has ${threeDigits(publishedAsCounted)}`;
}

export function describeEffort({ numConsidered, numRefused, numSimulated }: Plan, seconds: number): string {
  return (
    `looked at ${formatCount(numConsidered)} policies in closed form, simulated ${numSimulated}, ` +
    `${plural(numRefused, 'candidate')} did not fit; ${seconds.toFixed(1)} s`
  );
}

/** The fields that say most, as flags would set them. */
export function describePolicy(policy: Policy): string {
  const drafts = policy.speculation !== 'none';
  const fields: PolicyInput = {
    ...{ batches: policy.batches, decodeBatch: policy.decodeBatch, microBatch: policy.microBatch },
    ...{ prefillBatch: policy.prefillBatch, prefillOrder: policy.prefillOrder },
    ...{ attention: policy.attention, prefillAttention: policy.prefillAttention },
    ...{ projections: policy.projections, cache: policy.cache },
    ...(drafts
      ? { candidates: policy.candidates, draftBatch: policy.draftBatch, draftCache: policy.draftCache }
      : {}),
    ...(drafts && policy.draftCache === 'window' ? { draftWindow: policy.draftWindow } : {}),
    ...(drafts ? { draftPlacement: policy.draftPlacement } : {}),
    ...(policy.hostShare > 0 ? { hostShare: policy.hostShare } : {}),
    ...(policy.experts === 'routed'
      ? { experts: policy.experts, hostExpertRows: policy.hostExpertRows }
      : {}),
    ...(policy.refill === 'yes' ? { refill: policy.refill } : {}),
    ...(policy.attentionWeights === 'resident' ? { attentionWeights: policy.attentionWeights } : {}),
    ...{ prefetchDepth: policy.prefetchDepth, pinnedLayers: policy.pinnedLayers },
    keptLayers: policy.keptLayers,
  };
  return describeFields(fields);
}

function describeFields(fields: PolicyInput): string {
  return Object.entries(fields)
    .map(([field, value]) => `${field} ${value}`)
    .join(', ');
}

function describeDraftCache({ speculation, draftCache, draftWindow }: Policy): string {
  if (speculation === 'none') return '-';
  return draftCache === 'window' ? `window ${draftWindow}` : draftCache;
}

function formatGain(gain: number): string {
  const percent = 100 * (gain - 1);
  return `${percent >= 0 ? '+' : ''}${percent.toFixed(1)} %`;
}
