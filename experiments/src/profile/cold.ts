/**
 * What tasks take besides whose weights did not just come into the memory where they find them. Those that did are still
 * in caches; the others lie there from an earlier pass, or have waited for their turn.
 */

import type { LaneName, Span, TaskKind } from '@specoffload/engine';
import { median } from './fit.js';
import { meansBy } from './spans.js';

/** Later than this, the next groups have come and pushed them out. */
export const coldAfterSeconds = 0.002;

/** A kind of task, and the one that brings its weights. */
interface Reader {
  readonly lane: LaneName;
  readonly kind: TaskKind;
  readonly broughtBy: 'load' | 'upload';
}

const readers = {
  link: { lane: 'link', kind: 'upload', broughtBy: 'load' },
  device: { lane: 'device', kind: 'expert', broughtBy: 'upload' },
} as const satisfies Record<string, Reader>;

/** `layer.3.expert.5` of `upload layer.3.expert.5`. */
function groupOf({ name }: Span): string {
  return name.slice(name.lastIndexOf(' ') + 1);
}

/** One run's tasks of a kind: those whose weights had just come, and the others. */
function byAge(
  spans: readonly Span[],
  { lane, kind, broughtBy }: Reader,
): { readonly warm: readonly Span[]; readonly cold: readonly Span[] } {
  const ends = new Map<string, number[]>();
  for (const span of spans)
    if (span.kind === broughtBy) {
      const group = groupOf(span);
      const known = ends.get(group);
      if (known) known.push(span.endSeconds);
      else ends.set(group, [span.endSeconds]);
    }
  const own = spans.filter((span) => span.lane === lane && span.kind === kind && span.bytes > 0);
  const isWarm = (span: Span) =>
    (ends.get(groupOf(span)) ?? []).some(
      (end) => end <= span.startSeconds && span.startSeconds - end <= coldAfterSeconds,
    );
  return { warm: own.filter(isWarm), cold: own.filter((span) => !isWarm(span)) };
}

/** Of a kind that one run did in both ways fewer times than this, nothing is known. */
const leastPairs = 4;

/**
 * Seconds per byte, out of what single runs did in both ways: another run was at another moment.
 * @param companyOf of spans that are not to be held against each other, whatever their weights
 */
export function fitCold(
  runs: readonly (readonly Span[])[],
  lane: keyof typeof readers,
  companyOf: (run: readonly Span[]) => (span: Span) => string = () => () => '',
): number {
  let [seconds, bytes] = [0, 0];
  for (const run of runs) {
    const company = companyOf(run);
    const { warm, cold } = byAge(run, readers[lane]);
    const alike = (span: Span) => `${span.phase}/${span.rows}/${span.bytes}/${company(span)}`;
    const usual = new Map(meansBy(warm, alike).map((mean) => [mean.key, mean]));
    for (const late of meansBy(cold, alike)) {
      const soon = usual.get(late.key);
      if (!soon) continue;
      // As many pairs as tell the difference of the two equally well.
      const [ofLate, ofSoon] = [late.durations.length, soon.durations.length];
      const pairs = (2 * ofLate * ofSoon) / (ofLate + ofSoon);
      if (pairs < leastPairs) continue;
      // Not of the means: who is held up by others for longer is so by chance.
      seconds += pairs * (median(late.durations) - median(soon.durations));
      bytes += pairs * late.span.bytes;
    }
  }
  return bytes > 0 ? Math.max(0, seconds / bytes) : 0;
}

/** No task is taken to have been cold for more than this share of its time. */
const mostColdShare = 0.5;

/** One run's tasks as long as they would have been with weights that had just come. */
export function withoutCold(
  run: readonly Span[],
  secondsPerByte: Readonly<Record<keyof typeof readers, number>>,
): readonly Span[] {
  const late = new Map<Span, number>();
  for (const [lane, reader] of Object.entries(readers))
    for (const span of byAge(run, reader).cold)
      late.set(span, span.bytes * secondsPerByte[lane as keyof typeof readers]);
  return run.map((span) => {
    const seconds = Math.min(late.get(span) ?? 0, mostColdShare * (span.endSeconds - span.startSeconds));
    return seconds > 0 ? { ...span, endSeconds: span.endSeconds - seconds } : span;
  });
}
