/** What crossing takes: overhead + bytes / rate, while other lanes are at work and beside nothing else. */

import type { PhaseName, RunResult, Span } from '@specoffload/engine';
import { fitNonNegative } from './fit.js';
import { byCompany, leastObservations, meansBy } from './spans.js';

interface Transfers {
  readonly overheadSeconds: number;
  readonly bytesPerSecond: number;
}

/** For transfers of different sizes. */
export function fitTransfers(spans: readonly Span[]): Transfers {
  const means = meansBy(spans, ({ bytes }) => bytes);
  const [overheadSeconds, secondsPerByte] = fitNonNegative(
    means.map(({ key }) => [1, key]),
    means.map(({ seconds }) => seconds),
  );
  if (secondsPerByte > 0) return { overheadSeconds, bytesPerSecond: 1 / secondsPerByte };
  // Larger ones took no longer, as small ones may where something else held them up: all their time counts as their bytes'.
  const sum = (of: (mean: (typeof means)[number]) => number) =>
    means.reduce((all, mean) => all + of(mean), 0);
  return { overheadSeconds: 0, bytesPerSecond: sum(({ key }) => key) / sum(({ seconds }) => seconds) };
}

/**
 * Weights on their way to the device, in those phases. The rates are those of what crossed while other lanes were at
 * work: a copy beside products and reads shares memory and cores with them, one that all wait for does not.
 *
 * `aloneFactor` is how many times as long the latter took; null where too few did.
 */
export function fitUploads(
  runs: readonly Pick<RunResult, 'spans'>[],
  phases: readonly PhaseName[],
): Transfers & { readonly aloneFactor: number | null } {
  const company = runs.map(({ spans }) => byCompany(spans, 'link'));
  const uploads = (spans: readonly Span[]) =>
    spans.filter(({ kind, phase }) => kind === 'upload' && phases.includes(phase));
  const alone = company.flatMap((those) => uploads(those.alone));
  const among = company.flatMap((those) => uploads(those.among));
  if (among.length < leastObservations) return { ...fitTransfers([...alone, ...among]), aloneFactor: null };
  return { ...fitTransfers(among), aloneFactor: factorOf(alone, among) };
}

/** How many times as long as the others some took, of the same size; null: too few did. */
function factorOf(some: readonly Span[], others: readonly Span[]): number | null {
  const sizes = (spans: readonly Span[]) =>
    meansBy(spans, ({ bytes }) => bytes).filter(({ durations }) => durations.length >= leastObservations);
  const usual = new Map(sizes(others).map(({ key, seconds }) => [key, seconds]));
  const both = sizes(some).filter(({ key }) => usual.has(key));
  if (both.length === 0) return null;
  const sum = (secondsOf: (size: (typeof both)[number]) => number) =>
    both.reduce((all, size) => all + size.durations.length * secondsOf(size), 0);
  return sum(({ seconds }) => seconds) / sum(({ key }) => usual.get(key) ?? 0);
}
