/** Held-out tests: constants fitted without one generation length, or one dataset, predict it. */

import { fitConstants, type Slopes } from './calibrate.js';
import type { Calibration, HeldOut, HeldOutConstants } from './calibration-file.js';
import { type Constants, withUnseenAcceptance } from './constants.js';
import { type Observation, observe, questionOf } from './observations.js';
import { Estimator } from './predict.js';
import type { Question } from './question.js';
import { type Bar, datasetNames, type Reference } from './reference.js';

export function describeHeldOut(left: HeldOut): string {
  return 'dataset' in left ? `dataset ${left.dataset}` : `length ${left.generationLength}`;
}

export function isLeftOut(
  left: HeldOut,
  { dataset, generationLength }: Pick<Bar, 'dataset' | 'generationLength'>,
): boolean {
  return 'dataset' in left ? left.dataset === dataset : left.generationLength === generationLength;
}

/** Every length and every dataset that the bars have. */
export function heldOutTests(bars: readonly Bar[]): HeldOut[] {
  const lengths = [...new Set(bars.map(({ generationLength }) => generationLength))].sort((a, b) => a - b);
  const datasets = datasetNames.filter((name) => bars.some(({ dataset }) => dataset === name));
  return [
    ...lengths.map((generationLength) => ({ generationLength })),
    ...datasets.map((dataset) => ({ dataset })),
  ];
}

/**
 * The alternative reading of one anomaly: in the published bars 8x22B on C-Eval looks like half of the listed batch,
 * in all five systems alike.
 */
export function asAlternative(question: Question): Question {
  const isSuspect = question.model === 'Mixtral 8x22B' && question.dataset === 'C-Eval';
  return isSuspect ? { ...question, batchDivisor: 2 } : question;
}

export interface CalibrateOptions {
  readonly reference: Reference;
  readonly start: Calibration;
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** Moves of a fit: the whole one begins anywhere, the others where it ended. */
const wholeMoves = 8;
const partMoves = 3;

/** All fits: the whole one, those of the held-out tests, and that of the alternative reading. */
export async function calibrate({
  reference,
  start,
  onProgress,
  signal,
}: CalibrateOptions): Promise<Calibration> {
  const estimator = new Estimator(reference);
  const observations = observe(reference);
  const run = (
    title: string,
    part: readonly Observation[],
    from: { readonly start: Constants; readonly slopes?: Slopes; readonly moves: number },
  ) =>
    fitConstants({
      ...from,
      ...{ observations: part, estimator, onProgress: (text) => onProgress(`${title}: ${text}`) },
      ...(signal ? { signal } : {}),
    });
  const whole = await run('all bars', observations, { start: start.constants, moves: wholeMoves });
  const from = { start: whole.constants, slopes: whole.slopes, moves: partMoves };
  const heldOut: HeldOutConstants[] = [];
  for (const left of heldOutTests(reference.bars)) {
    const seen = observations.filter((observation) => !isLeftOut(left, observation));
    const { constants } = await run(`without ${describeHeldOut(left)}`, seen, from);
    heldOut.push({
      left,
      constants: 'dataset' in left ? withUnseenAcceptance(constants, left.dataset) : constants,
    });
  }
  const reread = observations.map((observation) => ({
    ...observation,
    questions: observation.questions.map(asAlternative),
  }));
  const alternative = await run('8x22B C-Eval at half batch', reread, {
    ...{ start: start.alternative, slopes: whole.slopes, moves: wholeMoves },
  });
  const seenLengths = [...new Set(reference.bars.map(({ generationLength }) => generationLength))];
  return { constants: whole.constants, seenLengths, heldOut, alternative: alternative.constants };
}

export interface HeldOutError {
  readonly left: HeldOut;
  readonly numBars: number;
  /** Mean of |predicted / published - 1|. */
  readonly meanError: number;
}

/** What the constants of each test say of the bars that it left out. */
export async function judgeHeldOut(
  reference: Reference,
  tests: readonly HeldOutConstants[],
  onProgress: (text: string) => void,
  signal?: AbortSignal,
): Promise<HeldOutError[]> {
  const estimator = new Estimator(reference);
  const errors: HeldOutError[] = [];
  for (const { left, constants } of tests) {
    const bars = reference.bars.filter((bar) => isLeftOut(left, bar));
    let sum = 0;
    for (const bar of bars) {
      signal?.throwIfAborted();
      onProgress(`held out: ${describeHeldOut(left)}`);
      const { tokensPerSecond } = await estimator.estimate(questionOf(bar), constants);
      sum += Math.abs(tokensPerSecond / bar.tokensPerSecond - 1);
    }
    if (bars.length > 0) errors.push({ left, numBars: bars.length, meanError: sum / bars.length });
  }
  return errors;
}
