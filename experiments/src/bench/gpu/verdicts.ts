/** What is wanted of a card, and whether it got there. */

import { largest } from '@specoffload/engine';
import { mean } from 'simple-statistics';
import { formatPercent } from '../../terminal/format.js';
import type { GpuBench } from './main.js';
import type { Rung } from './matmul-ladder.js';
import type { StrategyRung } from './strategies.js';

/** Of products added up in fp32 in whatever order, of inputs as they are or narrowed to 16 bits. */
export const errorBounds = { f32: 1e-6, f16: 2 ** -11, bf16: 2 ** -8 };

interface Wish {
  readonly what: string;
  /** Null where it can't be told here. */
  readonly reached: number | null;
  readonly wanted: number;
  /** Largest instead of least. @default least */
  readonly isMost?: boolean;
  /** Of a share. @default percent */
  readonly write?: (value: number) => string;
}

export function verdicts(bench: GpuBench): string[] {
  const reason = whyUnmeasurable(bench);
  return [
    ...tokenVerdict(bench),
    ...errorVerdicts(bench),
    ...[...kernelWishes(bench), ...strategyWishes(bench)].map((wish) => judge(wish, reason)),
    ...bench.skipped.map((what) => `skipped: ${what}`),
  ];
}

/** True of any device. */
function tokenVerdict({ sameTokens }: GpuBench): string[] {
  if (!sameTokens) return [];
  const { numSequences, numTies, numErrors } = sameTokens;
  const ties = numTies > 0 ? `, ${numTies} of them up to where rounding decides` : '';
  const found = `${numSequences - numErrors} of ${numSequences}${ties}`;
  const what = "the main job's quick form, sequences with the processor's tokens";
  return [`${numErrors === 0 ? 'reached' : 'not reached'}: ${what}: ${found}`];
}

/** True of any device, of each arithmetic that it has kernels for. */
function errorVerdicts({ rungs }: GpuBench): string[] {
  return (Object.keys(errorBounds) as (keyof typeof errorBounds)[]).flatMap((arithmetic) => {
    const own = rungs.filter((rung) => rung.arithmetic === arithmetic);
    if (own.length === 0) return [];
    const what = `products in ${arithmetic}${arithmetic === 'f32' ? '' : ' by cooperative matrices'}, off double precision`;
    const write = (value: number) => value.toExponential(1);
    const reached = largest(own.map(({ largestError }) => largestError));
    return [judge({ what, reached, wanted: errorBounds[arithmetic], isMost: true, write }, null)];
  });
}

/** Null where the numbers are a card's. */
function whyUnmeasurable({ isCard, isQuick }: GpuBench): string | null {
  if (!isCard) return 'the processor computes, no card';
  return isQuick ? 'the small form says nothing about a card' : null;
}

/** Few rows at the pace of its memory, many near what its arithmetic allows. */
function kernelWishes({ sheet, copyBytesPerSecond, rungs }: GpuBench): Wish[] {
  const most = (of: readonly Rung[], rate: (rung: Rung) => number) => Math.max(0, ...of.map(rate));
  const few = rungs.filter(({ rows, format }) => rows <= 16 && format === 'bf16');
  const many = rungs.filter(({ rows, format }) => rows >= 512 && format === 'bf16');
  const memory = sheet.memoryBytesPerSecond ?? copyBytesPerSecond;
  return [
    {
      what: 'few rows, of memory bandwidth',
      reached: most(few, (rung) => rung.weightBytesPerSecond) / memory,
      wanted: 0.7,
    },
    {
      what: '512 rows and more, of bf16 peak',
      reached:
        sheet.flopsPerSecond === null || many.length === 0
          ? null
          : most(many, (rung) => rung.flopsPerSecond) / sheet.flopsPerSecond,
      wanted: 0.4,
    },
  ];
}

/** A link that is used, a device that computes meanwhile, a policy that pays, and predictions that hold. */
function strategyWishes({ strategies, link }: GpuBench): Wish[] {
  const of = (name: string) => strategies.find((rung) => rung.name === name);
  const ratio = (value: number | undefined, by: number | undefined) =>
    value === undefined || by === undefined ? null : value / by;
  const speeds = ['specoffload', 'pick'].flatMap((name) => of(name)?.measured.tokensPerSecond ?? []);
  const predicted = strategies.filter((rung) => rung.predicted !== null);
  const best = speeds.length === 0 ? undefined : largest(speeds);
  return [
    {
      what: 'link in decode of none, of the best pinned copy',
      reached: ratio(of('none')?.measured.linkBytesPerSecond, link.imported?.toDeviceBytesPerSecond),
      wanted: 0.9,
    },
    {
      what: 'device busy in decode of specoffload',
      reached: of('specoffload')?.measured.deviceBusy ?? null,
      wanted: 0.6,
    },
    {
      what: "specoffload or the planner's pick, of flexgen at the scripts' share of sequences",
      reached: ratio(best, of('flexgen')?.measured.tokensPerSecond),
      ...{ wanted: 2.5, write: (value) => `${value.toFixed(2)} times` },
    },
    {
      what: 'predictions, off on average',
      reached: predicted.length === 0 ? null : mean(predicted.map((rung) => Math.abs(errorOf(rung)))),
      ...{ wanted: 0.1, isMost: true },
    },
  ];
}

/** Predicted over measured tokens per second - 1. */
export function errorOf({ measured, predicted }: StrategyRung): number {
  return predicted ? predicted.tokensPerSecond / measured.tokensPerSecond - 1 : Number.NaN;
}

function judge(
  { what, reached, wanted, isMost = false, write = formatPercent }: Wish,
  reason: string | null,
) {
  const bound = `${isMost ? 'at most ' : ''}${write(wanted)}`;
  if (reached === null) return `not measurable here: ${what}, wanted ${bound}`;
  const found = `${what}: ${write(reached)}, wanted ${bound}`;
  if (reason !== null) return `not measurable here (${reason}): ${found}`;
  return `${(isMost ? reached <= wanted : reached >= wanted) ? 'reached' : 'not reached'}: ${found}`;
}
