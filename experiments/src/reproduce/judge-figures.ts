/** Every published figure beside its prediction, a function for each. */

import type { Answer } from './answer.js';
import type { JudgedAblation, JudgedBar, JudgedMemory, JudgedUtilization } from './judge.js';
import { memoryQuestion, questionOf, utilizationQuestion } from './observations.js';
import type { Reference } from './reference.js';

/** Called before each prediction, `done` of `total` are there. */
export type JudgeProgress = (text: string, done: number, total: number) => void;

export function judgeBars(
  { bars }: Pick<Reference, 'bars'>,
  answer: Answer,
  onProgress: JudgeProgress,
): Promise<JudgedBar[]> {
  return judgeEach(bars, onProgress, {
    describe: ({ system, model, dataset, generationLength }) =>
      `${system}, ${model}, ${dataset}, ${generationLength}`,
    predict: async (bar) => (await answer(questionOf(bar))).tokensPerSecond,
  });
}

export function judgeAblation(
  { ablation }: Pick<Reference, 'ablation'>,
  answer: Answer,
  onProgress: JudgeProgress,
): Promise<JudgedAblation[]> {
  return judgeEach(ablation, onProgress, {
    describe: ({ variant }) => variant,
    predict: async ({ tokensPerSecond: _published, ...bar }) =>
      (await answer({ system: 'SpecOffload', ...bar })).tokensPerSecond,
  });
}

export function judgeMemory(
  { memory }: Pick<Reference, 'memory'>,
  answer: Answer,
  onProgress: JudgeProgress,
): Promise<JudgedMemory[]> {
  return judgeEach(memory, onProgress, {
    describe: ({ model, gpuMemoryGB }) => `${model}, ${gpuMemoryGB} GB`,
    predict: async (point) => (await answer(memoryQuestion(point))).tokensPerSecond,
  });
}

export function judgeUtilization(
  { utilization }: Pick<Reference, 'utilization'>,
  answer: Answer,
  onProgress: JudgeProgress,
): Promise<JudgedUtilization[]> {
  return judgeEach(utilization, onProgress, {
    describe: ({ system }) => system,
    predict: async ({ system }) => 100 * (await answer(utilizationQuestion(system))).utilization,
  });
}

interface Judge<Published> {
  readonly describe: (published: Published) => string;
  readonly predict: (published: Published) => Promise<number>;
}

async function judgeEach<Published>(
  all: readonly Published[],
  onProgress: JudgeProgress,
  { describe, predict }: Judge<Published>,
): Promise<(Published & { readonly predicted: number })[]> {
  const judged: (Published & { readonly predicted: number })[] = [];
  for (const published of all) {
    onProgress(describe(published), judged.length, all.length);
    judged.push({ ...published, predicted: await predict(published) });
  }
  return judged;
}
