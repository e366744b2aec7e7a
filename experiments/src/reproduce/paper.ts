/** The paper's figures one at a time, published beside predicted: what notebooks ask for. */

import {
  type MachineModel,
  type PhaseName,
  type PhaseReport,
  type PlanningJob,
  type PolicyInput,
  withRate,
} from '@specoffload/engine';
import { currentSignal } from '@specoffload/input';
import { publishedDirectory } from '../paths.js';
import { createAnswerer } from './answer.js';
import { readCalibration } from './calibration-file.js';
import type { JudgedAblation, JudgedBar, JudgedMemory, JudgedUtilization } from './judge.js';
import { type JudgeProgress, judgeAblation, judgeBars, judgeMemory } from './judge-figures.js';
import { questionOf, utilizationQuestion } from './observations.js';
import { type Prediction, predict } from './predict.js';
import type { Question } from './question.js';
import { createPredictionStore } from './records.js';
import { type Bar, type Reference, readReference } from './reference.js';
import { toRequest } from './systems.js';

export interface PaperOptions {
  /** Shortened runs, which are not stored. @default false */
  readonly quick?: boolean;
  /** Where whole runs are stored, as `specoffload reproduce` does. @default nowhere */
  readonly results?: string;
  /** Published figures. @default results/paper */
  readonly reference?: string;
  readonly onProgress?: (progress: {
    readonly done: number;
    readonly total: number;
    readonly note: string;
  }) => void;
  readonly signal?: AbortSignal;
}

/** `const paper = await openPaper(); const bars = await paper.predictBars();` */
export interface Paper {
  readonly published: Reference;
  /** Of those bars that are wanted. @default all */
  predictBars(isWanted?: (bar: Bar) => boolean): Promise<JudgedBar[]>;
  predictAblation(): Promise<JudgedAblation[]>;
  predictMemory(): Promise<JudgedMemory[]>;
  predictUtilization(): Promise<UtilizationRun[]>;
  /** One run, whole, with its timeline: `paper.predictRun({ system: 'FlexGen', model: 'Mixtral 8x7B', … })`. */
  predictRun(question: Question): Promise<PublishedRun>;
  /** What SpecOffload has to do for a published figure, on the machine it is of and in its memory, for the planner. */
  jobOf(question: Omit<Question, 'system'>): PublishedJob;
}

export interface PublishedRun extends Prediction {
  /** Tokens per second that the paper has for it; null where it has none. */
  readonly published: number | null;
}

/** A system's run, whole. */
export interface UtilizationRun extends JudgedUtilization {
  readonly phases: Readonly<Record<PhaseName, PhaseReport>>;
}

export interface PublishedJob extends PlanningJob {
  /** SpecOffload's own policy for it. */
  readonly publishedPolicy: PolicyInput;
}

/** Enough of a run for the shares of its decode. */
const quickUtilizationLength = 8;

/** @throws UserError when the published figures or the calibration cannot be read. */
export async function openPaper(options: PaperOptions = {}): Promise<Paper> {
  const { quick: isQuick = false, signal = currentSignal() } = options;
  const published = await readReference(options.reference ?? publishedDirectory);
  const { constants } = await readCalibration();
  const onPrediction = await openStore(options);
  const answer = createAnswerer({ scripts: published, constants, isQuick, onPrediction, signal });
  const onProgress: JudgeProgress = (note, done, total) => options.onProgress?.({ done, total, note });

  async function predictUtilization(): Promise<UtilizationRun[]> {
    const runs: UtilizationRun[] = [];
    for (const bar of published.utilization) {
      onProgress(bar.system, runs.length, published.utilization.length);
      const asked = utilizationQuestion(bar.system);
      const question = isQuick ? { ...asked, generationLength: quickUtilizationLength } : asked;
      const prediction = await predict(question, published, constants, signal);
      await onPrediction(prediction);
      const { utilization, result } = prediction;
      runs.push({ ...bar, predicted: 100 * utilization, phases: result.phases });
    }
    return runs;
  }

  async function predictRun(question: Question): Promise<PublishedRun> {
    const prediction = await predict(question, published, constants, signal);
    await onPrediction(prediction);
    const bar = published.bars.find((candidate) => spell(questionOf(candidate)) === spell(question));
    return { ...prediction, published: bar?.tokensPerSecond ?? null };
  }

  return {
    published,
    predictBars: (isWanted = () => true) =>
      judgeBars({ bars: published.bars.filter(isWanted) }, answer, onProgress),
    predictAblation: () => judgeAblation(published, answer, onProgress),
    predictMemory: () => judgeMemory(published, answer, onProgress),
    ...{ predictUtilization, predictRun },
    jobOf(question) {
      const request = toRequest({ ...question, system: 'SpecOffload' }, published, constants);
      const { target, draft, promptLengths, maxNewTokens, acceptance = null, policy = {} } = request;
      const machine = withMemory(request.machine, question.gpuMemoryGB);
      return { target, draft, promptLengths, maxNewTokens, machine, acceptance, publishedPolicy: policy };
    },
  };
}

/** The paper's GB of a memory curve are GiB: its points lie one layer apart. */
function withMemory(machine: MachineModel, gpuMemoryGB: number | undefined): MachineModel {
  if (gpuMemoryGB === undefined) return machine;
  return withRate(machine, 'memory.deviceBytes', gpuMemoryGB * 2 ** 30);
}

/** The same for equal questions. */
function spell(question: Question): string {
  return JSON.stringify(Object.entries(question).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function openStore({
  quick,
  results,
  signal,
}: PaperOptions): Promise<(prediction: Prediction) => Promise<void>> {
  if (quick || results === undefined) return async () => {};
  return createPredictionStore(results, signal ?? new AbortController().signal);
}
