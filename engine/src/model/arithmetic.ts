/** What the reference pass and the devices compute: a spec may say more than they can. */

import { UserError } from '@specoffload/input';
import type { LayerSpec, ModelSpec } from './spec.js';

/** @throws UserError where a part of the model has arithmetic that nothing here implements. */
export function refuseUncomputable(spec: ModelSpec, source: string): void {
  const problem = spec.layers.map((layer, index) => problemOfLayer(layer, index)).find(Boolean);
  if (!problem) return;
  throw new UserError(
    `${source}: a ${spec.architecture} model with ${problem}, which no device here computes; it can be predicted by its config.json alone; run a model without it`,
  );
}

function problemOfLayer({ norms, ffn }: LayerSpec, index: number) {
  const where = `in layer ${index}`;
  if (norms.afterFfn && ffn.router) return `a norm of what experts add together ${where}`;
  if (ffn.sharedWidth !== null && !ffn.router) return `a shared expert and no others ${where}`;
  return null;
}
