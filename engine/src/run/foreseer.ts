/**
 * Which experts a layer's rows would choose by their hidden states one layer earlier, before that one's experts have added
 * theirs. Residual streams change little from layer to layer, so that most of it comes true (Eliseev and Mazur, arXiv
 * 2312.17238).
 */

import { f32, type NativeCore } from '@specoffload/native';
import type { PoolMemory } from '../machine/pool.js';
import { chooseExperts } from '../machine/routing.js';
import type { RouterRegions } from '../schedule/router-copies.js';
import type { WorkerModel } from './lane-protocol.js';

export class Foreseer {
  readonly #model: Pick<WorkerModel, 'spec' | 'routers'>;
  readonly #core: NativeCore;
  readonly #memory: PoolMemory;

  constructor(model: Pick<WorkerModel, 'spec' | 'routers'>, core: NativeCore, memory: PoolMemory) {
    this.#model = model;
    this.#core = core;
    this.#memory = memory;
  }

  /**
   * @param hidden (row, hidden): what the layer before has of the rows when its attention is done
   * @returns the layer's experts, ascending
   */
  foresee(layer: number, hidden: Float32Array): number[] {
    const { spec, routers } = this.#model;
    const regions = routers?.[layer];
    if (!regions) return []; // a dense one
    const { ffn, norms } = spec.layers[layer];
    const { hiddenSize: depth } = spec;
    const rows = hidden.length / depth;
    const x = new Float32Array(hidden.length);
    const scores = new Float32Array(rows * ffn.numExperts);
    const weight = this.#floats(regions.norm, depth);
    this.#core.normalise({ x: hidden, y: x, weight, rows, width: depth, addend: null, ...norms.beforeFfn });
    const weights = this.#memory.bytes(regions.router.byteOffset, f32.bytes(ffn.numExperts * depth));
    const bias = regions.bias && this.#floats(regions.bias, ffn.numExperts);
    this.#core.multiply({
      ...{ dtype: 'f32', weights, paired: 1, step: 1, x, y: scores, rows, depth, width: ffn.numExperts },
      ...{ bias, addend: null, threads: 1 },
    });
    const { experts } = chooseExperts(ffn, scores);
    return [...new Set(experts)].sort((a, b) => a - b);
  }

  #floats({ byteOffset }: RouterRegions['norm'], count: number): Float32Array {
    return this.#memory.floats(byteOffset, count);
  }
}
