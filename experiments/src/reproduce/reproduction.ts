/** The whole reproduction: every published figure predicted, and what comes out of comparing them. */

import { currentSignal } from '@specoffload/input';
import { findAnomalies } from './anomalies.js';
import { createAnswerer } from './answer.js';
import { assumptionTexts } from './assumptions.js';
import type { Calibration } from './calibration-file.js';
import type { Constants } from './constants.js';
import { type DiskRun, predictDiskRuns } from './disk-run.js';
import { asAlternative, type HeldOutError, judgeHeldOut } from './held-out.js';
import {
  type JudgedAblation,
  type JudgedBar,
  type JudgedMemory,
  type JudgedUtilization,
  judgeWinners,
  type MemoryRise,
  meanError,
  memoryRises,
  type SpeedUp,
  speedUps,
  type Winners,
} from './judge.js';
import {
  type JudgeProgress,
  judgeAblation,
  judgeBars,
  judgeMemory,
  judgeUtilization,
} from './judge-figures.js';
import { questionOf } from './observations.js';
import { Estimator, type Prediction } from './predict.js';
import type { Reference } from './reference.js';

export interface Reproduction {
  readonly isQuick: boolean;
  readonly constants: Constants;
  readonly bars: readonly JudgedBar[];
  readonly meanError: number;
  /** Bars of lengths that no fit has seen; null when there are none. */
  readonly unseen: { readonly numBars: number; readonly meanError: number } | null;
  readonly winners: Winners;
  readonly speedUps: readonly SpeedUp[];
  readonly ablation: readonly JudgedAblation[];
  readonly utilization: readonly JudgedUtilization[];
  readonly memory: readonly JudgedMemory[];
  readonly memoryRises: readonly MemoryRise[];
  /** Nothing is published beside it. */
  readonly diskRuns: readonly DiskRun[];
  /** null with --quick. */
  readonly heldOut: readonly HeldOutError[] | null;
  /** Mean error when 8x22B on C-Eval is read as half of the listed batch; null with --quick. */
  readonly alternativeError: number | null;
  readonly anomalies: readonly string[];
  readonly assumptions: readonly string[];
}

export interface ReproduceOptions {
  readonly reference: Reference;
  readonly calibration: Calibration;
  /** Shortened runs, and neither held-out tests nor the alternative reading. */
  readonly isQuick: boolean;
  /** Called with every whole run. */
  readonly onPrediction: (prediction: Prediction) => Promise<void>;
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal;
}

export async function reproduce(options: ReproduceOptions): Promise<Reproduction> {
  const { reference, calibration, isQuick, onPrediction, onProgress } = options;
  const { signal = currentSignal() } = options;
  const { constants } = calibration;
  const answer = createAnswerer({ scripts: reference, constants, isQuick, onPrediction, signal });
  const follow =
    (figure: string): JudgeProgress =>
    (text, done, total) =>
      onProgress(`${figure} ${done + 1} of ${total}: ${text}`);

  const bars = await judgeBars(reference, answer, follow('bar'));
  const ablation = await judgeAblation(reference, answer, follow('ablation'));
  const memory = await judgeMemory(reference, answer, follow('memory curve'));
  const utilization = await judgeUtilization(reference, answer, follow('utilisation'));
  const unseen = bars.filter(({ generationLength }) => !calibration.seenLengths.includes(generationLength));
  return {
    ...{ isQuick, constants, bars, ablation, utilization, memory },
    meanError: meanError(bars),
    unseen: unseen.length > 0 ? { numBars: unseen.length, meanError: meanError(unseen) } : null,
    winners: judgeWinners(bars),
    speedUps: speedUps(bars),
    memoryRises: memoryRises(memory),
    diskRuns: await predictDiskRuns({ scripts: reference, constants, onProgress, signal }),
    heldOut: isQuick ? null : await judgeHeldOut(reference, calibration.heldOut, onProgress, signal),
    alternativeError: isQuick ? null : await judgeAlternative(options),
    anomalies: findAnomalies(reference.bars, reference.policies),
    assumptions: assumptionTexts,
  };
}

async function judgeAlternative({
  reference,
  calibration,
  onProgress,
  signal,
}: ReproduceOptions): Promise<number> {
  const estimator = new Estimator(reference);
  const bars: JudgedBar[] = [];
  for (const bar of reference.bars) {
    signal?.throwIfAborted();
    onProgress('alternative reading: 8x22B on C-Eval at half batch');
    const question = asAlternative(questionOf(bar));
    const { tokensPerSecond } = await estimator.estimate(question, calibration.alternative);
    bars.push({ ...bar, predicted: tokensPerSecond });
  }
  return meanError(bars);
}
