/** What the reference pass and the devices compute: a spec may say more than they can. */

import { UserError } from '@specoffload/input';
import { keyWidth, type LayerSpec, type ModelSpec } from './spec.js';

/** @throws UserError where a part of the model has arithmetic that nothing here implements. */
export function refuseUncomputable(spec: ModelSpec, source: string): void {
  const [first] = spec.layers;
  const problem =
    problemOfModel(spec) ??
    spec.layers.map((layer, index) => problemOfLayer(layer, index, first)).find(Boolean);
  if (!problem) return;
  throw new UserError(
    `${source}: a ${spec.architecture} model with ${problem}, which no device here computes; it can be predicted by its config.json alone; run a model without it`,
  );
}

function problemOfModel({ embedding, finalNorm, tensors }: ModelSpec): string | null {
  if (embedding.scale !== 1) return 'scaled embeddings';
  if (finalNorm.offset !== 0) return 'norms whose weights are stored less one';
  const [sliced] = Object.entries(tensors).find(([, { slice }]) => slice) ?? [];
  return sliced === undefined ? null : `${sliced} in a tensor with others`;
}

function problemOfLayer({ attention, norms, ffn }: LayerSpec, index: number, first: LayerSpec) {
  const { headDim, scale, sinks, qkNorm, rope } = attention;
  const where = `in layer ${index}`;
  if (norms.afterAttention || norms.afterFfn) return `norms after attention or FFN ${where}`;
  if (norms.beforeAttention.offset !== 0 || norms.beforeFfn.offset !== 0 || qkNorm?.norm.offset)
    return `norms whose weights are stored less one ${where}`;
  if (sinks) return `attention sinks ${where}`;
  if (scale !== headDim ** -0.5) return `scores multiplied with ${scale} ${where}`;
  if (rope.scaling && rope.scaling.type !== 'llama3') return `${rope.scaling.type} RoPE ${where}`;
  if (keyWidth(attention) !== keyWidth(first.attention)) return 'layers whose keys differ in size';
  if (ffn.activation !== 'silu') return `the activation ${ffn.activation} ${where}`;
  if (ffn.biases || ffn.router?.biases) return `biases of experts or router ${where}`;
  if (ffn.sharedWidth !== null) return `a shared expert ${where}`;
  return null;
}
