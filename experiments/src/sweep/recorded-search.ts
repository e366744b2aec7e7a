/** What a search has left beside the records of what it chose and believed, read back checked. */

import { join } from 'node:path';
import { type Checked, check, is, maybeReadJson, UserError } from '@specoffload/input';
import { describeAxes } from '../definitions/expand.js';
import { metricName } from '../definitions/metrics.js';
import { setting } from '../store/words.js';
import { threeDigits } from '../terminal/format.js';
import { describeConvergence } from './bayesian/describe.js';

const { amount, flag, listOf, mapOf, number, oneOf, orNull, picked, wholeFrom } = is;

const axes = mapOf(setting);
const runs = wholeFrom(0, Number.MAX_SAFE_INTEGER, 'a whole number');
const objective = picked({ metric: metricName, lowerIsBetter: flag });

const bayesian = picked({
  search: oneOf(['bayesian']),
  objectives: listOf(objective),
  points: runs,
  isSketched: flag,
  steps: listOf(
    picked({
      ...{ axes, runs, isPruned: flag, expectedGain: orNull(number) },
      believed: orNull(listOf(picked({ median: number, factor: amount }))),
      values: orNull(listOf(number)),
    }),
  ),
  remainingGain: orNull(number),
  isConverged: flag,
});

const thompson = picked({
  metric: metricName,
  lowerIsBetter: flag,
  rounds: listOf(
    picked({ axes, value: number, belief: picked({ mean: number, sigma: amount, pulls: runs }) }),
  ),
});

export interface RecordedStep {
  readonly axes: Readonly<Record<string, Checked<typeof setting>>>;
  /** Of each objective; null of what could not be run. */
  readonly values: readonly number[] | null;
  /** What was expected of it before, or is believed since; empty where nothing was. */
  readonly belief: string;
  readonly runs: number;
}

export interface RecordedSearch {
  readonly how: 'bayesian' | 'thompson';
  readonly objectives: readonly Checked<typeof objective>[];
  readonly steps: readonly RecordedStep[];
  /** What it came to. */
  readonly sentence: string;
}

const mostBytes = 1 << 26;

/** Null where no search has left anything. @param onWarning told of a file that cannot be read */
export async function readRecordedSearch(
  folder: string,
  onWarning: (sentence: string) => void,
): Promise<RecordedSearch | null> {
  const path = join(folder, 'beliefs.json');
  try {
    const json = await maybeReadJson(path, mostBytes, {}, 'search again, or take it away');
    if (json === null) return null;
    const isBayesian = (json as { search?: unknown }).search === 'bayesian';
    return isBayesian ? fromBayesian(check(bayesian, json, path)) : fromThompson(check(thompson, json, path));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    onWarning(error.message);
    return null;
  }
}

function fromBayesian(found: Checked<typeof bayesian>): RecordedSearch {
  const { objectives, steps, points, isSketched } = found;
  const sketch = isSketched ? ', after a sketch of all of them' : '';
  return {
    ...{ how: 'bayesian', objectives },
    steps: steps.map(({ axes: at, values, runs: number, expectedGain, believed }) => ({
      ...{ axes: at, values, runs: number, belief: describeBelief(expectedGain, believed) },
    })),
    sentence: `A Bayesian search tried ${steps.length} of ${points} points${sketch}; ${describeConvergence(found)}.`,
  };
}

function describeBelief(
  gain: number | null,
  believed: readonly { readonly median: number; readonly factor: number }[] | null,
): string {
  if (gain === null || believed === null) return '';
  const parts = believed.map(({ median, factor }) => `${threeDigits(median)} ×/÷ ${factor.toFixed(3)}`);
  return `${parts.join(', ')}; ${(100 * gain).toPrecision(2)} % more expected`;
}

function fromThompson({ metric, lowerIsBetter, rounds }: Checked<typeof thompson>): RecordedSearch {
  const last = rounds.at(-1);
  const at = last ? `; the last run was at ${describeAxes(last.axes)}` : '';
  return {
    ...{ how: 'thompson', objectives: [{ metric, lowerIsBetter }] },
    steps: rounds.map(({ axes: place, value, belief: { mean, sigma, pulls } }) => ({
      ...{ axes: place, values: [value], runs: pulls },
      belief: `${threeDigits(mean)} ± ${threeDigits(sigma)} since`,
    })),
    sentence: `A search by Thompson sampling made ${rounds.length} runs${at}.`,
  };
}
