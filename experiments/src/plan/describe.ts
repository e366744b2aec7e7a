/** A plan in words, for people: the choice and how sure it is, other kinds, what binds, and what the options gain. */

import {
  type Alternative,
  type Ladder,
  type LaneName,
  type Plan,
  type PlannedPolicy,
  type Policy,
  type PolicyInput,
  type TargetFormat,
  usesDraft,
} from '@specoffload/engine';
import { alignFacts } from '../job/describe-run.js';
import { describeSample } from '../statistics/index.js';
import { laterFields } from '../store/index.js';
import { formatCount, formatPercent, formatShare, plural, threeDigits } from '../terminal/format.js';
import { formatTable } from '../terminal/table.js';
import { bindingOf, type Gain, ratioBySeed, regretOf, throughputOf } from './certainty.js';

const laneWords: Readonly<Record<LaneName, string>> = {
  disk: 'disk (reading weights)',
  link: 'link (moving weights and caches to the device)',
  host: "host (the host's arithmetic)",
  device: "device (the device's arithmetic)",
};

/** The choice, and the best policy of every other kind: how it differs, and how fast it is beside the choice. */
export function describeChoice({ ranked, alternatives }: Plan, most: number): string {
  const [choice] = ranked as [PlannedPolicy];
  const rows = [
    { planned: choice, differences: [] },
    ...alternatives.slice(0, most),
  ] satisfies readonly Alternative[];
  const ratioOf = ({ planned }: Alternative) =>
    ratioBySeed(planned.tokensPerSecondBySeed, choice.tokensPerSecondBySeed);
  const isChoice = ({ planned }: Alternative) => planned === choice;
  const table = formatTable<Alternative>(
    [
      { title: 'strategy', align: 'left', text: ({ planned }) => planned.strategy },
      { title: 'speculation', align: 'left', text: ({ planned }) => planned.policy.speculation },
      ...(ranked.some(({ drafter }) => drafter !== undefined)
        ? [
            {
              ...{ title: 'drafter', align: 'left' as const },
              text: ({ planned }: Alternative) => planned.drafter ?? '-',
            },
          ]
        : []),
      { title: 'tokens/s', text: ({ planned }) => threeDigits(throughputOf(planned).median) },
      { title: '95 %', text: ({ planned }) => formatRange(throughputOf(planned), threeDigits) },
      { title: 'of choice', text: (row) => (isChoice(row) ? '1' : threeDigits(ratioOf(row).ratio ?? 1)) },
      { title: '95 %', text: (row) => (isChoice(row) ? '' : formatRange(ratioOf(row), threeDigits)) },
      { title: 'seeds', text: ({ planned }) => String(planned.tokensPerSecondBySeed.length) },
      { title: 'batch', text: ({ planned: { policy } }) => `${policy.batches} x ${policy.decodeBatch}` },
      {
        title: 'candidates',
        text: ({ planned: { policy } }) => (usesDraft(policy) ? String(policy.candidates) : '-'),
      },
      { title: 'draft cache', align: 'left', text: ({ planned }) => describeDraftCache(planned.policy) },
      {
        title: "in place of the choice's",
        align: 'left',
        text: ({ differences }) => differences.map(({ value }) => value).join('; ') || '(the choice)',
      },
    ],
    rows,
  );
  return `the choice, and the best of every other kind, predicted: medians over seeds, ratios seed by seed\n${table}`;
}

/** The choice in full, how sure it is, what binds it, and how near it is to its busiest lane's bound. */
export function describeBest(plan: Plan, gains: readonly Gain[]): string {
  const [{ strategy, policy, outcome, busiest, drafter, targetFormat }] = plan.ranked as [PlannedPolicy];
  const facts = alignFacts([
    ['policy', `${strategy} ${describePolicy(policy)}`],
    ...(drafter === undefined ? [] : [['drafter', `${drafter}, the best of those that were tried`] as const]),
    ...(targetFormat === undefined ? [] : [['weights', describeFormat(targetFormat)] as const]),
    ['predicted', describePredicted(plan)],
    ['regret', describeRegret(plan)],
    ['binds', describeBinding(gains)],
    [
      'busiest lane',
      `${laneWords[busiest.lane] ?? busiest.lane}, ${formatPercent(busiest.utilization)} of the time; without a gap in it ` +
        `${threeDigits(busiest.boundTokensPerSecond)} tokens/s, of which ${formatPercent(outcome.tokensPerSecond / busiest.boundTokensPerSecond)} are reached`,
    ],
  ]);
  if (policy.draftCache === 'window' && usesDraft(policy))
    facts.push(
      `assumes that a draft which sees only the last ${policy.draftWindow} tokens is accepted as often: give an acceptance that was measured so, or --draft-cache recompute for the best without a window`,
    );
  return facts.join('\n');
}

/** How weights are stored otherwise than the target's own. */
export function describeFormat(format: TargetFormat): string {
  return format === 'bf16_packed' ? `packed without loss (${format})` : format;
}

/** `67.7 tokens/s, 66.9 to 68.5 (95 %; median over the seeds 2 to 10, found on seed 1)` */
export function describePredicted({ ranked, seeds, searchSeed }: Plan): string {
  const sample = throughputOf(ranked[0] as PlannedPolicy);
  const range = sample.low === null ? '' : `, ${formatRange(sample, threeDigits)} (95 %)`;
  const over =
    seeds.length === 1 ? `on seed ${seeds[0]}` : `median over the seeds ${seeds[0]} to ${seeds.at(-1)}`;
  return `${threeDigits(sample.median)} tokens/s${range}; ${over}, found on seed ${searchSeed}`;
}

const notKnown = 'not known: fewer than 3 seeds tell nothing; give more with --seeds';

function describeRegret(plan: Plan): string {
  const regret = regretOf(plan);
  if (regret === null) return notKnown;
  const { expected, low, high, numFinalists } = regret;
  return (
    `${formatShare(expected)} expected, ${formatShare(low)} to ${formatShare(high)} (95 %): ` +
    `what the choice may lose against the best of ${plural(numFinalists, 'finalist')}`
  );
}

function describeBinding(gains: readonly Gain[]): string {
  if (gains.some(({ low }) => low === null)) return notKnown;
  const binding = bindingOf(gains);
  if (binding === null)
    return 'no single resource: more of any alone gains nothing that can be told from none';
  return `${binding.resource}: ${binding.change} gains most, ${formatGain(binding)}`;
}

export function describeGains(gains: readonly Gain[]): string {
  return `what would make it faster, with the better of this policy and what would be chosen instead\n${formatTable<Gain>(
    [
      { title: 'change', align: 'left', text: ({ change }) => change },
      { title: 'gain (95 %)', align: 'left', text: formatGain },
      { title: 'policy', align: 'left', text: ({ isReplanned }) => (isReplanned ? 'another' : 'the same') },
    ],
    gains,
  )}`;
}

export function describeLadder(
  { published, publishedBySeed, publishedAsCounted, steps }: Ladder,
  { ranked }: Plan,
  source: string,
): string {
  const [choice] = ranked as [PlannedPolicy];
  type Row = readonly [option: string, bySeed: readonly number[] | null];
  const rows: readonly Row[] = [
    [`SpecOffload as published (${source})`, publishedBySeed],
    ...steps.map(
      ({ option, fields, tokensPerSecondBySeed }): Row => [
        ['  '.concat(option), describeFields(fields)].filter(Boolean).join(': '),
        tokensPerSecondBySeed,
      ],
    ),
    ['all together: the choice', choice.tokensPerSecondBySeed],
  ];
  const ratioOf = (bySeed: readonly number[]) => ratioBySeed(bySeed, publishedBySeed);
  const table = formatTable<Row>(
    [
      { title: 'one option at a time', align: 'left', text: ([option]) => option },
      {
        title: 'tokens/s',
        text: ([, bySeed]) => (bySeed ? threeDigits(describeSample(bySeed).median) : 'does not fit'),
      },
      {
        title: 'ratio',
        text: ([, bySeed]) => (bySeed ? `${(ratioOf(bySeed).ratio ?? 1).toFixed(2)}x` : '-'),
      },
      {
        title: '95 %',
        text: ([, bySeed]) =>
          bySeed && bySeed !== publishedBySeed
            ? formatRange(ratioOf(bySeed), (ratio) => ratio.toFixed(2))
            : '',
      },
    ],
    rows,
  );
  return `${table}\ntokens/s count what was asked for; as the released code counts, the published policy has ${threeDigits(publishedAsCounted)} where it has ${threeDigits(published.tokensPerSecond)}`;
}

export function describeEffort(
  { numConsidered, numRefused, numSimulated, numClimbed, numPredictions }: Plan,
  seconds: number,
): string {
  return (
    `looked at ${formatCount(numConsidered)} policies in closed form, simulated ${numSimulated} on one seed, ` +
    `${numClimbed} runs on the way to better neighbours and ` +
    `${formatCount(numPredictions - numSimulated - numClimbed)} of finalists on others, ` +
    `${plural(numRefused, 'candidate')} did not fit; ${seconds.toFixed(1)} s`
  );
}

/** The fields that say most, as flags would set them. */
export function describePolicy(policy: Policy): string {
  const drafts = usesDraft(policy);
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
    ...unusualFields(policy),
  };
  return describeFields(fields);
}

/** Fields that leave what they are where nobody asks for more. */
function unusualFields(policy: Policy): PolicyInput {
  return Object.fromEntries(
    Object.entries(laterFields).flatMap(([field, usual]) => {
      const value = policy[field as keyof PolicyInput];
      return value === undefined || value === usual ? [] : [[field, value]];
    }),
  );
}

function describeFields(fields: PolicyInput): string {
  return Object.entries(fields)
    .map(([field, value]) => `${field} ${value}`)
    .join(', ');
}

function describeDraftCache({ speculation, draftCache, draftWindow }: Policy): string {
  if (!usesDraft({ speculation })) return '-';
  return draftCache === 'window' ? `window ${draftWindow}` : draftCache;
}

function formatGain({ ratio, low, high, isDistinguishable }: Gain): string {
  if (low === null || high === null) return 'not known';
  if (!isDistinguishable) return 'not distinguishable from none';
  const percent = (value: number) => `+${(100 * (value - 1)).toFixed(1)}`;
  return `${percent(ratio)} % (${percent(low)} to ${percent(high)} %)`;
}

/** `66.0 to 69.8`; a dash where there is no interval. */
export function formatRange(
  { low, high }: { readonly low: number | null; readonly high: number | null },
  format: (value: number) => string,
): string {
  return low === null || high === null ? '-' : `${format(low)} to ${format(high)}`;
}
