/** One run in words, for people: throughput, lanes by phase, acceptance, memory, traffic. */

import {
  type DeviceFacts,
  idleCauses,
  inUsualOrder,
  type LaneName,
  largest,
  type PhaseName,
} from '@specoffload/engine';
import { printable } from '@specoffload/input';
import { choicesIn, type PhaseRecord, type RunRecord } from '../store/index.js';
import {
  formatBytes,
  formatCount,
  formatPercent,
  formatRate,
  formatSeconds,
  plural,
  threeDigits,
} from '../terminal/format.js';
import { formatTable } from '../terminal/table.js';
import { describeCrossbars } from './describe-crossbars.js';
import { describeUse } from './describe-device.js';
import { describeEnergy } from './describe-energy.js';
import { describeExperts } from './describe-experts.js';
import { describeNoise } from './describe-noise.js';

export function describeRun(record: RunRecord): string {
  const { strategy, workload, result } = record;
  const title =
    `${strategy}: ${plural(result.newTokens, 'new token')} for ${plural(workload.prompts, 'prompt')} ` +
    `in ${formatSeconds(result.seconds)}, ${threeDigits(result.tokensPerSecond)} tokens/s`;
  return [title, '', describePhases(result.phases), '', ...describeFacts(record)].join('\n');
}

/** Seconds and lane utilisation of each phase. */
function describePhases(phases: RunRecord['result']['phases']): string {
  const rows: readonly (readonly [PhaseName, PhaseRecord])[] = [
    ['prefill', phases.prefill],
    ['decode', phases.decode],
  ];
  return formatTable(
    [
      { title: 'phase', align: 'left', text: ([name]) => name },
      { title: 'time', text: ([, phase]) => formatSeconds(phase.seconds) },
      ...inUsualOrder(Object.keys(phases.decode.lanes)).map((lane) => ({
        title: lane,
        text: ([, phase]: readonly [PhaseName, PhaseRecord]) => formatPercent(phase.lanes[lane].utilization),
      })),
    ],
    rows,
  );
}

function describeFacts(record: RunRecord): string[] {
  const { phases, acceptance, memory, bytesMoved, seconds, passes } = record.result;
  const { roundsByCandidates, proposingStoppedSeconds, ahead, hostShares, splitSteps, experts } =
    record.result;
  const directReads = record.kind === 'simulated' || record.result.directReads;
  const facts: [string, string][] = [];
  const { drafter, sampling, productNoise } = choicesIn(record.spec);
  if (drafter !== undefined)
    facts.push(['drafter', drafter === 'self' ? 'self, layers of the target' : `${drafter}, no model`]);
  if (sampling !== undefined) facts.push(['drawn', describeSampling(sampling)]);
  if (productNoise && record.kind === 'measured') facts.push(['noise', describeNoise(productNoise, record)]);
  if (record.kind === 'measured' && record.result.device)
    facts.push(['computed by', describeGpu(record.result.device)], ...describeUse(record.result));
  const idle = describeIdle(phases);
  if (idle !== null) facts.push(['device idle', idle]);
  if (acceptance !== null)
    facts.push([
      'acceptance',
      `${formatPercent(acceptance.rate)} of ${plural(acceptance.proposed, 'candidate')}, ` +
        `${threeDigits(acceptance.tokensPerRound)} tokens per round; ` +
        `by position ${acceptance.byPosition.map((p) => formatPercent(p.accepted / p.proposed)).join(', ')}` +
        describeAlternates(acceptance),
    ]);
  if (hostShares)
    facts.push([
      'on the host',
      `${formatPercent(hostShares.expert)} of FFNs that come, ${formatPercent(hostShares.attention)} of projections`,
    ]);
  if (ahead !== undefined) facts.push(['drafted ahead', describeAhead(ahead)]);
  if (splitSteps) facts.push(['overlap', describeSteps(splitSteps)]);
  if (roundsByCandidates !== undefined)
    facts.push(['candidates', describeChoice(roundsByCandidates, proposingStoppedSeconds)]);
  if (experts !== undefined) facts.push(['experts', describeExperts(experts)]);
  facts.push(
    ['peak memory', `device ${describePool(memory.device)}, host ${describePool(memory.host)}`],
    [
      'moved',
      [
        describeRead(bytesMoved.disk, seconds, directReads),
        ...Object.entries(bytesMoved)
          .filter(([lane]) => lane !== 'disk')
          .map(([lane, bytes]) => `${formatBytes(bytes)} over ${lane === 'link' ? 'the link' : lane}`),
      ].join(', '),
    ],
    [
      'target passes',
      record.kind === 'measured'
        ? `${formatCount(passes)}; ${plural(record.result.nearTies, 'token')} that rounding could have chosen otherwise`
        : formatCount(passes),
    ],
  );
  const { crossbars } = record.result;
  if (crossbars) facts.push(['in crossbars', describeCrossbars(crossbars, record.policy.crossbars)]);
  const energy = describeEnergy(record);
  if (energy !== null) facts.push(['energy', energy]);
  if (record.kind === 'measured' && record.machine.core === 'twin')
    facts.push(['core', 'the TypeScript twin, slower than the native one']);
  return alignFacts(facts);
}

/** `asynchronous in 40 steps, device-only in 3; changed 2 times` */
function describeSteps(splitSteps: NonNullable<RunRecord['result']['splitSteps']>): string {
  const totals = new Map<string, number>();
  for (const { decision, steps } of splitSteps) totals.set(decision, (totals.get(decision) ?? 0) + steps);
  const parts = [...totals].map(([decision, steps]) => `${decision} in ${plural(steps, 'step')}`);
  const changes = splitSteps.length - 1;
  return `${parts.join(', ')}${changes > 0 ? `; changed ${plural(changes, 'time')}` : ''}`;
}

/** `0 in 20 rounds, 4 in 3; proposing did not pay in most of them; found not to pay after 3.1 s` */
function describeChoice(roundsByCandidates: readonly number[], stoppedSeconds: number | undefined): string {
  const chosen = roundsByCandidates
    .map((rounds, candidates) => ({ rounds, candidates }))
    .filter(({ rounds }) => rounds > 0)
    .map(({ rounds, candidates }, index) =>
      index === 0 ? `${candidates} in ${plural(rounds, 'round')}` : `${candidates} in ${formatCount(rounds)}`,
    );
  const all = roundsByCandidates.reduce((sum, rounds) => sum + rounds, 0);
  const wasIdle = (roundsByCandidates[0] ?? 0) > all / 2;
  const verdict = wasIdle ? '; proposing did not pay in most of them' : '';
  const found =
    stoppedSeconds === undefined ? '' : `; found not to pay after ${formatSeconds(stoppedSeconds)}`;
  return `${chosen.join(', ')}${verdict}${found}`;
}

/** `ready after 80 % of 120 verifications (by the draft's choice 60, 2nd 30, 3rd 6); 480 outcomes, 12 % of 1,900 tokens taken` */
function describeAhead({
  verifications,
  hits,
  outcomes,
  preparedTokens,
  takenTokens,
  hitsByRank,
}: NonNullable<RunRecord['result']['ahead']>): string {
  const byRank = hitsByRank.map((count, rank) => `${rank === 0 ? 'first' : `no. ${rank + 1}`} ${count}`);
  const ready = `ready after ${formatPercent(hits / verifications)} of ${plural(verifications, 'verification')}`;
  const taken = `${formatPercent(takenTokens / preparedTokens)} of ${plural(preparedTokens, 'candidate')} taken`;
  return `${ready} (by the draft's choice: ${byRank.join(', ')}); ${plural(outcomes, 'outcome')} prepared, ${taken}`;
}

/** `temperature 0.8, topP 0.9`. */
export function describeSampling(sampling: object): string {
  return Object.entries(sampling)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

/** `NVIDIA H100, host memory imported`. */
function describeGpu({ name, link }: DeviceFacts): string {
  const copies = { imported: 'host memory imported', staged: 'copies by staging buffers', none: 'no copies' };
  return `${printable(name)}, ${copies[link]}`;
}

/** `decode 34 %: weights 30 %, attention 4 %; prefill 2 %: nothing 2 %`; null in records of earlier versions. */
function describeIdle(phases: RunRecord['result']['phases']): string | null {
  const describe = (name: PhaseName) => {
    const { seconds, lanes, deviceIdle } = phases[name];
    if (!deviceIdle || seconds === 0) return [];
    const parts = idleCauses
      .map((cause) => ({ cause, share: deviceIdle[cause] / seconds }))
      .filter(({ share }) => share >= 0.001)
      .map(({ cause, share }) => `${cause} ${formatPercent(share)}`);
    const share = `${name} ${formatPercent(1 - lanes.device.utilization)}`;
    return [parts.length > 0 ? `${share}: ${parts.join(', ')}` : share];
  };
  const texts = [...describe('decode'), ...describe('prefill')];
  return texts.length > 0 ? texts.join('; ') : null;
}

function describeRead(bytes: number, seconds: number, directReads: boolean): string {
  if (bytes === 0) return 'nothing from disk'; // the target fits into the budgets
  const how = directReads ? '' : ', through the page cache';
  return `${formatBytes(bytes)} from disk (${formatRate(bytes / seconds)}${how})`;
}

function describePool({ peakBytes, budgetBytes }: { peakBytes: number; budgetBytes: number }): string {
  return `${formatBytes(peakBytes)} of ${formatBytes(budgetBytes)}`;
}

/** `name   text` lines with the texts below each other. */
export function alignFacts(facts: readonly (readonly [name: string, text: string])[]): string[] {
  const width = largest(facts.map(([name]) => name.length));
  return facts.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
}

/** The lane that was busiest, and how busy. */
export function busiestLane(phase: PhaseRecord): { lane: LaneName; utilization: number } {
  const lane = inUsualOrder(Object.keys(phase.lanes)).reduce((a, b) =>
    phase.lanes[b].utilization > phase.lanes[a].utilization ? b : a,
  );
  return { lane, utilization: phase.lanes[lane].utilization };
}

/** Generated text as a short indented quote: at most `maxLines` lines of a terminal's width. */
export function quoteSample(prompt: string, continuation: string, maxLines = 8): string {
  // Enough of the prompt to see what is being continued.
  const tail = prompt.length > 60 ? `…${prompt.slice(-60)}` : prompt;
  const lines = `${tail}⟫${continuation}`
    .replaceAll('\t', '    ')
    .split(/\r?\n/)
    .map((line) => printable(line).trimEnd())
    .filter((line, i, all) => line !== '' || (i > 0 && all[i - 1] !== ''));
  const shown = lines.slice(0, maxLines).map((line) => `  │ ${line.slice(0, 100)}`.trimEnd());
  return [...shown, ...(lines.length > maxLines ? ['  │ …'] : [])].join('\n');
}

/** Behind what is said of candidates. */
function describeAlternates({ alternates }: NonNullable<RunRecord['result']['acceptance']>): string {
  if (!alternates) return '';
  const { proposed, hits, tokens } = alternates;
  return `; ${formatCount(proposed)} alternates brought ${plural(tokens, 'token')} in ${plural(hits, 'round')}`;
}
