/**
 * Experts as transformers 5 has them in memory, all of a layer in one tensor, gate above up: whoever saves a model's state
 * dictionary, and not the model, has files like that.
 */

import type { WeightFile } from './header-tensor.js';
import type { ModelSpec, TensorPlace, TensorSlice } from './spec.js';

const mlp = 'model.layers.{layer}.mlp';
const fused = /^model\.layers\.\d+\.mlp\.experts\.gate_up_proj$/;

/** The spec with places in such tensors, where the files have them and experts would be looked for by themselves. */
export function settleFused(spec: ModelSpec, files: readonly WeightFile[]): ModelSpec {
  const { gate, up, down } = spec.tensors;
  const isByExpert = gate?.name.includes('{expert}');
  const isFused = files.some(({ tensors }) => tensors.some(({ name }) => fused.test(name)));
  const width = spec.layers.find(({ ffn }) => ffn.router !== null)?.ffn.width;
  if (!isByExpert || !isFused || width === undefined) return spec;
  const place = (name: string, dense: string | undefined, rows?: TensorSlice['rows']): TensorPlace => ({
    ...{ name: `${mlp}.experts.${name}`, dense },
    slice: { isStackOfExperts: true, isTransposed: false, rows },
  });
  const half = { step: 1, count: width, total: 2 * width };
  return {
    ...spec,
    tensors: {
      ...spec.tensors,
      router: { name: `${mlp}.gate.weight` },
      gate: place('gate_up_proj', gate?.dense, { first: 0, ...half }),
      up: place('gate_up_proj', up?.dense, { first: width, ...half }),
      down: place('down_proj', down?.dense),
    },
  };
}

/** Whether its places are those. */
export function isFused({ tensors }: ModelSpec): boolean {
  return tensors.gate?.slice?.rows?.total !== undefined;
}
