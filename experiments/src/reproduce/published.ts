/** SpecOffload as published, with the batch sizes and candidates of its run scripts (results/paper/policies.json). */

import { join } from 'node:path';
import { type PolicyInput, publishedPolicy, UserError } from '@specoffload/engine';
import { maybeReadJson } from '@specoffload/input';
import { publishedDirectory } from '../paths.js';

const policiesPath = join(publishedDirectory, 'policies.json');

/** Names of the catalogue as the paper writes them. */
const paperModels: Readonly<Record<string, string>> = {
  'mixtral-8x7b': 'Mixtral 8x7B',
  'mixtral-8x22b': 'Mixtral 8x22B',
};

interface PaperPolicy {
  readonly system: string;
  readonly model: string;
  readonly dataset: string;
  readonly decodeBatch?: number;
  readonly batches?: number;
  readonly prefillBatch?: number;
  readonly draftBatch?: number;
  readonly candidates?: number;
}

export interface PublishedPolicy {
  readonly policy: PolicyInput;
  /** Where its sizes come from. */
  readonly source: string;
}

/**
 * @param model of the catalogue; any other takes the sizes of Mixtral 8x7B on HumanEval.
 * @throws UserError when the paper has no such dataset.
 */
export async function publishedPolicyFor(model: string, dataset: string): Promise<PublishedPolicy> {
  const paperModel = paperModels[model];
  if (paperModel === undefined)
    return {
      policy: publishedPolicy,
      source: 'sizes of Mixtral 8x7B, HumanEval: the paper has none for this model',
    };
  const policies = await readPolicies();
  if (policies === null) return { policy: publishedPolicy, source: 'Mixtral 8x7B, HumanEval' };
  const ours = policies.filter((policy) => policy.system === 'SpecOffload' && policy.model === paperModel);
  const found = ours.find((policy) => policy.dataset === dataset);
  if (!found)
    throw new UserError(
      `invalid --published: ${dataset}; expected ${ours.map((policy) => policy.dataset).join(', ')}`,
    );
  const { system: _system, model: _model, dataset: _dataset, ...sizes } = found;
  return { policy: { ...publishedPolicy, ...sizes }, source: `${paperModel}, ${dataset}` };
}

/** null where the project came without results. */
async function readPolicies(): Promise<readonly PaperPolicy[] | null> {
  return (await maybeReadJson(policiesPath, 1 << 24)) as readonly PaperPolicy[] | null;
}
