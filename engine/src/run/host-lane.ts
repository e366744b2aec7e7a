/** The host lane: attention and experts where the cache and the weights are. */

import { f32, type NativeCore } from '@specoffload/native';
import type { Caps } from '../machine/caps.js';
import { attentionShape, CpuQueue } from '../machine/cpu-queue.js';
import type { Command, DeviceQueue, DeviceTensor, ExpertWeights, StoredTensor } from '../machine/device.js';
import { isKept, localFormats } from '../machine/formats.js';
import type { PoolMemory } from '../machine/pool.js';
import { keyWidth, queryWidth } from '../model/spec.js';
import { alignUp, tensorAlignmentBytes } from '../schedule/group-layout.js';
import { ffnChunkRows, type HostExpertRegions } from '../schedule/memory-plan.js';
import type { AttentionOp, HostExpertOp, WorkerOp } from '../schedule/ops.js';
import { type Execute, timed } from './lane.js';
import type { LaneWorkerData, WorkerModel } from './lane-protocol.js';
import { secondsPer, type Work } from './paced-lane.js';

export async function createHostLane(
  data: LaneWorkerData,
  core: NativeCore,
  memory: PoolMemory,
): Promise<{ readonly execute: Execute; readonly close: () => Promise<void> }> {
  const { target, threads } = data;
  const { spec, hostExperts } = target;
  const attend = createAttention(target, core, memory, threads);
  const models = { target: spec, draft: null };
  const processor =
    hostExperts && (await CpuQueue.create({ core, device: memory, host: memory, models, threads }));
  const experts = processor && createExperts(target, hostExperts, processor);
  return {
    execute: (op) =>
      timed<unknown>(() => {
        if (op.kind === 'attention') return attend(op);
        if (op.kind === 'host-expert' && experts) return experts(op);
        throw new Error(`the host lane cannot ${op.kind}`);
      }),
    close: async () => {
      await processor?.close();
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

/** What the host's caps make of an op: attention is paced by the cache that it reads, an expert by its arithmetic. */
function hostSeconds(op: WorkerOp, caps: Caps): number {
  if (op.kind === 'attention') return op.cacheBytes * secondsPer(caps.hostCacheBytesPerSecond);
  return op.kind === 'host-expert' ? expertSeconds(op, caps) : 0;
}

/** As the cost model has it: bound by arithmetic, two operations for each weight and row, or by reading the weights. */
function expertSeconds(
  { indices, weights: { gate, up, down } }: HostExpertOp,
  { hostFlopsPerSecond, hostWeightBytesPerSecond }: Caps,
): number {
  const elements = gate.count + up.count + down.count;
  return Math.max(
    2 * indices.length * elements * secondsPer(hostFlopsPerSecond),
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
  return ({ frame, layer, rows, sequences }) => {
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
      sequences,
      ropeCos: floats(rotation.cos.byteOffset, tableLength),
      ropeSin: floats(rotation.sin.byteOffset, tableLength),
      sinks: sinks && floats(sinks.byteOffset, attention.numHeads),
      threads,
    });
  };
}

/** Experts by the processor, whose device memory is the host's here: as the cpu device does it, and rounds. */
function createExperts(
  { spec, frames }: WorkerModel,
  { gathered, weights: widened }: HostExpertRegions,
  processor: DeviceQueue,
): (op: HostExpertOp) => Promise<void> {
  return async ({ frame, layer, indices, weights: stored }) => {
    const { hostExperts } = frames[frame];
    if (!hostExperts || !widened)
      throw new Error('the host lane needs buffers for the experts that it computes');
    const commands: Command[] = [];
    let address = widened.byteOffset;
    const bring = (tensor: StoredTensor): DeviceTensor => {
      const { source, dtype, layout } = tensor;
      if (isKept(localFormats, tensor)) return { address: source, dtype, paired: layout?.paired ?? 1 };
      const target = address;
      commands.push({ kind: 'decode', ...tensor, target });
      address += alignUp(f32.bytes(tensor.count), tensorAlignmentBytes);
      return { address: target, dtype: 'f32' };
    };
    const roles = Object.entries(stored).map(([role, tensor]) => [role, bring(tensor)]);
    const weights: ExpertWeights = Object.fromEntries(roles);
    const [source, x] = [hostExperts.normed.byteOffset, gathered.byteOffset];
    let out = hostExperts.out.byteOffset;
    for (let start = 0; start < indices.length; start += ffnChunkRows) {
      const chunk = indices.subarray(start, start + ffnChunkRows);
      commands.push(
        { kind: 'gather', source, indices: chunk, width: spec.hiddenSize, target: x },
        { kind: 'feed-forward', model: 'target', layer, x, rows: chunk.length, weights, out },
      );
      out += f32.bytes(chunk.length * spec.hiddenSize);
    }
    await processor.submit(commands);
  };
}
