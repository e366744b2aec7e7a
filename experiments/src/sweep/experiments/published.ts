/** What the paper's systems were run with, as settings: the same requests that `reproduce` predicts its figures from. */

import {
  laneNamed,
  type MachineModel,
  type PolicyInput,
  placeContender,
  type SimulationRequest,
  strategyNamed,
  UserError,
} from '@specoffload/engine';
import type { Choice, Settings } from '../../definitions/definition.js';
import { publishedDirectory } from '../../paths.js';
import { catalogNames, environmentOf } from '../../reproduce/assumptions.js';
import { readCalibration } from '../../reproduce/calibration-file.js';
import type { Question } from '../../reproduce/question.js';
import {
  type DatasetName,
  type ModelName,
  readReference,
  type SystemName,
} from '../../reproduce/reference.js';
import { cacheBytesPerSecond, cacheLanes, createMachine, toRequest } from '../../reproduce/systems.js';

/** Settings of one published run, all but its models, machine and length. */
export type PublishedRun = (question: Omit<Question, 'environment' | 'generationLength'>) => Settings;

/** @throws UserError when the published numbers or the constants fitted to them are missing. */
export async function readPublishedRuns(): Promise<PublishedRun> {
  const reference = await readReference(publishedDirectory);
  const { constants } = await readCalibration();
  return (question) => {
    const asked = { ...question, environment: environmentOf[question.model], generationLength: longest };
    const request = toRequest(asked, reference, constants);
    const { strategy, promptLengths, acceptance, routingSkew } = request;
    const isByExpert = question.system === 'FlexGen' || question.system === 'Fiddler';
    return {
      ...fitLayers(request),
      ...{
        strategy: strategyNamed(strategy).name,
        prompts: promptLengths.length,
        promptTokens: promptLengths[0],
      },
      ...(acceptance?.kind === 'rates' ? { acceptance: acceptance.byPosition[0] } : {}),
      ...(routingSkew === undefined ? {} : { routingSkew }),
      ...(isByExpert ? { unit: 'expert' } : {}),
      ...ratesThatDiffer(request.machine, createMachine(asked.environment, constants)),
    };
  };
}

/** How fast software copies the KV cache of a model that has none of its own. */
function ratesThatDiffer(used: MachineModel, named: MachineModel): Settings {
  const rateOf = (machine: MachineModel, lane: string) => cacheBytesPerSecond(laneNamed(machine, lane));
  const lanes = cacheLanes.filter((lane) => rateOf(used, lane) !== rateOf(named, lane));
  return Object.fromEntries(lanes.map((lane) => [`machine.${lane}.cacheBytesPerSecond`, rateOf(used, lane)]));
}

/** New tokens of the longest published runs. */
const longest = 128;

/** The policy with as many of its pinned layers as fit into the longest run: the others make way, as in `reproduce`. */
function fitLayers(request: SimulationRequest): PolicyInput {
  const { strategy, acceptance = null, policy = {} } = request;
  for (let fewer = policy; ; fewer = { ...fewer, pinnedLayers: fewer.pinnedLayers! - 1 }) {
    try {
      placeContender({ ...request, acceptance }, { strategy, policy: fewer });
      return fewer;
    } catch (error) {
      if (!(error instanceof UserError) || !fewer.pinnedLayers) throw error;
    }
  }
}

/** Models and the machine that they were run on. */
export function modelChoice(label: ModelName): Choice {
  return { label, settings: { ...catalogNames[label], machine: environmentOf[label] } };
}

/** A name that cases refer to; they say what it means. */
export function nameChoice(label: DatasetName | SystemName): Choice {
  return { label, settings: {} };
}
