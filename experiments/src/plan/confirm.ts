/** Finalists of a plan, run for real by turns: a short measured round that confirms the choice or changes it. */

import {
  largest,
  type Plan,
  type PlannedPolicy,
  type RoutingReport,
  type RunResult,
  usesDraft,
} from '@specoffload/engine';
import { turned } from '../job/turns.js';
import { describeSample, type PairedRatio, pairedRatio, type SampleSummary } from '../statistics/index.js';
import { formatShare, threeDigits } from '../terminal/format.js';
import { formatTable } from '../terminal/table.js';
import { describeFormat, describePolicy, formatRange } from './describe.js';

/** One run of a finalist. */
export type RunFinalist = (planned: PlannedPolicy, newTokens: number) => Promise<MeasuredFinalist>;

export type MeasuredFinalist = Pick<RunResult, 'newTokens' | 'seconds' | 'phases'> & {
  readonly routing?: RoutingReport | null | undefined;
};

export interface ConfirmOptions {
  readonly rounds: number;
  /** Of each sequence, in the job. */
  readonly maxNewTokens: number;
  readonly run: RunFinalist;
  readonly onRun?: (planned: PlannedPolicy, tokensPerSecond: number) => void;
}

/** A finalist, and what it wrote a second, round by round. */
export interface ConfirmedFinalist {
  readonly planned: PlannedPolicy;
  /** Scaled to the job's new tokens. */
  readonly tokensPerSecond: readonly number[];
  readonly sample: SampleSummary;
  /** Over the plan's choice, round by round. */
  readonly overChoice: PairedRatio;
}

export interface Confirmation {
  /** The plan's choice first, the others by their median ratio to it. */
  readonly finalists: readonly ConfirmedFinalist[];
  /** The plan's own unless another was faster beyond doubt. */
  readonly choice: PlannedPolicy;
  readonly isChanged: boolean;
}

/** New tokens of a sequence in a round: enough for a few passes of any policy. */
const mostNewTokens = 16;
/** Of other kinds than the choice. */
const mostOthers = 4;
/** Predictions are wrong by up to half: what is further behind is not tried. */
const leastPredicted = 0.5;
/** After a round, what is further behind its best is not tried again. */
const leastMeasured = 0.75;

/** The choice, and the best of other kinds that could be the best if predictions are as wrong as they may be. */
export function finalistsOf({
  ranked,
  alternatives,
}: Pick<Plan, 'ranked' | 'alternatives'>): PlannedPolicy[] {
  const [choice] = ranked as [PlannedPolicy];
  const least = leastPredicted * choice.outcome.tokensPerSecond;
  const others = alternatives
    .map(({ planned }) => planned)
    .filter(({ outcome }) => outcome.tokensPerSecond >= least);
  // The best of each who proposes first: their acceptance is what is known least.
  const isFirstOfWho = ({ drafter, policy }: PlannedPolicy, index: number) =>
    ![choice, ...others.slice(0, index)].some(
      (earlier) => earlier.drafter === drafter && usesDraft(earlier.policy) === usesDraft(policy),
    );
  return [
    choice,
    ...others.filter(isFirstOfWho),
    ...others.filter((one, index) => !isFirstOfWho(one, index)),
  ].slice(0, 1 + mostOthers);
}

/** @param finalists the plan's choice first */
export async function confirm(
  finalists: readonly PlannedPolicy[],
  { rounds, maxNewTokens, run, onRun }: ConfirmOptions,
): Promise<Confirmation> {
  const newTokens = Math.min(maxNewTokens, mostNewTokens);
  const [choice] = finalists as [PlannedPolicy];
  const measured = new Map(finalists.map((planned) => [planned, [] as number[]]));
  let running = [...finalists];
  for (let round = 0; round < rounds; round += 1) {
    for (const planned of turned(running, round)) {
      const tokensPerSecond = scaleTo(maxNewTokens, newTokens, await run(planned, newTokens));
      measured.get(planned)!.push(tokensPerSecond);
      onRun?.(planned, tokensPerSecond);
    }
    const latest = (planned: PlannedPolicy) => measured.get(planned)!.at(-1)!;
    const least = leastMeasured * largest(running.map(latest));
    running = running.filter((planned) => planned === choice || latest(planned) >= least);
  }
  const baselines = measured.get(choice)!;
  const judge = (planned: PlannedPolicy): ConfirmedFinalist => {
    const tokensPerSecond = measured.get(planned)!;
    return {
      ...{ planned, tokensPerSecond, sample: describeSample(tokensPerSecond) },
      overChoice: pairedRatio(
        tokensPerSecond.map((value, round) => ({ value, baseline: baselines[round] as number })),
      ),
    };
  };
  const own = judge(choice);
  const others = finalists.slice(1).map(judge);
  others.sort((a, b) => b.overChoice.ratio! - a.overChoice.ratio!);
  const faster = others.find(({ overChoice }) => overChoice.verdict === 'faster');
  return {
    ...{ finalists: [own, ...others], choice: faster?.planned ?? choice },
    isChanged: faster !== undefined,
  };
}

/** What the whole job would take at the pace of a short run: prompts once, and so many more rounds. */
function scaleTo(maxNewTokens: number, newTokens: number, { newTokens: written, phases }: MeasuredFinalist) {
  const { prefill, decode } = phases;
  // The first new token comes from prefill.
  const longer = newTokens > 1 ? (maxNewTokens - 1) / (newTokens - 1) : 0;
  return (written * maxNewTokens) / newTokens / (prefill.seconds + longer * decode.seconds);
}

/** What was measured, and what it changed. */
export function describeConfirmation({ finalists, choice, isChanged }: Confirmation): string {
  const [own] = finalists as [ConfirmedFinalist];
  const table = formatTable<ConfirmedFinalist>(
    [
      { title: 'policy', align: 'left', text: ({ planned }) => briefly(planned) },
      { title: 'predicted', text: ({ planned }) => threeDigits(planned.outcome.tokensPerSecond) },
      { title: 'measured', text: ({ sample }) => threeDigits(sample.median) },
      { title: 'of choice', text: (row) => (row === own ? '1' : threeDigits(row.overChoice.ratio!)) },
      { title: '95 %', text: (row) => (row === own ? '' : formatRange(row.overChoice, threeDigits)) },
      { title: 'rounds', text: ({ tokensPerSecond }) => String(tokensPerSecond.length) },
    ],
    finalists,
  );
  const best = finalists.find(({ planned }) => planned === choice)!;
  const verdict = isChanged
    ? `measured, ${briefly(choice)} is faster than the plan's choice by ${formatShare(best.overChoice.ratio! - 1)} (${formatRange(best.overChoice, threeDigits)} of it): it is taken in its place: ${describePolicy(choice.policy)}`
    : "the plan's choice stands: no other finalist was faster beyond doubt";
  return `finalists, measured by turns (tokens/s of the whole job at the pace of a short run)\n${table}\n${verdict}`;
}

function briefly({ strategy, policy, drafter, targetFormat }: PlannedPolicy): string {
  const { speculation, candidates, experts, hostExpertRows, residents } = policy;
  const who = drafter === undefined ? '' : ` by ${drafter}`;
  const how = speculation === strategy || speculation === 'none' ? '' : ` ${speculation}`;
  return [
    `${strategy}${how}${who}`,
    ...(targetFormat === undefined ? [] : [`weights ${describeFormat(targetFormat)}`]),
    ...(speculation === 'none' ? [] : [`${candidates} candidates`]),
    ...(experts === 'routed' ? [`routed experts${hostExpertRows > 0 ? ', few rows on the host' : ''}`] : []),
    ...(policy.expertCache === 'none' ? [] : [`${policy.expertCache} cache`]),
    ...(policy.expertPrefetch === 'none' ? [] : ['prefetch']),
    ...(residents === 'tensors' ? ['tensors stay'] : []),
    ...(policy.hostShare > 0 ? [`host share ${policy.hostShare}`] : []),
    ...(policy.attention === 'host' ? [] : [`attention ${policy.attention}`]),
  ].join(', ');
}
