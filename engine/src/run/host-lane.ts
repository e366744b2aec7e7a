/** The host lane: attention and experts where the cache and the weights are. */

import { f32, type NativeCore } from '@specoffload/native';
import type { Caps } from '../machine/caps.js';
import { attentionShape } from '../machine/cpu-queue.js';
import type { AttentionWeights, ExpertWeights, StoredTensor } from '../machine/device.js';
import type { PoolMemory } from '../machine/pool.js';
import { keyWidth, queryWidth } from '../model/spec.js';
import type { AttentionOp, StoredWeights, WorkerOp } from '../schedule/ops.js';
import { HostProducts } from './host-products.js';
import { type Execute, timed } from './lane.js';
import type { LaneWorkerData, WorkerModel } from './lane-protocol.js';
import { secondsPer, type Work } from './paced-lane.js';

export async function createHostLane(
  data: LaneWorkerData,
  core: NativeCore,
  memory: PoolMemory,
): Promise<{ readonly execute: Execute; readonly close: () => Promise<void> }> {
  const { target, threads } = data;
  const attend = createAttention(target, core, memory, threads);
  const products = await HostProducts.create({ model: target, core, memory, threads });
  return {
    execute: (op) =>
      timed<unknown>(() => {
        if (op.kind === 'attention') return attend(op);
        if (op.kind === 'host-attention' && products) return products.attend(op);
        if (op.kind === 'host-expert' && products) return products.expert(op);
        throw new Error(`the host lane cannot ${op.kind}`);
      }),
    close: async () => {
      await products?.close();
      memory.release();
    },
  };
}

/** The same where caps pace it; null where none does. */
export function createPacedHost(caps: Caps, execute: Execute): ((op: WorkerOp) => Promise<Work>) | null {
  const { hostCacheBytesPerSecond, hostFlopsPerSecond, hostWeightBytesPerSecond } = caps;
  if ((hostCacheBytesPerSecond ?? hostFlopsPerSecond ?? hostWeightBytesPerSecond) === null) return null;
  return async (op) => {
    const { result } = await execute(op, async () => {});
    return { result, seconds: hostSeconds(op, caps) };
  };
}

/** What the host's caps make of an op: attention is paced by the cache that it reads, products by their arithmetic. */
function hostSeconds(op: WorkerOp, caps: Caps): number {
  const cacheBytes = op.kind === 'attention' || op.kind === 'host-attention' ? op.cacheBytes : 0;
  const products =
    op.kind === 'host-expert'
      ? productSeconds(op.weights, op.indices.length, caps)
      : op.kind === 'host-attention'
        ? productSeconds(op.weights, op.rows, caps)
        : 0;
  return cacheBytes * secondsPer(caps.hostCacheBytesPerSecond) + products;
}

/** As the cost model has it: bound by arithmetic, two operations for each weight and row, or by reading the weights. */
function productSeconds(
  weights: StoredWeights<ExpertWeights> | StoredWeights<AttentionWeights>,
  rows: number,
  { hostFlopsPerSecond, hostWeightBytesPerSecond }: Caps,
): number {
  const elements = Object.values(weights).reduce(
    (sum, { count, runs }: StoredTensor) => sum + count * (runs?.number ?? 1),
    0,
  );
  return Math.max(
    2 * rows * elements * secondsPer(hostFlopsPerSecond),
    f32.bytes(elements) * secondsPer(hostWeightBytesPerSecond),
  );
}

function createAttention(
  { spec, frames, kvCache, rope, hostSinks, numPositions }: WorkerModel,
  core: NativeCore,
  memory: PoolMemory,
  threads: number,
): (op: AttentionOp) => void {
  const floats = (address: number, count: number) => memory.floats(address, count);
  return ({ frame, layer, rows, sequences, shared }) => {
    const regions = frames[frame].host;
    const rotation = rope.host?.[layer];
    if (!regions || !rotation)
      throw new Error('the host lane needs buffers and rotation tables in host memory');
    const { attention } = spec.layers[layer];
    const sinks = hostSinks?.[layer] ?? null;
    const [queries, keys] = [rows * queryWidth(attention), rows * keyWidth(attention)];
    const tableLength = (numPositions * attention.headDim) / 2;
    core.attend({
      shape: attentionShape(attention),
      q: floats(regions.q.byteOffset, queries),
      k: floats(regions.k.byteOffset, keys),
      v: floats(regions.v.byteOffset, keys),
      out: floats(regions.out.byteOffset, queries),
      cache: floats(kvCache[layer].byteOffset, f32.count(kvCache[layer].byteLength)),
      ...{ sequences, shared },
      ropeCos: floats(rotation.cos.byteOffset, tableLength),
      ropeSin: floats(rotation.sin.byteOffset, tableLength),
      sinks: sinks && floats(sinks.byteOffset, attention.numHeads),
      threads,
    });
  };
}
