/** The run that a wind tunnel imitates: SpecOffload as published, on its own machine. */

import type { MachineModel, SimulationRequest } from '@specoffload/engine';
import { openMachine } from '../inputs/machines.js';
import { openOrDescribeModel } from '../inputs/models.js';
import { catalogNames, environmentOf } from '../reproduce/assumptions.js';
import { readCalibration } from '../reproduce/calibration-file.js';
import { type DatasetName, type ModelName, modelNames, readReference } from '../reproduce/reference.js';
import { toRequest } from '../reproduce/systems.js';
import { UsageError } from '../terminal/errors.js';

export interface OriginalOptions {
  /** `env1`, `env2`, or a machine file. */
  readonly like: string;
  /** Of the catalogue; left out: the model that the paper ran on that machine. */
  readonly model?: string;
  /** Of the catalogue; left out: the draft that the paper ran with that model. */
  readonly modelDraft?: string;
  readonly dataset: DatasetName;
  /** Folder of the published figures and scripts. */
  readonly reference: string;
  readonly newTokens: number;
}

export interface Original {
  /** What was asked of it. */
  readonly like: string;
  readonly request: SimulationRequest;
}

/** @throws UsageError for a model without scripts, UserError for a machine that there is not. */
export async function openOriginal(options: OriginalOptions): Promise<Original> {
  const { like, dataset, newTokens: generationLength } = options;
  const machine = await openMachine(like);
  const model = findModel(options.model, machine);
  const { constants } = await readCalibration();
  const scripts = await readReference(options.reference);
  const environment = environmentOf[model];
  const published = toRequest(
    { system: 'SpecOffload', model, environment, dataset, generationLength },
    scripts,
    constants,
  );
  const draft = await openOrDescribeModel(options.modelDraft ?? catalogNames[model].draft);
  return { like, request: { ...published, machine, draft } };
}

/** Batches are known for the models of the paper only. */
function findModel(name: string | undefined, machine: MachineModel): ModelName {
  const known = modelNames.map((model) => catalogNames[model].target);
  const found = modelNames.find((model) =>
    name === undefined ? environmentOf[model] === machine.name : catalogNames[model].target === name,
  );
  if (found) return found;
  if (name === undefined) return modelNames[0];
  throw new UsageError(
    `invalid --model: ${name}; expected a model whose batches the paper's scripts list: ${known.join(', ')}`,
  );
}
