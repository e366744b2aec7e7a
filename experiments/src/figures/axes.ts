/** The horizontal axis of a sweep: numbers and sizes in order and to scale, anything else as it comes. */

import { largest, smallest } from '@specoffload/engine';
import { tryParseBytes } from '../inputs/sizes.js';
import { formatValue, titleOfColumn } from './labels.js';
import { label } from './theme.js';

export interface Scale {
  /** Where a value stands. */
  readonly placeOf: (value: string | number) => string | number;
  readonly isNumeric: boolean;
  readonly layout: Readonly<Record<string, unknown>>;
}

/** Labels closer than this would overlap. */
const mostLabels = 14;

/** Values that grow by factors get a logarithmic axis; sizes such as `24GB` are numbers with their own labels. */
export function scaleOf(column: string, values: readonly (string | number)[]): Scale {
  const title = { text: label(titleOfColumn(column)) };
  const numbers = values.map((value) => (typeof value === 'number' ? value : tryParseBytes(value)));
  if (!numbers.every((value): value is number => value !== null)) {
    const categoryarray = values.map((value) => label(String(value)));
    return {
      placeOf: (value) => label(String(value)),
      isNumeric: false,
      layout: { title, type: 'category', categoryorder: 'array', categoryarray },
    };
  }
  const placeOf = (value: string | number) => numbers[values.indexOf(value)];
  const ticks =
    values.length <= mostLabels
      ? { tickvals: numbers, ticktext: values.map((value) => label(formatValue(column, value))) }
      : {};
  const type = growsByFactors(numbers) ? 'log' : 'linear';
  return { placeOf, isNumeric: true, layout: { title, type, ...ticks, minor: { ticks: '' } } };
}

function formatTick(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 4 });
}

/** A logarithmic axis whose labels are round numbers in full, `0.5 1 2 5 10`. */
export function logAxis(low: number, high: number): Readonly<Record<string, unknown>> {
  const inside = (steps: readonly number[]) =>
    decadesOf(low, high)
      .flatMap((decade) => steps.map((step) => step * decade))
      .filter((at) => low <= at && at <= high);
  const tickvals = [[1, 1.2, 1.4, 1.6, 2, 2.5, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1]]
    .map(inside)
    .find((ticks) => ticks.length <= 10);
  return {
    ...{ type: 'log', range: [Math.log10(low), Math.log10(high)] },
    ...(tickvals ? { tickvals, ticktext: tickvals.map(formatTick) } : {}),
  };
}

function decadesOf(low: number, high: number): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

/** Whether the steps vary less as factors than as differences, over a decade at least or three doublings. */
function growsByFactors(values: readonly number[]): boolean {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length < 3 || sorted[0] <= 0 || sorted.at(-1)! / sorted[0] < 8) return false;
  const steps = sorted.slice(1);
  const spread = (amounts: readonly number[]) => largest(amounts) / smallest(amounts);
  return (
    spread(steps.map((value, i) => Math.log(value / sorted[i]))) <
    spread(steps.map((value, i) => value - sorted[i]))
  );
}
