/**
 * Experts, and whole attentions, by the processor, whose device memory is the host's here: as the cpu device does it, and
 * rounds, from weights that lie in host memory as stored.
 */

import { codecs, f32, type NativeCore } from '@specoffload/native';
import { CpuQueue } from '../machine/cpu-queue.js';
import type {
  AttentionWeights,
  Command,
  DeviceQueue,
  DeviceTensor,
  ExpertWeights,
  StoredTensor,
} from '../machine/device.js';
import { isReadInHost } from '../machine/formats.js';
import type { PoolMemory } from '../machine/pool.js';
import { chooseExperts, countRows, listRows, oneExpert, splitRows } from '../machine/routing.js';
import { alignUp, tensorAlignmentBytes } from '../schedule/group-layout.js';
import { ffnChunkRows, type HostScratchRegions } from '../schedule/memory-plan.js';
import type { HostAttentionOp, HostAttentionResult, HostExpertOp, StoredWeights } from '../schedule/ops.js';
import { Foreseer } from './foreseer.js';
import type { WorkerModel } from './lane-protocol.js';
import { passShared } from './layer-commands.js';
import { NotFiniteError } from './not-finite.js';

export interface HostProductsOptions {
  readonly model: WorkerModel;
  readonly core: NativeCore;
  /** The host pool. */
  readonly memory: PoolMemory;
  readonly threads: number;
}

export class HostProducts {
  readonly #model: WorkerModel;
  readonly #scratch: HostScratchRegions;
  readonly #processor: DeviceQueue;
  readonly #memory: PoolMemory;
  readonly #foreseer: Foreseer;

  private constructor(
    { model, core, memory }: HostProductsOptions,
    scratch: HostScratchRegions,
    processor: DeviceQueue,
  ) {
    this.#model = model;
    this.#memory = memory;
    this.#foreseer = new Foreseer(model, core, memory);
    this.#scratch = scratch;
    this.#processor = processor;
  }

  /** Null where the plan has the host compute no products. */
  static async create(options: HostProductsOptions): Promise<HostProducts | null> {
    const { model, core, memory, threads } = options;
    const { hostScratch, spec } = model;
    if (!hostScratch) return null;
    const models = { target: spec, draft: null };
    const processor = await CpuQueue.create({ core, device: memory, host: memory, models, threads });
    return new HostProducts(options, hostScratch, processor);
  }

  close(): Promise<void> {
    return this.#processor.close();
  }

  /** An expert's output for the rows that chose it, one behind the other in the frame's host buffers. */
  async expert({ frame, layer, indices, weights: stored, width }: HostExpertOp): Promise<void> {
    const { frames, spec } = this.#model;
    const { hostExperts } = frames[frame];
    const { gathered } = this.#scratch;
    if (!hostExperts || !gathered)
      throw new Error('the host lane needs buffers for the experts that it computes');
    const { commands, weights } = this.#widen<ExpertWeights>(stored);
    const [source, x] = [hostExperts.normed.byteOffset, gathered.byteOffset];
    let out = hostExperts.out.byteOffset;
    for (let start = 0; start < indices.length; start += ffnChunkRows) {
      const chunk = indices.subarray(start, start + ffnChunkRows);
      commands.push(
        { kind: 'gather', source, indices: chunk, width: spec.hiddenSize, target: x },
        { kind: 'feed-forward', model: 'target', layer, x, rows: chunk.length, weights, width, out },
      );
      out += f32.bytes(chunk.length * spec.hiddenSize);
    }
    await this.#processor.submit(commands);
  }

  /** A layer's attention, from hidden states to normed rows and the router's choice. */
  async attend(op: HostAttentionOp): Promise<HostAttentionResult> {
    const { spec, frames } = this.#model;
    const { layer, rows } = op;
    const { ffn } = spec.layers[layer];
    const { values, areFinite } = await this.#processor.submit(this.#attending(op));
    const [scores] = values;
    if (!areFinite[0]) throw new NotFiniteError({ model: 'target', layer, what: 'hidden states' });
    const { experts, weights, margins } = scores ? chooseExperts(ffn, scores) : oneExpert(rows);
    if (margins.some(Number.isNaN))
      throw new NotFiniteError({ model: 'target', layer, what: 'router scores' });
    const lists = listRows(ffn, experts, weights);
    const rowsPerExpert = countRows(ffn.numExperts, experts);
    const expertRows = frames[op.frame].hostExperts ? splitRows(rowsPerExpert, lists.indices) : undefined;
    const foreseen = op.foresees.map((to) => this.#foresee(to, op));
    return { ...lists, rowsPerExpert, foreseen, routerMargins: margins, ...(expertRows && { expertRows }) };
  }

  #foresee(to: number, { frame, rows }: HostAttentionOp): number[] {
    const { spec, frames } = this.#model;
    const y = frames[frame].hostLayer?.y.byteOffset as number;
    return this.#foreseer.foresee(to, this.#memory.floats(y, rows * spec.hiddenSize));
  }

  #attending({ frame, layer, rows, sequences, shared, weights: stored }: HostAttentionOp): Command[] {
    const { spec, frames, rope, kvCache, numPositions, formats } = this.#model;
    const { host, hostLayer } = frames[frame];
    const rotation = rope.host?.[layer];
    if (!host || !hostLayer || !rotation)
      throw new Error('the host lane needs buffers and rotation tables in host memory');
    const { commands, weights } = this.#widen<AttentionWeights>(stored);
    const common = { model: 'target', layer, rows } as const;
    const [q, k, v] = [host.q.byteOffset, host.k.byteOffset, host.v.byteOffset];
    const [x, y, out] = [hostLayer.x.byteOffset, hostLayer.y.byteOffset, host.out.byteOffset];
    const [normed, router] = [hostLayer.normed.byteOffset, hostLayer.router.byteOffset];
    const { byteOffset: cache, byteLength } = kvCache[layer];
    commands.push(
      { kind: 'project', ...common, x, weights, q, k, v },
      {
        ...{ kind: 'attend', ...common, q, k, v, out, cache, sequences, shared, numPositions },
        cacheElements: byteLength / formats.cacheElementBytes,
        ...{ ropeCos: rotation.cos.byteOffset, ropeSin: rotation.sin.byteOffset },
        sinks: weights.sinks ?? null,
      },
      { kind: 'mix', ...common, attention: out, x, weights, y, normed, router },
      { kind: 'starts-finite', source: y, rows, width: spec.hiddenSize },
      ...passShared(spec, { ...common, weights, x: normed, out: x, target: y }),
    );
    const { numExperts } = spec.layers[layer].ffn;
    if (numExperts > 1) commands.push({ kind: 'read', source: router, count: rows * numExperts });
    return commands;
  }

  /** Weights as products take them: what is not taken as it is stored, by commands that widen it or put it together. */
  #widen<Weights extends object>(
    stored: StoredWeights<Weights>,
  ): { readonly commands: Command[]; readonly weights: Weights } {
    const commands: Command[] = [];
    let address = this.#scratch.weights?.byteOffset ?? 0;
    const bring = (tensor: StoredTensor): DeviceTensor => {
      const { source, dtype, count, layout, runs } = tensor;
      const isStored = isReadInHost(tensor);
      if (isStored && !runs) return { address: source, dtype, paired: layout?.paired ?? 1 };
      const target = address;
      commands.push({ kind: 'decode', ...tensor, target });
      const runBytes = isStored ? codecs[dtype].bytes(count) : f32.bytes(count);
      address += alignUp((runs?.number ?? 1) * runBytes, tensorAlignmentBytes);
      return { address: target, dtype: isStored ? dtype : 'f32' };
    };
    const roles = Object.entries<StoredTensor>(stored).map(([role, tensor]) => [role, bring(tensor)]);
    return { commands, weights: Object.fromEntries(roles) };
  }
}
