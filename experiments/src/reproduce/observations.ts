/** Everything published that a prediction is held against, as questions to the simulator and a distance. */

import { environmentOf, sideFigures } from './assumptions.js';
import type { Estimate } from './predict.js';
import type { Question } from './question.js';
import type { Bar, DatasetName, Reference } from './reference.js';

export interface Observation {
  /** What it says something about; a held-out test leaves it out together with the bars of its kind. */
  readonly dataset: DatasetName;
  readonly generationLength: number;
  readonly questions: readonly Question[];
  readonly weight: number;
  /** 0 when the predictions, one per question, are as published. */
  readonly residual: (estimates: readonly Estimate[]) => number;
}

export function questionOf({ tokensPerSecond: _published, ...question }: Bar): Question {
  return question;
}

/** Utilisation of fewer points than this apart counts as equal: what a utilisation is differs by tool. */
const utilizationBand = 0.05;

export function observe(reference: Reference, bars: readonly Bar[] = reference.bars): Observation[] {
  return [
    ...bars.map(observeBar),
    ...observeMemory(reference),
    ...observeUse(reference),
    ...observeAblation(reference),
  ];
}

function observeBar(bar: Bar): Observation {
  const { dataset, generationLength, tokensPerSecond } = bar;
  return {
    ...{ dataset, generationLength, weight: 1 },
    questions: [questionOf(bar)],
    residual: ([estimate]) => estimate!.tokensPerSecond / tokensPerSecond - 1,
  };
}

/** The rise over the curve's smallest point, not the level: that is a bar's. */
function observeMemory({ memory }: Reference): Observation[] {
  const { dataset, memoryLength: generationLength } = sideFigures;
  return memory.flatMap((point) => {
    const [least] = memory
      .filter(({ model }) => model === point.model)
      .sort((a, b) => a.gpuMemoryGB - b.gpuMemoryGB);
    if (!least || least === point) return [];
    const published = point.tokensPerSecond / least.tokensPerSecond;
    return {
      ...{ dataset, generationLength, weight: 0.5 },
      questions: [memoryQuestion(point), memoryQuestion(least)],
      residual: ([high, low]: readonly Estimate[]) =>
        high!.tokensPerSecond / low!.tokensPerSecond / published - 1,
    };
  });
}

export function memoryQuestion({
  system,
  model,
  gpuMemoryGB,
}: Pick<Reference['memory'][number], 'system' | 'model' | 'gpuMemoryGB'>): Question {
  const { dataset, memoryLength: generationLength } = sideFigures;
  return { system, model, environment: environmentOf[model], dataset, generationLength, gpuMemoryGB };
}

function observeUse({ utilization }: Reference): Observation[] {
  return utilization.map(({ system, gpuCoreUtilizationPercent }) => {
    const question = utilizationQuestion(system);
    return {
      ...{ dataset: question.dataset, generationLength: question.generationLength, weight: 1 },
      questions: [question],
      residual: ([estimate]: readonly Estimate[]) => {
        const apart = estimate!.utilization - gpuCoreUtilizationPercent / 100;
        return Math.sign(apart) * Math.max(0, Math.abs(apart) - utilizationBand) * 5;
      },
    };
  });
}

export function utilizationQuestion(system: Question['system']): Question {
  const { model, dataset, utilizationLength: generationLength } = sideFigures;
  return { system, model, environment: environmentOf[model], dataset, generationLength };
}

function observeAblation({ ablation }: Reference): Observation[] {
  return ablation.map(({ tokensPerSecond, ...bar }) => ({
    ...{ dataset: bar.dataset, generationLength: bar.generationLength, weight: 1 },
    questions: [{ system: 'SpecOffload', ...bar } as const],
    residual: ([estimate]: readonly Estimate[]) => estimate!.tokensPerSecond / tokensPerSecond - 1,
  }));
}
