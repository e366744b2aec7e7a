/** What is odd about the published bars themselves, found by looking at them alone. */

import { largest, smallest } from '@specoffload/engine';
import { type Bar, type BatchChoice, datasetNames, modelNames, systemNames } from './reference.js';

/** One system on one model and dataset, by length. */
interface Series {
  readonly name: string;
  readonly bars: readonly Bar[];
}

/** Series closer than this at every length are taken for the same numbers. */
const duplicateShare = 0.0075;
/** Falls smaller than this are reading error. */
const fallShare = 0.01;

export function findAnomalies(bars: readonly Bar[], policies: readonly BatchChoice[]): string[] {
  const series = toSeries(bars);
  return [
    ...findDuplicates(series),
    ...findFalls(series),
    ...findNegativePrefill(series, policies),
    ...findShift(bars),
  ];
}

function toSeries(bars: readonly Bar[]): Series[] {
  const byName = new Map<string, Bar[]>();
  for (const bar of bars) {
    const name = `${bar.model} ${bar.dataset} ${bar.system}`;
    byName.set(name, [...(byName.get(name) ?? []), bar]);
  }
  return [...byName].map(([name, members]) => ({
    name,
    bars: members.sort((a, b) => a.generationLength - b.generationLength),
  }));
}

function findDuplicates(series: readonly Series[]): string[] {
  const found: string[] = [];
  for (const [index, one] of series.entries())
    for (const other of series.slice(index + 1)) {
      const pairs = one.bars.flatMap((bar) => {
        const second = other.bars.find(({ generationLength }) => generationLength === bar.generationLength);
        return second ? [Math.abs(second.tokensPerSecond / bar.tokensPerSecond - 1)] : [];
      });
      if (pairs.length >= 3 && pairs.every((share) => share <= duplicateShare))
        found.push(
          `same numbers twice: ${one.name} = ${other.name} (within ${(100 * largest(pairs)).toFixed(1)} % at ${pairs.length} lengths)`,
        );
    }
  return found;
}

function findFalls(series: readonly Series[]): string[] {
  return series.flatMap(({ name, bars }) => {
    const values = bars.map(({ tokensPerSecond }) => tokensPerSecond);
    const falls = values.some((value, index) => index > 0 && value < values[index - 1] * (1 - fallShare));
    const rises = values.some((value, index) => index > 0 && value > values[index - 1] * (1 + fallShare));
    if (!falls || !rises) return [];
    const points = bars.map(
      ({ generationLength, tokensPerSecond }) => `${generationLength}: ${tokensPerSecond}`,
    );
    return `neither rising nor falling with length: ${name} (${points.join(', ')})`;
  });
}

/** Time grows by one step per new token, so a line through it should start above zero: at the prefill. */
function findNegativePrefill(series: readonly Series[], policies: readonly BatchChoice[]): string[] {
  return series.flatMap(({ name, bars }) => {
    const [{ system, model, dataset } = { system: null, model: null, dataset: null }] = bars;
    const listed = policies.find(
      (policy) => policy.system === system && policy.model === model && policy.dataset === dataset,
    );
    if (!listed || listed.system === 'SpecOffload' || bars.length < 3) return [];
    const points = bars.map(
      ({ generationLength, tokensPerSecond }) =>
        [generationLength, (listed.batch * generationLength) / tokensPerSecond] as const,
    );
    const seconds = intercept(points);
    return seconds < 0
      ? `prefill would take less than no time: ${name} (a line through batch x length / throughput starts at ${seconds.toFixed(0)} s)`
      : [];
  });
}

function intercept(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(points.map(([value]) => value));
  const y = mean(points.map(([, value]) => value));
  const covariance = points.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0);
  const variance = points.reduce((sum, [a]) => sum + (a - x) ** 2, 0);
  return y - (covariance / variance) * x;
}

/** Datasets that differ little in length should relate alike on every model. */
function findShift(bars: readonly Bar[]): string[] {
  const [shorter, longer] = [datasetNames[0], datasetNames[1]];
  const ratiosOf = (model: Bar['model']) =>
    systemNames.flatMap((system) => {
      const rate = (dataset: Bar['dataset']) => {
        const rates = bars.filter(
          (bar) => bar.model === model && bar.system === system && bar.dataset === dataset,
        );
        return rates.reduce((sum, { tokensPerSecond }) => sum + tokensPerSecond, 0) / rates.length;
      };
      const ratio = rate(longer) / rate(shorter);
      return Number.isFinite(ratio) ? [ratio] : [];
    });
  const byModel = modelNames.map((model) => ({ model, ratios: ratiosOf(model) }));
  return byModel.flatMap(({ model, ratios }) => {
    const others = byModel.filter((other) => other.model !== model).flatMap((other) => other.ratios);
    if (ratios.length < 3 || others.length < 3 || largest(ratios) >= smallest(others)) return [];
    const range = (values: readonly number[]) =>
      `${smallest(values).toFixed(2)}-${largest(values).toFixed(2)}`;
    return `${longer} is too slow on ${model} in every system: ${range(ratios)} of ${shorter}, on the other models ${range(others)}; half of the listed batch, or half of the tokens counted, would explain it`;
  });
}
