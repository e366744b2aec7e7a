/** The whole reproduction: every published figure predicted, and what comes out of comparing them. */

import { findAnomalies } from './anomalies.js';
import { assumptionTexts } from './assumptions.js';
import type { Calibration } from './calibration-file.js';
import type { Constants } from './constants.js';
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
  speedUp,
  type Winners,
} from './judge.js';
import { memoryQuestion, questionOf, utilizationQuestion } from './observations.js';
import { type Estimate, Estimator, type Prediction, predict } from './predict.js';
import type { Question } from './question.js';
import { modelNames, type Reference, systemNames } from './reference.js';

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
  const { reference, calibration, isQuick, onProgress, signal } = options;
  const { constants } = calibration;
  const answer = createAnswerer(options);

  const bars: JudgedBar[] = [];
  for (const bar of reference.bars) {
    onProgress(
      `bar ${bars.length + 1} of ${reference.bars.length}: ${bar.system}, ${bar.model}, ${bar.dataset}, ${bar.generationLength}`,
    );
    bars.push({ ...bar, predicted: (await answer(questionOf(bar))).tokensPerSecond });
  }
  const ablation: JudgedAblation[] = [];
  for (const { tokensPerSecond, ...bar } of reference.ablation) {
    onProgress(`ablation: ${bar.variant}`);
    const { tokensPerSecond: predicted } = await answer({ system: 'SpecOffload', ...bar });
    ablation.push({ ...bar, tokensPerSecond, predicted });
  }
  const memory: JudgedMemory[] = [];
  for (const point of reference.memory) {
    onProgress(`memory curve: ${point.model}, ${point.gpuMemoryGB} GB`);
    memory.push({ ...point, predicted: (await answer(memoryQuestion(point))).tokensPerSecond });
  }
  const utilization: JudgedUtilization[] = [];
  for (const bar of reference.utilization) {
    onProgress(`utilisation: ${bar.system}`);
    const { utilization: share } = await answer(utilizationQuestion(bar.system));
    utilization.push({ ...bar, predicted: 100 * share });
  }
  const unseen = bars.filter(({ generationLength }) => !calibration.seenLengths.includes(generationLength));
  return {
    ...{ isQuick, constants, bars, ablation, utilization, memory },
    meanError: meanError(bars),
    unseen: unseen.length > 0 ? { numBars: unseen.length, meanError: meanError(unseen) } : null,
    winners: judgeWinners(bars),
    speedUps: allSpeedUps(bars),
    memoryRises: memoryRises(memory),
    heldOut: isQuick ? null : await judgeHeldOut(reference, calibration.heldOut, onProgress, signal),
    alternativeError: isQuick ? null : await judgeAlternative(options),
    anomalies: findAnomalies(reference.bars, reference.policies),
    assumptions: assumptionTexts,
  };
}

/** Answers a question once, however many figures ask it. */
function createAnswerer({
  reference,
  calibration: { constants },
  isQuick,
  onPrediction,
  signal,
}: ReproduceOptions): (question: Question) => Promise<Estimate> {
  const estimator = new Estimator(reference);
  const answers = new Map<string, Estimate>();
  return async (question) => {
    signal?.throwIfAborted();
    if (isQuick) return estimator.estimate(question, constants);
    const key = JSON.stringify(Object.entries(question).sort());
    const known = answers.get(key);
    if (known) return known;
    const prediction = await predict(question, reference, constants, signal);
    const { tokensPerSecond, utilization } = prediction;
    answers.set(key, { tokensPerSecond, utilization });
    await onPrediction(prediction);
    return { tokensPerSecond, utilization };
  };
}

function allSpeedUps(bars: readonly JudgedBar[]): SpeedUp[] {
  const [mixtral7, mixtral22] = modelNames;
  return systemNames
    .filter((system) => system !== 'SpecOffload')
    .flatMap((system) =>
      [[mixtral7, mixtral22], modelNames].flatMap((models) => speedUp(bars, system, models) ?? []),
    );
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
