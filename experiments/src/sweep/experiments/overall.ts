/** Every published bar: five systems, three models, four datasets, three lengths, with the batches of the released scripts. */

import { type Case, defineExperiment } from '../../definitions/definition.js';
import { datasetNames, modelNames, systemNames } from '../../reproduce/reference.js';
import { modelChoice, nameChoice, readPublishedRuns } from './published.js';

export async function createOverall() {
  const publishedRun = await readPublishedRuns();
  const cases: Case[] = modelNames.flatMap((model) =>
    datasetNames.flatMap((dataset) =>
      systemNames
        .filter((system) => isPublished(model, system))
        .map((system) => ({
          when: { model, dataset, system },
          settings: publishedRun({ model, dataset, system }),
        })),
    ),
  );
  return defineExperiment({
    name: 'overall',
    question:
      'How fast is each system, with the batches that its authors chose, on each model, dataset and length?',
    kind: 'simulated',
    metric: 'countedTokensPerSecond',
    settings: { accounting: 'as-published' },
    axes: {
      model: modelNames.map(modelChoice),
      dataset: datasetNames.map(nameChoice),
      maxNewTokens: [16, 32, 128],
      system: systemNames.map(nameChoice),
    },
    cases,
    // Fiddler knows no model without experts.
    filters: ['system != "Fiddler" or model != "LLaMA-3.3-70B"'],
    baseline: { system: 'FlexGen' },
    quick: {
      axes: {
        model: [modelChoice('Mixtral 8x7B')],
        dataset: [nameChoice('HumanEval')],
        maxNewTokens: [16],
        system: (['Accelerate', 'FlexGen', 'SpecOffload'] as const).map(nameChoice),
      },
      filters: [],
    },
  });
}

function isPublished(model: string, system: string): boolean {
  return model !== 'LLaMA-3.3-70B' || system !== 'Fiddler';
}
