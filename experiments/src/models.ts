/** Models by name or directory: a catalogue of what can be predicted without weights, and checkpoints that are here. */

import {
  type Checkpoint,
  describeModel,
  type ModelDescription,
  modelCatalog,
  openCheckpoint,
} from '@specoffload/engine';

/**
 * @param nameOrDirectory `mixtral-8x7b` and the like, or a checkpoint's directory.
 * @param unit what moves at once, for a model of the catalogue.
 * @throws UserError when it is neither.
 */
export async function openOrDescribeModel(
  nameOrDirectory: string,
  unit: ModelDescription['unit'] = 'ffn',
): Promise<Checkpoint> {
  const config = modelCatalog[nameOrDirectory];
  return config ? describeModel({ name: nameOrDirectory, config, unit }) : openCheckpoint(nameOrDirectory);
}
